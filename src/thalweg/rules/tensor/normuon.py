"""NorMuon: Muon whose neurons move alike."""

from typing import Annotated

from thalweg.numerics import Value, lerp, maximum, of_matrices, sqrt
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, Rate
from thalweg.rules.states import State, Zeros
from thalweg.rules.tensor.beside_adamw import beside_adamw
from thalweg.rules.tensor.muon import LEAST, ahead, newton_schulz, norm, size

FLOOR = 1e-8
OfRows = Annotated[Value, State(shape=lambda matrix: (matrix[0], 1))]


@of_matrices(states=1)
def normalized(x: Value, mean_square: Value, eps: Value, beta: Value, *, match_rms_adamw: bool) -> tuple[Value, Value]:
    """`newton_schulz(x)`, each row over its root mean square, at the same norm, times `size`; and the mean squares."""
    o = newton_schulz(x, eps)
    mean_square = lerp(mean_square, (o * o).sum(-1, keepdim=True) / max(1, o.shape[-1]), 1 - beta)
    even = o / (sqrt(maximum(mean_square, LEAST)) + FLOOR)
    kept = norm(o) / maximum(norm(even), FLOOR)
    return size(x, match_rms_adamw=match_rms_adamw) * kept * even, mean_square


@rule(
    paper="Li et al. 2025, arXiv:2510.05491",
    when="Where Muon does well and its neurons' updates differ in size.",
    family="matrix",
    purpose="Muon for neurons whose updates differ in size",
    drop_in="NorMuon(lr, weight_decay, momentum, row_beta, nesterov, eps, match_rms_adamw, adamw, betas, adamw_eps)",
    rates=(1e-4, 1e-1),
    counts_steps="adamw",
    scale_free=True,
    others="adamw",
    sparse_unsupported="it steps whole matrices",
    weight_decay=0.1,
    decoupled_weight_decay=True,
)
@beside_adamw
def normuon(
    g, p, momentum_buffer: Zeros, row_mean_square: OfRows, t, *,
    lr: Rate = 1e-3, momentum: Decay = 0.95, row_beta: Decay = 0.95, eps: Epsilon = 1e-7, nesterov: Flag = True,
    match_rms_adamw: Flag = True,
):  # fmt: skip
    """NorMuon.

        m, c, NS as in Muon;     o = NS(c / max(‖c‖, ε))
        v ← β₂·v + (1 - β₂)·mean of o² in each row
        o' = o / (√v + 1e-8);     p ← p - lr · s · o' · ‖o‖/‖o'‖

    β₂ is row_beta. s, the flattening of more dimensions, and `adamw` are Muon's.
    """
    momentum_buffer = lerp(momentum_buffer, g, 1 - momentum)
    direction, row_mean_square = normalized(
        ahead(g, momentum_buffer, momentum, nesterov=nesterov),
        row_mean_square, eps, row_beta, match_rms_adamw=match_rms_adamw,
    )  # fmt: skip
    return lr * direction, momentum_buffer, row_mean_square
