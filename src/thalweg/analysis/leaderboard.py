"""The leaderboard: one row per contender, ranked by mean confirmed test metric, with tie groups."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thalweg.analysis import moments, reliability, stars
from thalweg.analysis.candidates import Candidate, Contest, chosen, contest, gained, of_contender, ranked, untuned
from thalweg.analysis.cost import Target, cost, spent, target
from thalweg.analysis.finals import Split, common, details, score
from thalweg.analysis.good_range import GoodRange, good_range
from thalweg.analysis.intervals import (
    Interval,
    interquartile_mean,
    mean_interval,
    paired_interval,
    probability_of_improvement,
)
from thalweg.analysis.metric_range import tolerated, within
from thalweg.analysis.row import Row as Row
from thalweg.analysis.selection import Choice, points
from thalweg.analysis.sensitivity import expected_metric
from thalweg.analysis.stars import Stars
from thalweg.analysis.ties import LEVEL
from thalweg.records.types import RunRecord, StudyRecord


@dataclass(frozen=True)
class _Field:
    """Values over all contenders that each row depends on."""

    study: StudyRecord
    sign: float
    split: Split
    first: Candidate
    fastest: float | None
    worst: float | None  # worst final metric of any finished tuning run
    contest: Contest
    resolved: float  # the difference that the contest can tell apart; 0 where nothing tells
    gained: float


def choices(study: StudyRecord, runs: Sequence[RunRecord]) -> dict[str, Choice | None]:
    """The tuned choice of each contender; `None` where every configuration failed."""
    return {name: chosen(study, own, points(own)) for name in study.contenders for own in (of_contender(runs, name),)}


def leaderboard(study: StudyRecord, runs: Sequence[RunRecord], level: float = LEVEL) -> list[Row]:
    """All contenders, best first. A contender with a failed final run ranks behind those without.

    level: confidence level of the ties, in (0, 1); raise it for repeated looks at the data.
    """
    sign = 1.0 if study.higher_is_better else -1.0
    found, split = ranked(study, runs)
    final = [target(study, c.finals) for c in found if c.finals]
    tuning = [m for run in runs if run.role == "tuning" and (m := run.validation_metric) is not None]
    worst = min(tuning, key=lambda metric: sign * metric, default=None)
    own = contest(study, found, split)
    told = own.separable()
    alone = own.separable_beside(found[0].default_scores) if len(own.names) == 1 else 0.0
    resolves = told.difference if told else alone
    gain = gained(found, higher_is_better=study.higher_is_better)
    field = _Field(study, sign, split, found[0], stars.fastest(final), worst, own, resolves, gain)
    groups = own.groups(level)
    last = max(groups.values(), default=0) + 1
    return [_row(field, c, rank, groups.get(c.name, last)) for rank, c in enumerate(found, 1)]


def _row(field: _Field, c: Candidate, rank: int, group: int) -> Row:
    study, sign, split = field.study, field.sign, field.split
    reaching = target(study, c.finals)
    tied = c.reliable and group == 1
    return Row(
        rank=rank,
        contender=c.name,
        factors=study.factors_of(c.name, c.runs),
        split=split,
        score=_of_metric(study, list(c.scores.values())),
        scores=c.scores,
        whole=c.whole,
        failed=c.failed,
        validation=_of_metric(study, [run.validation_metric for run in c.finals]),
        test=_optional(study, [score(run, "test") for run in c.finals]),
        best_validation=_optional(study, [reliability.best_validation(run, sign) for run in c.finals]),
        best_test=_optional(study, [run.best_test_metric for run in c.finals]),
        train=_of_metric(study, [run.train_metric for run in c.finals]),
        defaults=_optional(study, list(c.default_scores.values())),
        default_learning_rate=c.defaults[0].learning_rate if c.defaults else None,
        untuned=untuned(study, c, field.contest, field.gained),
        tuning_gain=_paired(c.scores, c.default_scores, sign),
        steps_to_target=reaching.steps,
        reached=reaching.reached,
        runs=len(c.finals),
        diverged=sum(run.diverged for run in c.runs),
        trained=len(c.runs),
        seconds=moments.mean(run.seconds for run in c.runs) if c.runs else 0.0,
        group=group,
        tied=tied or rank == 1,
        close=_is_close(field, c),
        behind=_paired(field.first.scores, c.scores, sign) if c.whole and field.first.whole else None,
        improvement=_improvement(field, c),
        iqm=interquartile_mean(list(c.scores.values())) if c.scores else None,
        gap=reliability.gap(c.finals, split, sign),
        curse=reliability.curse(c.choice, c.finals, sign),
        late_gain=reliability.late_gain(c.finals, sign),
        failures=reliability.failures(c.runs),
        target=reaching,
        cost=cost(c.runs),
        spent=spent(study, c.runs),
        good=_good(field, c),
        expected=expected_metric(
            c.tried, study.learning_rates.get(c.name, ()), field.worst, higher_is_better=study.higher_is_better
        ),
        rate_is_step=study.calls.get(c.name, {}).get("rate_is_step", True),
        stars=_stars(field, c, reaching, tied=tied),
        choice=c.choice,
        tried=c.tried,
        details=_details(c.finals, split),
    )


def _details(finals: Sequence[RunRecord], split: Split) -> Mapping[str, Interval]:
    each = [details(run, split) for run in finals]
    return {name: _interval([of.get(name) for of in each]) for name in dict.fromkeys(n for of in each for n in of)}


def _is_close(field: _Field, c: Candidate) -> bool:
    study, first = field.study, field.first
    if c.mean is None or first.mean is None or c.choice is None or first.choice is None:
        return False
    up, tuned = study.higher_is_better, (first.choice.point.metric.mean, c.choice.point.metric.mean)
    return all(
        field.sign * (best - own) <= tolerated(study.metric, best, field.resolved, field.gained, higher_is_better=up)
        for best, own in ((first.mean, c.mean), tuned)
    )


def _good(field: _Field, c: Candidate) -> GoodRange | None:
    if c.choice is None:
        return None
    up = field.study.higher_is_better
    enough = tolerated(
        field.study.metric, c.choice.point.metric.mean, field.resolved, field.gained, higher_is_better=up
    )
    return good_range(c.tried, c.choice.point, enough, higher_is_better=up)


def _stars(field: _Field, c: Candidate, reaching: Target, *, tied: bool) -> Stars:
    quick = stars.speed(reaching, field.fastest) if c.finals and field.study.target is not None else None
    if c.mean is None or field.first.mean is None:
        return Stars(quick, None)
    return Stars(quick, stars.quality(c.mean, field.first.mean, tied=tied, reliable=c.reliable))


def _improvement(field: _Field, c: Candidate) -> float | None:
    if not c.scores or not field.first.scores:
        return None
    mine, firsts = list(c.scores.values()), list(field.first.scores.values())
    return probability_of_improvement(mine, firsts, higher_is_better=field.study.higher_is_better)


def _paired(a: Mapping[int, float], b: Mapping[int, float], sign: float) -> Interval | None:
    """Mean advantage of `a` over `b` on their common seeds, with its interval; `None` without a common seed."""
    better, worse = common(a, b)
    return paired_interval([sign * x for x in better], [sign * x for x in worse]) if better else None


def _interval(values: Sequence[float | None]) -> Interval:
    return mean_interval([v for v in values if v is not None and math.isfinite(v)])


def _of_metric(study: StudyRecord, values: Sequence[float | None]) -> Interval:
    return within(_interval(values), study.metric)


def _optional(study: StudyRecord, values: Sequence[float | None]) -> Interval | None:
    interval = _of_metric(study, values)
    return interval if interval.count else None
