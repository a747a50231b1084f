"""The leaderboard: one row per contender, ranked by mean confirmed test metric, with tie groups."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thalweg.analysis import moments, reliability, stars
from thalweg.analysis.cost import Target, cost, spent, target
from thalweg.analysis.finals import Split, common, details, final_runs, granularity, ranking_split, score, scores
from thalweg.analysis.intervals import (
    Interval,
    interquartile_mean,
    mean_interval,
    paired_interval,
    probability_of_improvement,
)
from thalweg.analysis.row import Row as Row
from thalweg.analysis.selection import Choice, Point, choose, points
from thalweg.analysis.sensitivity import sensitivity
from thalweg.analysis.stars import Stars
from thalweg.analysis.ties import tie_groups
from thalweg.records.types import RunRecord, StudyRecord


@dataclass(frozen=True)
class _Candidate:
    """A contender's runs and choice, from which its row is computed."""

    name: str
    runs: Sequence[RunRecord]
    tried: tuple[Point, ...]
    choice: Choice | None
    finals: Sequence[RunRecord]
    scores: Mapping[int, float]  # seed → score of a final run

    @property
    def whole(self) -> bool:
        return bool(self.finals) and len(self.scores) == len(self.finals)

    @property
    def mean(self) -> float | None:
        return moments.mean(self.scores.values()) if self.scores else None


@dataclass(frozen=True)
class _Field:
    """Values over all contenders that each row depends on."""

    study: StudyRecord
    sign: float
    split: Split
    first: _Candidate
    fastest: float | None
    worst: float | None  # worst final metric of any finished tuning run


def choices(study: StudyRecord, runs: Sequence[RunRecord]) -> dict[str, Choice | None]:
    """The tuned choice of each contender; `None` where every configuration failed."""
    return {name: chosen(study, own, points(own)) for name in study.contenders for own in (_of(runs, name),)}


def chosen(study: StudyRecord, own: Sequence[RunRecord], tried: Sequence[Point]) -> Choice | None:
    """A contender's choice: the confirmed configuration if there is one, even where the rule has changed since."""
    choice = choose(tried, higher_is_better=study.higher_is_better)
    confirmed = next((run.hyperparameters for run in own if run.role == "confirmation"), None)
    point = next((p for p in tried if p.hyperparameters == confirmed), None)
    return replace(choice, point=point) if choice and point else choice


def leaderboard(study: StudyRecord, runs: Sequence[RunRecord], level: float = 0.95) -> list[Row]:
    """All contenders, best first. A contender with a broken final run ranks behind those without.

    level: confidence level of the ties, in (0, 1); raise it for repeated looks at the data.
    """
    sign = 1.0 if study.higher_is_better else -1.0
    ranked, split = _ranked(study, runs, sign)
    final = [target(study, c.finals) for c in ranked if c.finals]
    tuning = [m for run in runs if run.role == "tuning" and (m := run.validation_metric) is not None]
    worst = min(tuning, key=lambda metric: sign * metric, default=None)
    field = _Field(study, sign, split, ranked[0], stars.fastest(final), worst)
    groups = _groups(field, ranked, level)
    return [_row(field, c, rank, group) for rank, (c, group) in enumerate(zip(ranked, groups, strict=True), 1)]


def _ranked(study: StudyRecord, runs: Sequence[RunRecord], sign: float) -> tuple[list[_Candidate], Split]:
    """The candidates, best first, and the split that ranks them."""
    own = {name: _of(runs, name) for name in study.contenders}
    tried = {name: tuple(points(of)) for name, of in own.items()}
    choice = {name: chosen(study, own[name], of) for name, of in tried.items()}
    finals = {name: final_runs(study, of, choice[name]) for name, of in own.items()}
    split = ranking_split(study, (run for each in finals.values() for run in each))

    def merit(c: _Candidate) -> tuple[bool, bool, float]:
        return c.whole, c.mean is not None, sign * (c.mean or 0.0)

    candidates = [
        _Candidate(name, own[name], tried[name], choice[name], finals[name], scores(finals[name], split))
        for name in study.contenders
    ]
    return sorted(candidates, key=merit, reverse=True), split


def _of(runs: Sequence[RunRecord], contender: str) -> list[RunRecord]:
    return [run for run in runs if run.contender == contender]


def _groups(field: _Field, ranked: Sequence[_Candidate], level: float) -> list[int]:
    """Tie groups, tested over the seeds common to all contenders whose final runs all finished; the others go last."""
    whole = [c for c in ranked if c.whole]
    seeds = sorted(set.intersection(*(set(c.scores) for c in whole))) if whole else []
    groups = tie_groups(
        [[field.sign * c.scores[seed] for seed in seeds] for c in whole],
        level,
        granularity=granularity(field.study, field.split),
    )
    return groups + [max(groups, default=0) + 1] * (len(ranked) - len(whole))


def _row(field: _Field, c: _Candidate, rank: int, group: int) -> Row:
    study, sign, split = field.study, field.sign, field.split
    defaults = [run for run in c.runs if run.role == "defaults"]
    default_scores = scores(defaults, split)
    reaching = target(study, c.finals)
    tied = c.whole and group == 1
    return Row(
        rank=rank,
        contender=c.name,
        factors=study.factors_of(c.name, c.runs),
        split=split,
        score=_interval(list(c.scores.values())),
        whole=c.whole,
        validation=_interval([run.validation_metric for run in c.finals]),
        test=_optional([score(run, "test") for run in c.finals]),
        best_validation=_optional([reliability.best_validation(run, sign) for run in c.finals]),
        best_test=_optional([run.best_test_metric for run in c.finals]),
        train=_interval([run.train_metric for run in c.finals]),
        defaults=_optional(list(default_scores.values())),
        default_learning_rate=defaults[0].learning_rate if defaults else None,
        tuning_gain=_paired(c.scores, default_scores, sign),
        steps_to_target=reaching.steps,
        reached=reaching.reached,
        runs=len(c.finals),
        diverged=sum(run.diverged for run in c.runs),
        trained=len(c.runs),
        seconds=moments.mean(run.seconds for run in c.runs) if c.runs else 0.0,
        group=group,
        tied=tied or rank == 1,
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
        sensitivity=sensitivity(
            c.tried, study.learning_rates.get(c.name, ()), field.worst, higher_is_better=study.higher_is_better
        ),
        stars=_stars(field, c, reaching, tied=tied),
        choice=c.choice,
        tried=c.tried,
        details=_details(c.finals, split),
    )


def _details(finals: Sequence[RunRecord], split: Split) -> Mapping[str, Interval]:
    each = [details(run, split) for run in finals]
    return {name: _interval([of.get(name) for of in each]) for name in dict.fromkeys(n for of in each for n in of)}


def _stars(field: _Field, c: _Candidate, reaching: Target, *, tied: bool) -> Stars:
    quick = stars.speed(reaching, field.fastest) if c.finals and field.study.target is not None else None
    if c.mean is None or field.first.mean is None:
        return Stars(quick, None)
    return Stars(quick, stars.quality(c.mean, field.first.mean, tied=tied, whole=c.whole))


def _improvement(field: _Field, c: _Candidate) -> float | None:
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


def _optional(values: Sequence[float | None]) -> Interval | None:
    interval = _interval(values)
    return interval if interval.count else None
