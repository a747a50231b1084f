"""AccSGD: accelerated gradient descent for noisy gradients, by a long and a short step."""

from collections.abc import Mapping
from typing import Annotated, Any

from thalweg.numerics import Value
from thalweg.options.ranges import Range
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import Zeros

Ratio = Annotated[Value, Range(1.0, float("inf"), search=(1e2, 1e5), scale="log")]
Advantage = Annotated[Value, Range(0.0, float("inf"), open_low=True, search=(1.0, 50.0), scale="log")]
Constant = Annotated[Value, Range(0.0, 1.0, open_low=True, search=(0.1, 1.0))]


def _contradiction(values: Mapping[str, Any]) -> str:
    return "xi must not be above the square root of kappa" if values["xi"] ** 2 > values["kappa"] else ""


@rule(
    paper="Kidambi et al. 2018, arXiv:1803.05591; Jain et al. 2017, arXiv:1704.08227",
    when="For noisy gradients of problems near a quadratic, where momentum brings nothing.",
    family="momentum",
    purpose="noisy gradients near a quadratic",
    drop_in="AccSGD(lr, kappa, xi, small_const, weight_decay)",
    rates=(1e-4, 1.0),
    contradiction=_contradiction,
)
def accsgd(
    g, p, momentum_buffer: Zeros, t, *,
    lr: Rate = 1e-2, kappa: Ratio = 1000.0, xi: Advantage = 10.0, small_const: Constant = 0.7,
):  # fmt: skip
    """Accelerated SGD.

        α = 1 - c²·ξ/κ
        a ← α·a + (1 - α)·(p - κ·lr/c·g)     (a starts at p)
        p ← (c·(p - lr·g) + (1 - α)·a) / (c + 1 - α)

    κ is the ratio of long to short step, ξ the statistical advantage, c a constant up to 1. The state holds a - p, so
    that a decoupled weight decay shrinks both. The authors' package has no default rate.
    """
    short = small_const * small_const * xi / kappa
    share = short / (small_const + short)
    ahead = (1 - short) * momentum_buffer - short * kappa * lr / small_const * g
    update = (1 - share) * lr * g - share * ahead
    return update, ahead + update
