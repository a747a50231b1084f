"""Curves of learning-rate range tests: the loss of a run whose rate rises at every step, and what is read off it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW = 0.04  # of the sweep: the width of the mean that smooths it
BEGINNING = 0.08  # of the sweep: the steps whose mean is the loss at the start
EDGE = 0.1  # of the fall: reached at the lower edge
BURST = 0.5  # of the fall: lost again at the edge of divergence
CERTAIN = 6.0  # standard errors that a fall exceeds, which noise alone does not in so many windows
LEAST = 1e-9  # of the loss: a fall that rounding cannot make
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of the fall whose rates are read off."""


@dataclass(frozen=True)
class RangeCurve:
    """One optimizer's sweep. rates: ascending, `[steps]`. losses: of each step's batch before its update,
    `[seeds, steps]`; NaN or infinity from a run's divergence on. failure: why none of its runs could be trained."""

    rates: Floats
    losses: Floats
    failure: str = ""

    @property
    def mean(self) -> Floats:
        """The mean over seeds, infinite where a run has ended, `[steps]`."""
        return np.where(np.isfinite(self.losses).all(axis=0), _mean(self.losses), math.inf)

    @property
    def smoothed(self) -> Floats:
        """The mean over seeds and over a window of log-rates, infinite from the first end of a run, `[steps]`."""
        return _smoothed(self.mean)


@dataclass(frozen=True)
class RangeFeatures:
    """What is read off a curve that falls.

    lower_edge: the rate at which a tenth of the fall is reached. steepest: the rate of the steepest descent in
    log-rate. minimum: the rate of the lowest smoothed loss. divergence: the rate beyond it at which half of the fall is
    lost again, or a run ends; `None` where that is not reached. start, lowest: losses. levels: rates at which `LEVELS`
    of the fall are reached. last: the highest rate of the sweep.
    """

    lower_edge: float
    steepest: float
    minimum: float
    divergence: float | None
    start: float
    lowest: float
    levels: tuple[float, ...]
    last: float


def _smoothed(values: Floats) -> Floats:
    """The centred mean over a window, which is cut at the ends; infinite from the first value that is not finite."""
    half = max(1, round(WINDOW * len(values) / 2))
    whole = int(np.argmin(np.isfinite(values))) if not np.isfinite(values).all() else len(values)
    out = np.full(len(values), math.inf)
    for i in range(whole):
        out[i] = values[max(i - half, 0) : min(i + half + 1, whole)].mean()
    return out


def features(curve: RangeCurve) -> RangeFeatures | None:
    """Reads the features off a curve; `None` where the loss does not fall by more than its noise.

    What follows a divergence is not read: a network that is thrown far away may fit something again.
    """
    logs = np.log10(curve.rates)
    beginning = max(2, round(BEGINNING * len(logs)))
    start, noise = float(curve.mean[:beginning].mean()), _noise(curve)
    if not math.isfinite(start):
        return None
    line = _until_divergence(curve.smoothed, start, noise)
    at = int(np.argmin(line))
    fall = start - float(line[at])
    if at < beginning or not fall > max(CERTAIN * noise, LEAST * abs(start)):
        return None
    falling = line[: at + 1]
    levels = tuple(_reached(falling, logs, start - share * fall) for share in LEVELS)
    return RangeFeatures(
        lower_edge=_reached(falling, logs, start - EDGE * fall),
        steepest=_steepest(falling, logs),
        minimum=float(curve.rates[at]),
        divergence=_divergence(line, curve.rates, at, float(line[at]) + BURST * fall),
        start=start,
        lowest=float(line[at]),
        levels=levels,
        last=float(curve.rates[-1]),
    )


def _until_divergence(line: Floats, start: float, noise: float) -> Floats:
    """The smoothed losses, infinite from where they rise above the start by half of their fall so far."""
    fall = start - np.minimum.accumulate(line)
    beyond = np.flatnonzero(line > start + np.maximum(BURST * fall, CERTAIN * noise))
    out = line.copy()
    out[int(beyond[0]) if len(beyond) else len(line) :] = math.inf
    return out


def _mean(losses: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(losses.sum(axis=0) / len(losses), np.float64)


def _noise(curve: RangeCurve) -> float:
    """The standard error of a smoothed value, from the differences of neighbouring steps in the first half."""
    half = curve.mean[: len(curve.rates) // 2]
    finite = half[np.isfinite(half)]
    if len(finite) < 3:
        return math.inf
    width = 2 * max(1, round(WINDOW * len(curve.rates) / 2)) + 1
    return float(np.median(np.abs(np.diff(finite)))) / (0.6745 * math.sqrt(2.0 * width))


def _reached(line: Floats, logs: Floats, level: float) -> float:
    """The rate from which on the loss stays at or below a level until the minimum, interpolated in log-rate."""
    above = np.flatnonzero(line > level)
    if not len(above):
        return float(10.0 ** logs[0])
    i = int(above[-1])
    if i + 1 >= len(line):
        return float(10.0 ** logs[i])
    share = (line[i] - level) / (line[i] - line[i + 1])
    return float(10.0 ** (logs[i] + share * (logs[i + 1] - logs[i])))


def _steepest(line: Floats, logs: Floats) -> float:
    """The rate at the middle of the steepest chord over a tenth of the sweep."""
    span = max(2, min(len(line) - 1, round(0.1 * len(logs))))
    falls = line[:-span] - line[span:]
    i = int(np.argmax(falls))
    return float(10.0 ** ((logs[i] + logs[i + span]) / 2))


def _divergence(line: Floats, rates: Floats, at: int, level: float) -> float | None:
    beyond = np.flatnonzero(line[at:] > level)
    return float(rates[at + int(beyond[0])]) if len(beyond) else None


def swept_rates(low: float, high: float, steps: int) -> Floats:
    """The rates of a sweep, `[steps]`: from low to high, in equal ratios."""
    return np.asarray(low * (high / low) ** (np.arange(steps) / (steps - 1)), np.float64)


def as_losses(runs: Sequence[Sequence[float]], steps: int) -> Floats:
    """The losses of runs of at most so many steps, `[seeds, steps]`, NaN after a run's end."""
    out = np.full((len(runs), steps), math.nan)
    for row, losses in zip(out, runs, strict=True):
        row[: len(losses)] = losses[:steps]
    return out
