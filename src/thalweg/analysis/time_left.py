"""How far a whole study is, and how long it will still take."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from thalweg.records.events import Event, Finished, Measured, Planned, StageBegan
from thalweg.records.types import StudyRecord

FADING = 0.5  # share of the time since the study began after which what was trained counts for a third
PRIOR = 0.01  # share of a study as which the measured pace of its plan counts beside what was trained
LEAST = 0.01  # share of a study after which time is told, where its plan has no pace
ALONE = 10.0  # runs of a population that take as long as one in the plain loop, until both are known
CONFIRMATION = "confirmation"  # the name of its stages
LOOK = 5  # confirmation seeds after which a study is looked at, as in `studies.protocol`
OVERDUE = 0.25  # share of the last estimate that is left at least while nothing new is heard


@dataclass(frozen=True)
class Foreseen:
    """What a study's record foresees.

    runs: of the whole study without extensions. finals: confirmation runs per seed. seeds: confirmation seeds planned;
    most: at most, under a budget. each: seconds per run, `None` if not measured. budget: seconds for all after the
    preparation; `None` without. every: steps between two measurements.
    """

    runs: int
    finals: int
    seeds: int
    most: int
    each: float | None
    budget: float | None
    every: int

    @classmethod
    def of(cls, record: StudyRecord) -> "Foreseen":
        plan, seeds = record.plan.get("expected", {}), len(record.confirmation_seeds)
        runs = int(plan.get("runs", 0))
        budget, preparing = record.request.get("budget"), float(plan.get("preparing", 0.0))
        each = (plan["seconds"] - preparing) / runs if runs and "seconds" in plan else None
        finals = int(plan.get("finals", 2 * len(record.contenders)))
        most = int(plan.get("most_seeds", seeds))
        if len(record.contenders) == 1:
            most = min(most, LOOK)  # nothing can tie with it
        left = None if budget is None else max(0.0, budget - preparing)
        return cls(runs, finals, seeds, most, each, left, record.evaluate_every)

    @property
    def may_end_early(self) -> bool:
        """Whether the study ends before its last seeds once its ranking is settled, so that less time may be left."""
        return self.budget is not None or self.most > LOOK


class Outlook:
    """How far a study is by its events, each with the time at which it was heard, in seconds of any one clock.

    Runs of contenders that ended say what one of each costs beside others: one in the plain loop takes as long as many
    of a population, `ALONE` of them until there are both. Runs of earlier sessions, and what a checkpoint had of
    others, count as done, but not for the pace.
    """

    def __init__(self, expected: Foreseen) -> None:
        self.expected = expected
        self._began, self._stage = 0.0, StageBegan("", 0, 0, 1)
        self._names: list[str] = []  # the contender of each run of the stage
        self._shares: dict[int, float] = {}  # position → share of its training that is done, in the stage
        self._planned = Counter[str]()  # contender → runs of the stages that began
        self._done: dict[str, float] = defaultdict(float)  # contender → runs done, with fractions
        self._unpaced: dict[str, float] = defaultdict(float)  # of these, what this session did not train
        self._ended, self._seconds = Counter[str](), defaultdict[str, float](float)  # contender → runs, and their time
        self._alone = dict[str, bool]()  # contender → whether it trains in the plain loop
        self._extra = 0  # runs of extensions, which nobody could foresee
        self._confirmed = 0  # runs of earlier stages of confirmation
        self._paced: dict[str, float] = defaultdict(float)  # contender → runs that this session trained
        self._recent: dict[str, float] = defaultdict(float)  # of these, those that count: the later, the more
        self._spent, self._at = 0.0, 0.0  # seconds in which those were trained; when the last event was heard
        self._told: tuple[float, float] | None = None  # (seconds left, at which time)

    def follow(self, event: Event, now: float) -> None:
        """Takes an event into account."""
        match event:
            case Planned():
                self._began = self._at = now
            case StageBegan():
                self._begin(event)
            case Measured():
                self._measured(event)
            case Finished():
                self._finished(event)
            case _:
                return
        self._pace(now)
        self._estimate(now)

    @property
    def done(self) -> float:
        """The number of runs done, with fractions of those in training."""
        return sum(self._done.values())

    @property
    def total(self) -> float:
        """About how many runs the study will have, never fewer than are done; 0 where nothing was foreseen."""
        of, stage = self.expected, self._stage
        if not of.runs:
            return 0.0
        if stage.name == CONFIRMATION and of.finals:
            seeds, earlier = max(1, round(stage.runs / of.finals)), round(self._confirmed / of.finals)
            return stage.first + stage.runs * (1 + max(0, of.most - seeds - earlier) / seeds)
        foreseen = of.runs + self._extra + of.finals * (of.most - of.seeds)
        return float(max(foreseen, stage.first + stage.runs + of.finals * of.most))

    def left(self, now: float) -> float | None:
        """Seconds that the rest takes, at least 0; `None` while that cannot be told."""
        if self._told is None:
            return None
        seconds, at = self._told
        left = max(seconds - (now - at), OVERDUE * seconds)
        if self.expected.budget is not None:
            left = min(left, self.expected.budget - (now - self._began))
        return max(0.0, left)

    def _begin(self, stage: StageBegan) -> None:
        if self._stage.name == CONFIRMATION:
            self._confirmed += self._stage.runs
        self._stage, self._shares = stage, {}
        self._names = [run.contender for run in stage.planned] or [""] * stage.runs
        self._planned.update(self._names)
        self._alone.update((run.contender, run.alone) for run in stage.planned)
        self._extra += sum(run.round == "extension" for run in stage.planned)

    def _measured(self, event: Measured) -> None:
        share = event.step / self._stage.steps
        loaded = max(0.0, share - self.expected.every / self._stage.steps)  # where a run's first point is a later one
        for position in event.curves:
            if position not in self._shares and loaded:
                self._unpaced[self._name(position)] += loaded
            self._put(position, share)

    def _finished(self, event: Finished) -> None:
        for position, run in event.runs.items():
            name, before = self._name(position), self._shares.get(position, 0.0)
            self._put(position, 1.0)
            self._seconds[name] += run.seconds
            self._ended[name] += 1
            if event.earlier:
                self._unpaced[name] += 1.0 - before

    def _put(self, position: int, share: float) -> None:
        self._done[self._name(position)] += share - self._shares.get(position, 0.0)
        self._shares[position] = share

    def _name(self, position: int) -> str:
        index = position - self._stage.first
        return self._names[index] if 0 <= index < len(self._names) else ""

    def _pace(self, now: float) -> None:
        """Adds what the event brought to the pace; what was before fades, since a machine's load changes."""
        passed, span = now - self._at, FADING * max(now - self._began, 1e-9)
        kept, self._at = math.exp(-passed / span), now
        self._spent = kept * self._spent + passed
        for name, done in self._done.items():
            paced = done - self._unpaced[name]
            self._recent[name] = kept * self._recent[name] + paced - self._paced[name]
            self._paced[name] = paced

    def _estimate(self, now: float) -> None:
        total = self.total
        if not total:
            return
        costs, future = self._costs(), max(0.0, total - sum(self._planned.values()))
        left = future * (fmean(costs.values()) if costs else 1.0)
        left += sum(costs[name] * (count - self._done[name]) for name, count in self._planned.items())
        whole = left + sum(costs[name] * self._done[name] for name in costs)
        if whole <= 0:  # nothing is left or done of what is known
            return
        recent = max(0.0, sum(costs[name] * self._recent[name] for name in costs))  # less than none: trained again
        mixed = len(set(self._alone.values())) > 1  # the plan's pace is of one kind then
        if self.expected.each is not None and not mixed:
            recent, spent = recent + PRIOR * whole, self._spent + PRIOR * total * self.expected.each
        elif recent >= LEAST * whole:
            spent = self._spent
        else:
            return
        self._told = max(0.0, left) * spent / recent, now

    def _costs(self) -> dict[str, float]:
        """Contender → seconds of one of its runs, on average; of one of which none has ended, those of others."""
        known = {name: self._seconds[name] / n for name, n in self._ended.items() if self._seconds[name] > 0}
        return {name: known.get(name) or self._like(name, known) for name in self._planned}

    def _like(self, name: str, known: Mapping[str, float]) -> float:
        """The mean of those that are known and train in the same way, else that of others by `ALONE`."""
        alone = self._alone.get(name, False)
        same = [cost for other, cost in known.items() if self._alone.get(other, False) is alone]
        others = [cost * (ALONE if alone else 1 / ALONE) for cost in known.values()]
        if same or others:
            return fmean(same or others)
        return ALONE if alone else 1.0
