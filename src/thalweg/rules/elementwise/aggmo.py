"""AggMo: the mean of velocities that are damped differently."""

from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Lucas et al. 2018, arXiv:1804.00325",
    when="As momentum with a damping near 1 that must not oscillate.",
    family="momentum",
    purpose="damping near 1 that must not oscillate",
    drop_in="AggMo(lr, betas, weight_decay)",
    momentum=None,
    rates=(1e-3, 1e1),
)
def aggmo(
    g, p, momentum_buffer1: Zeros, momentum_buffer2: Zeros, momentum_buffer3: Zeros, t, *,
    lr: Rate = 0.1, beta1: Decay = 0.0, beta2: Decay = 0.9, beta3: Decay = 0.99,
):  # fmt: skip
    """Aggregated momentum.

        vᵢ ← βᵢ·vᵢ + g             for each of three dampings
        p ← p - lr·(v₁ + v₂ + v₃)/3

    The velocities sum gradients, as torch's momentum does. The paper's K is any number of them; its default is three.
    """
    momentum_buffer1 = beta1 * momentum_buffer1 + g
    momentum_buffer2 = beta2 * momentum_buffer2 + g
    momentum_buffer3 = beta3 * momentum_buffer3 + g
    update = lr / 3 * (momentum_buffer1 + momentum_buffer2 + momentum_buffer3)
    return update, momentum_buffer1, momentum_buffer2, momentum_buffer3
