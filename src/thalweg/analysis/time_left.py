"""How far a whole study is, and how long it will still take."""

from dataclasses import dataclass, field

from thalweg.records.events import Event, Finished, Measured, Planned, StageBegan, StageProgress
from thalweg.records.types import StudyRecord

PRIOR = 0.05  # share of a study as which the measured pace of its plan counts beside what was trained
LEAST = 0.01  # share of a study after which time is told, where its plan has no pace
LOOK = 5  # confirmation seeds after which a study is looked at, as in `studies.protocol`
OVERDUE = 0.25  # share of the last estimate that is left at least while nothing new is heard


@dataclass(frozen=True)
class Expected:
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
    def of(cls, record: StudyRecord) -> "Expected":
        plan, seeds = record.plan.get("expected", {}), len(record.confirmation_seeds)
        runs = int(plan.get("runs", 0))
        budget, preparing = record.request.get("budget"), float(plan.get("preparing", 0.0))
        each = (plan["seconds"] - preparing) / runs if runs and "seconds" in plan else None
        finals = int(plan.get("finals", 2 * len(record.contenders)))
        most = int(plan.get("most_seeds", seeds))
        left = None if budget is None else max(0.0, budget - preparing)
        return cls(runs, finals, seeds, most, each, left, record.evaluate_every)

    @property
    def may_end_early(self) -> bool:
        """Whether the study ends before its last seeds once its ranking is settled, so that less time may be left."""
        return self.budget is not None or self.most > LOOK


@dataclass
class Outlook:
    """How far a study is by its events, each with the time at which it was heard, in seconds of any one clock.

    Runs of earlier sessions, and what a checkpoint had of others, count as done but not for the pace.
    """

    expected: Expected
    began: float = 0.0
    _stage: StageProgress = field(default_factory=lambda: StageProgress(StageBegan("", 0, 0, 1)))
    _extra: int = 0  # runs of extensions, which nobody could foresee
    _confirmed: int = 0  # runs of earlier stages of confirmation
    _unpaced: float = 0.0  # runs that this session did not train
    _seen: set[int] = field(default_factory=set)  # positions of the stage that were measured
    _told: tuple[float, float] | None = None  # (seconds left, at which time)

    def follow(self, event: Event, now: float) -> None:
        """Takes an event into account."""
        match event:
            case Planned():
                self.began = now
            case StageBegan():
                self._begin(event)
            case Measured():
                self._credit_checkpoint(event)
                self._stage.follow(event)
            case Finished():
                before = self._stage.runs
                self._stage.follow(event)
                self._unpaced += self._stage.runs - before if event.earlier else 0.0
            case _:
                return
        self._estimate(now)

    @property
    def done(self) -> float:
        """The number of runs done, with fractions of those in training."""
        return self._stage.began.first + self._stage.runs

    @property
    def total(self) -> float:
        """About how many runs the study will have, never fewer than are done; 0 where nothing was foreseen."""
        of, began = self.expected, self._stage.began
        if not of.runs:
            return 0.0
        if began.name == "confirmation" and of.finals:
            seeds, earlier = (max(1, round(began.runs / of.finals)), round(self._confirmed / of.finals))
            return began.first + began.runs * (1 + max(0, of.most - seeds - earlier) / seeds)
        foreseen = of.runs + self._extra + of.finals * (of.most - of.seeds)
        return float(max(foreseen, began.first + began.runs + of.finals * of.most))

    def left(self, now: float) -> float | None:
        """Seconds that the rest takes, at least 0; `None` while that cannot be told."""
        if self._told is None:
            return None
        seconds, at = self._told
        left = max(seconds - (now - at), OVERDUE * seconds)
        if self.expected.budget is not None:
            left = min(left, self.expected.budget - (now - self.began))
        return max(0.0, left)

    def _begin(self, stage: StageBegan) -> None:
        if self._stage.began.name == "confirmation":
            self._confirmed += self._stage.began.runs
        self._stage, self._seen = StageProgress(stage), set()
        self._extra += sum(run.round == "extension" for run in stage.planned)

    def _credit_checkpoint(self, event: Measured) -> None:
        new = [position for position in event.curves if position not in self._seen]
        self._seen.update(new)
        self._unpaced += len(new) * max(0, event.step - self.expected.every) / self._stage.began.steps

    def _estimate(self, now: float) -> None:
        total, trained = self.total, self.done - self._unpaced
        foreseen = PRIOR * total if self.expected.each else 0.0
        if not total or (not foreseen and trained < LEAST * total):
            return
        each = (foreseen * (self.expected.each or 0.0) + now - self.began) / (foreseen + max(0.0, trained))
        self._told = max(0.0, total - self.done) * each, now
