"""Muon: the momentum of a matrix, orthogonalized."""

from collections.abc import Mapping
from typing import Any

from thalweg.numerics import Value, lerp, maximum, of_matrices, sqrt
from thalweg.rules.contract import preset, rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, Rate
from thalweg.rules.states import Zeros
from thalweg.rules.tensor.beside_adamw import beside_adamw

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
LEAST = 1e-30
RMS = 0.2  # of AdamW's usual update: Liu et al. 2025, section 2.2


def from_torch(given: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """Ours of torch's `adjust_lr_fn`, `ns_steps` and `ns_coefficients`; the latter are constants here."""
    if given.get("ns_steps", ITERATIONS) != ITERATIONS:
        return f"it takes ns_steps={ITERATIONS} always, and that one takes {given['ns_steps']}"
    if tuple(given.get("ns_coefficients", COEFFICIENTS)) != COEFFICIENTS:
        return f"its ns_coefficients are always {COEFFICIENTS}, and that one's {tuple(given['ns_coefficients'])}"
    return {"match_rms_adamw": given["adjust_lr_fn"] == "match_rms_adamw"} if "adjust_lr_fn" in given else {}


def norm(x: Value) -> Value:
    """The Frobenius norm, at least 1e-15, with a derivative at 0 too."""
    return sqrt(maximum((x * x).sum((-2, -1), keepdim=True), LEAST))


def newton_schulz(x: Value, eps: Value) -> Value:
    """Singular values moved towards 1 by five steps of Newton and Schulz: between 0.68 and 1.21, but for tiny ones."""
    if 0 in x.shape:
        return x
    largest = maximum(x.abs().amax((-2, -1), keepdim=True), LEAST)  # so that no square overflows
    x = x / largest
    x = x / maximum(norm(x), eps / largest)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.mT if tall else x


def size(x: Value, *, match_rms_adamw: bool) -> float:
    """The factor of an orthogonalized matrix: of its shape, or to the root mean square of AdamW's updates."""
    rows, columns = x.shape[-2:]
    return float(RMS * max(rows, columns) ** 0.5 if match_rms_adamw else max(1.0, rows / max(1, columns)) ** 0.5)


@of_matrices()
def orthogonalized(x: Value, eps: Value, *, match_rms_adamw: bool) -> Value:
    """The orthogonal matrix nearest to x, about, times `size`."""
    return size(x, match_rms_adamw=match_rms_adamw) * newton_schulz(x, eps)


def ahead(g: Value, momentum_buffer: Value, momentum: Value, *, nesterov: bool) -> Value:
    """The momentum, or with `nesterov` that of the next step if the gradient stays."""
    return lerp(g, momentum_buffer, momentum) if nesterov else momentum_buffer


@rule(
    paper="Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; match_rms_adamw: Liu et al. 2025,"
    " arXiv:2502.16982",
    when="For the hidden matrices of transformers and convolutional networks; AdamW steps the rest.",
    family="matrix",
    purpose="hidden matrices of transformers; AdamW steps the rest",
    drop_in="Muon(lr, weight_decay, momentum, nesterov, eps, match_rms_adamw, adamw, betas, adamw_eps)",
    rates=(1e-4, 1e-1),
    counts_steps="adamw",
    scale_free=True,
    others="adamw",
    sparse_unsupported="it steps whole matrices",
    torch_keys=("adjust_lr_fn", "ns_steps", "ns_coefficients"),
    from_torch=from_torch,
    weight_decay=0.1,
    decoupled_weight_decay=True,
)
@beside_adamw
def muon(
    g, p, momentum_buffer: Zeros, t, *,
    lr: Rate = 1e-3, momentum: Decay = 0.95, eps: Epsilon = 1e-7, nesterov: Flag = True, match_rms_adamw: Flag = False,
):  # fmt: skip
    """Muon.

        m ← β·m + (1 - β)·g;     c = (1 - β)·g + β·m with nesterov, else m
        p ← p - lr · s · NS(c / max(‖c‖, ε))

    NS, five steps of X ← 3.4445·X - 4.775·(XXᵀ)X + 2.0315·(XXᵀ)²X, moves all singular values near 1. s is
    √max(1, rows/columns), or 0.2·√max(rows, columns) with match_rms_adamw, whose lr is that of AdamW. A parameter of
    more than two dimensions is flattened to [first, all others].

    Its own are hidden matrices. AdamW, with `betas`, `adamw_eps` and the same lr, steps parameters with adamw=True:
    biases, norms, embeddings and the output layer (`thalweg.optim.adamw_rest`).
    """
    momentum_buffer = lerp(momentum_buffer, g, 1 - momentum)
    update = lr * orthogonalized(
        ahead(g, momentum_buffer, momentum, nesterov=nesterov), eps, match_rms_adamw=match_rms_adamw
    )
    return update, momentum_buffer


moonlight = preset(
    muon, "moonlight", "Muon with updates of AdamW's size: one learning rate for all parameters.",
    when="Where a rate and a weight decay for AdamW are known: they carry over.",
    purpose="keeps the rate and decay known for AdamW",
    paper="Liu et al. 2025, arXiv:2502.16982", match_rms_adamw=True,
)  # fmt: skip
