"""Scores of an ensemble beside its members': the gain, by how many models, with intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.analysis.formatting import is_percent, metric_name, number, size, value_text
from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.errors import counted
from thalweg.records.types import StudyRecord

MOST_GROUPS = 20
"""Ensembles scored of each size, at most."""


@dataclass(frozen=True)
class SizeScore:
    """The score of ensembles of so many of the members.

    mean: over `groups` ensembles, in which each member is as often as any other. margin: half of a 95% interval by
    Student's t over the ensembles that share no member; NaN for fewer than two of these.
    """

    models: int
    mean: float
    margin: float
    groups: int


@dataclass(frozen=True)
class EnsembleScores:
    """Scores on one split. members: of each model alone. ensemble: of all together.

    gain: ensemble minus member, positive where the ensemble is better, with the interval of its mean over members: the
    ensemble is taken as it is.
    """

    members: tuple[float, ...]
    mean: Interval
    ensemble: float
    gain: Interval
    sizes: tuple[SizeScore, ...]


def ensemble_scores(models: int, score: Callable[[Sequence[int]], float], *, higher_is_better: bool) -> EnsembleScores:
    """The scores of ensembles of `models` ≥ 2 members. score: of the ensemble of the members at some indices."""
    alone = tuple(score([i]) for i in range(models))
    whole = score(range(models))
    sign = 1.0 if higher_is_better else -1.0
    sizes = [_of_size(k, models, score) for k in _counts(models) if 1 < k < models]
    first, last = mean_interval(alone), SizeScore(models, whole, math.nan, 1)
    one = SizeScore(1, first.mean, first.margin, models)
    gain = mean_interval([sign * (whole - value) for value in alone])
    return EnsembleScores(alone, first, whole, gain, (one, *sizes, last))


def _of_size(k: int, models: int, score: Callable[[Sequence[int]], float]) -> SizeScore:
    apart = [score(range(start, start + k)) for start in range(0, models - k + 1, k)][:MOST_GROUPS]
    starts = range(models) if models <= MOST_GROUPS else []
    ring = [score([(start + i) % models for i in range(k)]) for start in starts] or apart
    margin = mean_interval(apart).margin if len(apart) > 1 else math.nan
    return SizeScore(k, mean_interval(ring).mean, margin, len(ring))


def _counts(models: int) -> list[int]:
    """The sizes that are scored: all up to 20, then about equal ratios."""
    if models <= MOST_GROUPS:
        return list(range(1, models + 1))
    steps = MOST_GROUPS - 1
    return sorted({round(models ** (i / steps)) for i in range(steps + 1)} | {models})


def ensemble_verdict(study: StudyRecord, found: Mapping[str, Any]) -> str:
    """The findings of an ensemble in words."""
    members, gain = len(found["members"]), interval_of(found["gain"])
    of, metric = "snapshots" if found["snapshots"] else "models", metric_name(study.metric)
    scores = (
        f"{members} {of} of {study.contenders[0]} together: {found['split']} {metric}"
        f" {value_text(study, found['ensemble'])}, {number(study, interval_of(found['mean']))} on average alone."
    )
    parts = [scores, gain_text(study, gain, "The ensemble", "its members")]
    if found["broke"]:
        parts.append(f"{counted(found['broke'], 'run')} broke off and stand in no score.")
    return " ".join(parts)


def gain_text(study: StudyRecord, gain: Interval, first: str, second: str) -> str:
    """Which of two is better, by how much, with the 95% interval of the difference; gain: of the first."""
    unit = " points" if is_percent(study) else ""
    ends = f"(95% interval {_signed(study, gain.low)} to {_signed(study, gain.high)})"
    if math.isnan(gain.low):
        return f"{first} minus {second}: {_signed(study, gain.mean)}{unit}, of one seed, without an interval."
    if gain.low > 0 or gain.high < 0:
        word = "better" if gain.mean > 0 else "worse"
        return f"{first} is {word} than {second} by {size(study, abs(gain.mean))} {ends}."
    return f"{first} and {second} are not separated: {_signed(study, gain.mean)}{unit} {ends}."


def _signed(study: StudyRecord, difference: float) -> str:
    return f"{'+' if difference >= 0 else '-'}{size(study, abs(difference)).removesuffix(' points')}"


def gain_cell(study: StudyRecord, gain: Interval) -> str:
    """A gain in a table: `+1.4 ± 0.2 points`, `-0.013`; without a margin where there is none."""
    unit = " points" if is_percent(study) else ""
    margin = "" if math.isnan(gain.margin) else f" ± {size(study, gain.margin).removesuffix(' points')}"
    return f"{_signed(study, gain.mean)}{margin}{unit}"


def interval_of(stored: Mapping[str, Any]) -> Interval:
    """An interval from JSON data."""
    pair = stored.get("pair")
    values = {name: math.nan if stored[name] is None else stored[name] for name in ("mean", "low", "high")}
    return Interval(**values, count=stored["count"], pair=None if pair is None else tuple(pair), cut=stored["cut"])


def stored_interval(interval: Interval) -> dict[str, Any]:
    """An interval as JSON data, of which `interval_of` makes it again."""
    ends = {name: None if math.isnan(v := getattr(interval, name)) else v for name in ("mean", "low", "high")}
    return {**ends, "count": interval.count, "pair": interval.pair and list(interval.pair), "cut": interval.cut}
