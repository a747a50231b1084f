"""Rprop: a step size for each element, which grows while the gradient keeps its sign."""

from collections.abc import Mapping
from typing import Annotated, Any

from thalweg.numerics import Value, absolute, clip, sign, where
from thalweg.options.ranges import Range
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import NonNegative, Rate
from thalweg.rules.states import FirstRate, Zeros

Shrinking = Annotated[Value, Range(0.0, 1.0, open_low=True, open_high=True, search=(0.2, 0.9))]
Growing = Annotated[Value, Range(1.0, float("inf"), open_low=True, search=(1.01, 1.5))]


def _contradiction(values: Mapping[str, Any]) -> str:
    crossed = values["step_size_min"] > values["step_size_max"]
    return "step_size_min must not be above step_size_max" if crossed else ""


@rule(
    paper="Riedmiller & Braun 1993, doi:10.1109/ICNN.1993.298623",
    when="For full batches only: it reads the signs of gradients, which minibatches turn at random.",
    family="sign",
    purpose="full batches only",
    drop_in="Rprop(lr, etas, step_sizes)",
    rates=(1e-5, 1e-1),
    rate_is_step=False,
    scale_free=True,
    contradiction=_contradiction,
    tuple_arguments={"etas": ("etaminus", "etaplus"), "step_sizes": ("step_size_min", "step_size_max")},
)
def rprop(
    g, p, prev: Zeros, step_size: FirstRate, t, *,
    lr: Rate = 1e-2, etaminus: Shrinking = 0.5, etaplus: Growing = 1.2,
    step_size_min: NonNegative = 1e-6, step_size_max: NonNegative = 50.0,
):  # fmt: skip
    """Resilient propagation.

        Δ ← clip(Δ·η⁺ if g·g' > 0, Δ·η⁻ if g·g' < 0, Δ otherwise; Δmin, Δmax)
        g ← 0 where g·g' < 0
        p ← p - Δ·sign(g),  g' ← g

    Δ starts at the first step's lr, which means nothing afterwards. The paper also takes the last step back after a
    change of sign; torch does not, and Optax is one step late. NaN has no sign, as in torch: that element rests.
    """
    agreement = g * prev
    step_size = where(agreement > 0, etaplus * step_size, where(agreement < 0, etaminus * step_size, step_size))
    step_size = clip(step_size, step_size_min, step_size_max)
    g = where(agreement < 0, 0.0, g)
    return where(absolute(g) >= 0, sign(g), 0.0) * step_size, g, step_size
