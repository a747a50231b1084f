"""Warm-up, stable, decay: a constant rate that can be left to decay at any time."""

import math

from thalweg.numerics import Value, clip, cos, sqrt
from thalweg.schedules.annealing import PI, Length, Level, warmed
from thalweg.schedules.arguments import Arguments
from thalweg.schedules.schedule import Schedule, maker

SHAPES = ("linear", "cosine", "1-sqrt")


@maker("hf", "timm")
def wsd(
    peak: float | None = None, *, steps: Length = None, warmup: int | str = 0, decay: int | str = "20%",
    shape: str | None = None, end: Level = None, start: Level = None, convention: str | None = None,
) -> Schedule:  # fmt: skip
    """Linear warm-up, the peak, and a decay to `end` over the last steps. Hu et al. 2024, arXiv:2404.06395.

    Args:
        peak: above 0; its base. steps: from 1, of all three parts; the whole run by default. warmup: from 0.
        decay: steps of the decay, from 1. shape: of the decay, "linear", "cosine" or "1-sqrt", the default
            (Hägele et al. 2024, arXiv:2405.18392). end: in [0, peak]. start: the value at step 0, as of `cosine`.
        convention: "hf" decays as a cosine by default and warms up from `end`; "timm" warms up from 0, and its `steps`
            begin after the warm-up.

    Raises:
        InputError: a value out of its range, such as warm-up and decay longer than the steps.
    """
    a = Arguments("wsd", locals())
    a.require_shares("warmup", "decay")
    top, total, low = a.base("peak"), a.run_length("steps", 1), a.level("end", a.base("peak"))
    after = a.convention == "timm"
    warm = a.length("warmup", 0, total, math.inf if after else total - 1)
    fall = a.length("decay", 1, total, total if after else total - warm)
    finish = total + warm if after else total
    shape = a.choice("shape", SHAPES, a.default("1-sqrt", hf="cosine"))
    if a.convention == "hf":
        a.refuse("it warms up from its end", "start")
    first = None if a.convention is None and start is None else a.level("start", top)
    return a.schedule(
        top, finish, _wsd, peak=top, warmup=warm, fall_from=finish - fall, fall=fall, shape=shape, end=low,
        start=low if a.convention == "hf" else first,
    )  # fmt: skip


def _wsd(
    t: Value, *, peak: float, warmup: float, fall_from: float, fall: float, shape: str, end: float, start: float | None
) -> Value:
    progress = clip((t - fall_from) / fall, 0.0, 1.0)
    if shape == "linear":
        left: Value = 1.0 - progress
    else:
        left = 1.0 - sqrt(progress) if shape == "1-sqrt" else 0.5 * (1.0 + cos(PI * progress))
    return warmed(t, warmup, peak, start, end + (peak - end) * left)
