"""Contenders with their choices and final scores, ranked, and the tests between them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thalweg.analysis import moments
from thalweg.analysis.finals import Split, final_runs, granularity, ranking_split, scores
from thalweg.analysis.intervals import standard_error
from thalweg.analysis.metric_range import negligible, tolerated
from thalweg.analysis.outliers import GAP, outliers
from thalweg.analysis.selection import Choice, Point, best, choose, line_of, points
from thalweg.analysis.separable import Separable, separable
from thalweg.analysis.ties import tie_groups, ties
from thalweg.records.types import RunRecord, StudyRecord

SURE = 4.0  # standard errors that a gain of training exceeds, to tell it from noise


@dataclass(frozen=True)
class Candidate:
    """A contender's runs and choice, from which its row is computed.

    scores, default_scores: seed → score of a final run, of a run of the published defaults. failed: the seeds of final
    runs that broke off or are outliers.
    """

    name: str
    runs: Sequence[RunRecord]
    tried: tuple[Point, ...]
    choice: Choice | None
    finals: Sequence[RunRecord]
    scores: Mapping[int, float]
    defaults: Sequence[RunRecord]
    default_scores: Mapping[int, float]
    failed: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        return bool(self.finals) and len(self.scores) == len(self.finals)

    @property
    def reliable(self) -> bool:
        return self.whole and not self.failed

    @property
    def mean(self) -> float | None:
        return moments.mean(self.scores.values()) if self.scores else None


def chosen(study: StudyRecord, own: Sequence[RunRecord], tried: Sequence[Point]) -> Choice | None:
    """A contender's choice: the confirmed configuration if there is one, even where the rule has changed since."""
    choice = choose(tried, higher_is_better=study.higher_is_better)
    confirmed = next((run.hyperparameters for run in own if run.role == "confirmation"), None)
    point = next((p for p in tried if p.hyperparameters == confirmed), None)
    return replace(choice, point=point) if choice and point else choice


def of_contender(runs: Sequence[RunRecord], contender: str) -> list[RunRecord]:
    return [run for run in runs if run.contender == contender]


def ranked(study: StudyRecord, runs: Sequence[RunRecord]) -> tuple[list[Candidate], Split]:
    """The candidates, best first, and the split that ranks them; unreliable ones rank behind the others."""
    own = {name: of_contender(runs, name) for name in study.contenders}
    tried = {name: tuple(points(of)) for name, of in own.items()}
    choice = {name: chosen(study, own[name], of) for name, of in tried.items()}
    finals = {name: final_runs(study, of, choice[name]) for name, of in own.items()}
    split = ranking_split(study, (run for each in finals.values() for run in each))
    defaults = {name: [run for run in of if run.role == "defaults"] for name, of in own.items()}
    candidates = [
        Candidate(
            *(name, own[name], tried[name], choice[name], finals[name], scores(finals[name], split)),
            *(defaults[name], scores(defaults[name], split)),
        )
        for name in study.contenders
    ]
    sign = 1.0 if study.higher_is_better else -1.0

    def merit(c: Candidate) -> tuple[bool, bool, bool, float]:
        return c.reliable, c.whole, c.mean is not None, sign * (c.mean or 0.0)

    return sorted(_judged(study, candidates, split), key=merit, reverse=True), split


def _judged(study: StudyRecord, candidates: Sequence[Candidate], split: Split) -> list[Candidate]:
    """The candidates with the seeds whose final runs failed."""
    table = {c.name: c.scores for c in candidates}
    far = outliers(table, least(study, table, granularity(study, split)), higher_is_better=study.higher_is_better)
    broken = {c.name: {run.seed for run in c.finals} - c.scores.keys() for c in candidates}
    return [replace(c, failed=tuple(sorted({*far[c.name], *broken[c.name]}))) for c in candidates]


def least(study: StudyRecord, table: Mapping[str, Mapping[int, float]], step: float) -> dict[str, float]:
    """Contender → a gap between scores that does not matter, or that rounding makes: `GAP` times its scatter.

    step: the smallest one between two scores; see `finals.granularity`.
    """
    up, metric = study.higher_is_better, study.metric
    means = {name: moments.mean(own.values()) if own else 0.0 for name, own in table.items()}
    rounding = GAP * step / math.sqrt(12)  # whose standard deviation is that of a uniform distribution
    return {name: max(rounding, negligible(metric, mean, higher_is_better=up)) for name, mean in means.items()}


@dataclass(frozen=True)
class Contest:
    """The reliable candidates' scores over their common seeds, best first, signed so that higher is better."""

    names: tuple[str, ...]
    table: tuple[tuple[float, ...], ...]
    seeds: tuple[int, ...]
    sign: float
    granularity: float

    def groups(self, level: float) -> dict[str, int]:
        """Group numbers from 1, by `ties.RULE`."""
        return dict(zip(self.names, tie_groups(self.table, level, self.granularity), strict=True))

    def separable(self) -> Separable | None:
        return separable(self.table, self.granularity)

    def beside(self, scores: Mapping[int, float]) -> tuple[list[tuple[float, ...]], int] | None:
        """The table with further scores on the same seeds, and their place in it; `None` where some are missing."""
        if not self.names or not self.seeds or not set(self.seeds) <= scores.keys():
            return None
        own = tuple(self.sign * scores[seed] for seed in self.seeds)
        table = sorted([*self.table, own], key=moments.mean, reverse=True)
        return table, table.index(own)

    def separable_beside(self, scores: Mapping[int, float]) -> float:
        """The difference that can be told apart with further scores beside; 0 where nothing tells."""
        found = self.beside(scores)
        told = separable(found[0], self.granularity) if found else None
        return told.difference if told else 0.0


def contest(study: StudyRecord, candidates: Sequence[Candidate], split: Split) -> Contest:
    """The contest of ranked candidates."""
    able = [c for c in candidates if c.reliable]
    seeds = sorted(set.intersection(*(set(c.scores) for c in able))) if able else []
    sign = 1.0 if study.higher_is_better else -1.0
    table = tuple(tuple(sign * c.scores[seed] for seed in seeds) for c in able)
    return Contest(tuple(c.name for c in able), table, tuple(seeds), sign, granularity(study, split))


def gained(candidates: Sequence[Candidate], *, higher_is_better: bool) -> float:
    """How much better the validation metric is at the best rate than at the lowest one tried, which learns least: the
    most of any contender. Infinite where none has two rates, or no difference is `SURE`."""
    sign, most = 1.0 if higher_is_better else -1.0, -math.inf
    for c in candidates:
        top = best(c.tried, higher_is_better=higher_is_better)
        able = [p for p in line_of(c.tried, top) if p.eligible and p.learning_rate is not None] if top else []
        if top is not None and len(able) > 1:
            error = math.hypot(*(standard_error([*p.values.values()]) for p in (top, able[0])))
            gain = sign * (top.metric.mean - able[0].metric.mean)
            most = max(most, gain if gain > SURE * error else -math.inf)
    return most if most > 0 else math.inf


def untuned(study: StudyRecord, candidate: Candidate, against: Contest, gain: float) -> bool:
    """Whether the published defaults trained with every seed, are not separated from the first, and end no further
    below it than a good learning rate. gain: see `gained`."""
    scores, up = candidate.default_scores, study.higher_is_better
    found = against.beside(scores)
    if found is None or len(scores) < len(candidate.defaults):
        return False
    whole, place = found
    if not ties(whole, granularity=against.granularity)[place]:
        return False
    first = against.sign * moments.mean(against.table[0])
    enough = tolerated(study.metric, first, against.separable_beside(scores), gain, higher_is_better=up)
    if against.sign * (first - moments.mean(scores.values())) > enough:
        return False
    table = {"tuned": candidate.scores, "defaults": scores}
    return not outliers(table, least(study, table, against.granularity), higher_is_better=up)["defaults"]
