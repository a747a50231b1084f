"""QHM: a step between plain gradient descent and momentum."""

from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Fraction, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Ma & Yarats 2018, arXiv:1810.06801",
    when="As momentum, of which only a share is taken: 0.7 in place of a full step often needs no tuning.",
    family="momentum",
    purpose="momentum of which only a share is taken",
    drop_in="QHM(lr, momentum, nu, weight_decay)",
    rates=(1e-2, 1e1),
)
def qhm(g, p, momentum_buffer: Zeros, t, *, lr: Rate = 1.0, momentum: Decay = 0.999, nu: Fraction = 0.7):
    """Quasi-hyperbolic momentum.

    b ← β·b + (1 - β)·g
    p ← p - lr·((1 - ν)·g + ν·b)

    The buffer is a mean that starts at 0: lr is 1/(1 - β) times that of a momentum that sums.
    ν = 0 is plain SGD, ν = 1 momentum, ν = β Nesterov's.
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    return lr * ((1 - nu) * g + nu * momentum_buffer), momentum_buffer
