"""NAG: Nesterov's accelerated gradient as it was published, with the gradient taken ahead."""

from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Nesterov 1983, Soviet Math. Doklady 27; Sutskever et al. 2013, ICML",
    when="To see Nesterov's method as it was published; nesterov is the same after a change of variables.",
    family="momentum",
    purpose="Nesterov's method as published, to study it",
    drop_in="NAG(lr, momentum, weight_decay)",
    rates=(1e-3, 1e1),
)
def nag(g, p, velocity: Zeros, t, *, lr: Rate = 1e-2, momentum: Decay = 0.9):
    """Nesterov's accelerated gradient, held at the point where the gradient is taken.

    θ = p - μ·v                (p is the look-ahead θ + μ·v, so that g = ∇f(θ + μ·v))
    v ← μ·v - lr·g
    θ ← θ + v
    p ← θ + μ·v

    `nesterov`, torch's form, keeps lr outside the velocity: the same sequence as long as lr does not change.
    """
    behind = p - momentum * velocity
    velocity = momentum * velocity - lr * g
    behind = behind + velocity
    return p - (behind + momentum * velocity), velocity
