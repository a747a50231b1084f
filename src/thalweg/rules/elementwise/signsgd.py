"""SignSGD and Signum: steps of one size, by the sign of the gradient or of its running mean."""

from thalweg.numerics import sign
from thalweg.rules.contract import preset, rule
from thalweg.rules.hyperparameters import Momentum, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Bernstein et al. 2018, arXiv:1802.04434",
    when="For distributed training that sends one bit a gradient.",
    family="sign",
    purpose="distributed training that sends one bit a gradient",
    drop_in="SignSGD(lr, momentum, weight_decay)",
    rates=(1e-6, 1e-2),
    scale_free=True,
    conventions={"optax": {}},
    argument_names={"optax": {"momentum": "beta"}},
)
def signsgd(g, p, momentum_buffer: Zeros, t, *, lr: Rate = 1e-4, momentum: Momentum = 0.0):
    """SignSGD.

    m ← β·m + (1 - β)·g
    p ← p - lr·sign(m)         (without momentum: p - lr·sign(g))

    sign(0) is 0. An unweighted sum m ← β·m + g, as in other libraries, has the same signs. Optax's two
    compute what is here.
    """
    if momentum is None:
        return lr * sign(g), momentum_buffer
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    return lr * sign(momentum_buffer), momentum_buffer


signum = preset(
    signsgd, "signum", "SignSGD by the sign of the momentum.",
    when="As signSGD, steadied by momentum: half of what Adam does, with one state.",
    purpose="steadied by momentum; one state",
    drop_in="Signum(lr, momentum, weight_decay)", momentum=0.9,
)  # fmt: skip
