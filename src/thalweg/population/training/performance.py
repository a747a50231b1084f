"""Performance scheduling in training: after each measurement, rates that no longer improve the metric are cut."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from thalweg.population.training.events import Training
from thalweg.population.training.job import Job
from thalweg.population.updates.members import Member
from thalweg.population.updates.snapshot import Snapshot
from thalweg.schedules import Performance, PlateauState, Schedule


@dataclass
class RateNow:
    """The rate of one member in training, which its optimizer asks for before each interval of steps."""

    performance: Performance
    state: PlateauState

    def __call__(self, step: object) -> float:
        return self.state.rate


def begun(member: Member) -> tuple[Member, RateNow | None]:
    """The member as its training begins: its rate is a schedule that follows the metric, where it has one."""
    if member.performance is None:
        return member, None
    now = RateNow(member.performance, member.performance.start())
    rate = member.recipe.rate
    assert rate is not None
    schedule = Schedule(str(member.performance), now.state.rate, 0, {}, now)
    return replace(member, values={**member.values, rate: schedule}), now


class Plateau:
    """Advances the rates of members by the validation metric of each measurement."""

    def __init__(self, rates: Sequence[RateNow | None]) -> None:
        self._rates = rates

    def steps(self, job: Job) -> Iterable[int]:
        return job.workload.milestones

    def happen(self, training: Training) -> None:
        for m in training.held[training.history.active[training.held]]:
            now = self._rates[m]
            if now is not None:
                metric = training.history.measured[m][-1].validation_metric
                now.state = now.performance.advance(now.state, float("nan") if metric is None else metric)

    def state(self) -> Snapshot:
        return Snapshot({}, {"rates": [None if now is None else asdict(now.state) for now in self._rates]})

    def restore(self, state: Snapshot) -> None:
        for now, saved in zip(self._rates, state.facts["rates"], strict=True):
            if now is not None:
                now.state = PlateauState(**saved)
