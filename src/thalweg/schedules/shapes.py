"""Schedules by their formulas. The step t counts from 0; past their end they stay.

Warm-up is (t + 1)/warmup of the peak: no step has a rate of 0, and step `warmup` has the peak, as has the one before.
"""

from collections.abc import Callable

from thalweg.numerics import Value, clip, cos, minimum, where
from thalweg.options.ranges import POSITIVE, Range, whole
from thalweg.schedules.schedule import MAKERS, Schedule

PI = 3.141592653589793


def cosine(peak: float, *, steps: int, warmup: int = 0, end: float = 0.0) -> Schedule:
    """Half a cosine from `peak` at step `warmup` to `end` at step `steps`, after a linear warm-up.

    Loshchilov & Hutter 2016, arXiv:1608.03983, without restarts. As Optax's `warmup_cosine_decay_schedule` but for the
    warm-up, which begins above 0; torch's `CosineAnnealingLR` rises again past its end.

    Args:
        peak: above 0. steps: from 1. warmup: from 0, below `steps`. end: from 0 to `peak`.

    Raises:
        InputError: a value out of its range.
    """
    return _made("cosine", _cosine, peak, steps, warmup, end)


def linear(peak: float, *, steps: int, warmup: int = 0, end: float = 0.0) -> Schedule:
    """A line from `peak` at step `warmup` to `end` at step `steps`, after a linear warm-up. As `cosine` otherwise."""
    return _made("linear", _linear, peak, steps, warmup, end)


MAKERS.update(cosine=cosine, linear=linear)


def _cosine(t: Value, peak: float, steps: float, warmup: float, end: float) -> Value:
    share = 0.5 * (1.0 + cos(PI * _progress(t, steps, warmup)))
    return _warmed(t, warmup, peak, end + (peak - end) * share)


def _linear(t: Value, peak: float, steps: float, warmup: float, end: float) -> Value:
    return _warmed(t, warmup, peak, end + (peak - end) * (1.0 - _progress(t, steps, warmup)))


def _progress(t: Value, steps: float, warmup: float) -> Value:
    """The share of the way from the end of the warm-up to the end, in [0, 1]."""
    return clip((t - warmup) / (steps - warmup), 0.0, 1.0)


def _warmed(t: Value, warmup: float, peak: float, after: Value) -> Value:
    return after if warmup == 0 else where(t < warmup, minimum((t + 1.0) / warmup, 1.0) * peak, after)


def _made(name: str, shape: Callable[..., Value], peak: float, steps: int, warmup: int, end: float) -> Schedule:
    p = POSITIVE.check(f"The 'peak' of {name}", peak)
    n = whole(1).check(f"The 'steps' of {name}", steps)
    w = whole(0, n, open_high=True).check(f"The 'warmup' of {name}", warmup)
    e = Range(0.0, p).check(f"The 'end' of {name}", end)
    return Schedule(name, p, int(n), {"peak": p, "steps": n, "warmup": w, "end": e}, shape)
