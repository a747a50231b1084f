"""What happens in a running study, as data: the store, a terminal, a log and any later display subscribe to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.records.types import Measurement, Role, Round, RunRecord, StudyRecord


@dataclass(frozen=True)
class Planned:
    """The study is about to train, or to go on. told: the plan in one sentence."""

    record: StudyRecord
    told: str


@dataclass(frozen=True)
class PlannedRun:
    """A run before it trains; its fields are those of the `RunRecord` that comes of it.

    alone: whether its optimizer trains by the plain loop, one run after the other, whatever the model does.
    """

    contender: str
    hyperparameters: Mapping[str, Any]
    rate: str | None
    seed: int
    role: Role
    round: Round
    alone: bool = False


@dataclass(frozen=True)
class StageBegan:
    """A stage of `runs` runs of at most `steps` steps began; `first`: the position of its first run in the study.

    planned: its runs by ascending position, where they are known.
    """

    name: str
    first: int
    runs: int
    steps: int
    planned: Sequence[PlannedRun] = ()


@dataclass(frozen=True)
class Measured:
    """Curves grew by a point after `step`, by position of the run; `None` for a run that had ended before.

    A run that is trained again, as after an error of its population, is measured again from its first step.
    """

    step: int
    curves: Mapping[int, Measurement | None]


@dataclass(frozen=True)
class Finished:
    """Runs ended, by position; also those of a stage that had ended in an earlier session."""

    runs: Mapping[int, RunRecord]
    earlier: bool = False


@dataclass(frozen=True)
class Noted:
    """A sentence for whoever watches. recorded: whether it stands in the study's record, too."""

    told: str
    recorded: bool = False


@dataclass(frozen=True)
class Chosen:
    """Tuning ended: contender → its hyperparameters, `None` without a choice. The test split is not read before."""

    selection: Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Afforded:
    """Answers of the budget's clock so far, which a resumed study repeats."""

    answers: Sequence[int]


@dataclass(frozen=True)
class Concluded:
    """The study is finished."""

    record: StudyRecord
    verdict: str


Event = Planned | StageBegan | Measured | Finished | Noted | Chosen | Afforded | Concluded
Listener = Callable[[Event], None]


def stream(*listeners: Listener) -> Listener:
    """A listener that passes every event on to these, in their order: what the first stores, the second may show."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell


@dataclass
class StageProgress:
    """How far the runs of a stage are, by the events since it began."""

    began: StageBegan
    _shares: dict[int, float] = field(default_factory=dict)
    _sum: float = 0.0

    def follow(self, event: Measured | Finished) -> None:
        share = event.step / self.began.steps if isinstance(event, Measured) else 1.0
        for position in event.curves if isinstance(event, Measured) else event.runs:
            self._sum += share - self._shares.get(position, 0.0)
            self._shares[position] = share

    @property
    def runs(self) -> float:
        """The number of runs done, with fractions of those in training."""
        return min(self._sum, float(self.began.runs))

    @property
    def done(self) -> float:
        """The share of the stage in [0, 1]."""
        return max(0.0, min(1.0, self._sum / self.began.runs)) if self.began.runs else 1.0
