"""Training of members by workers, which are threads of this process unless others are given."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from typing import Protocol

from thalweg.population.engine.task import NOWHERE, MembersFinished, MembersMeasured, Replaced, Task, Told
from thalweg.population.engine.threads import Threads
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Member


class Workers(Protocol):
    """Carry out tasks at once, each by `Task.carry_out`, in this process or in others."""

    def submit(self, task: Task) -> None: ...

    def next(self) -> Told:
        """The next message of any worker; waits for it."""

    def close(self) -> None:
        """Stops training at the next step and waits for it: checkpoints are written meanwhile."""


Engine = Callable[[PlannedJob], Workers]
"""Starts the workers of a planned job."""


def train(
    planned: PlannedJob,
    members: Sequence[Member],
    done: Collection[int] = (),
    checkpoints: Checkpoints = NOWHERE,
    *,
    live: bool = True,
    engine: Engine = Threads,
) -> Generator[MembersMeasured | MembersFinished, None, None]:
    """Trains all members but those `done`, yielding measurements and outcomes as they come, in no guaranteed order.

    Members are grouped as if none were done, which keeps results bit-identical. Closing the iterator stops training at
    the next step.
    live: whether populations are compared with the live model during their first epoch.
    """
    parts = [tuple(i for i in part if i not in done) for part in planned.as_it_goes.populations(members)]
    waiting, trains = deque(part for part in parts if part), dict[int, str]()  # member → why its task is by the loop
    with closing(engine(planned)) as workers:
        while waiting or trains:
            while waiting:
                part = waiting.popleft()
                chosen = tuple(members[i] for i in part)
                why = chosen[0].alone or planned.why_loop
                trains.update(dict.fromkeys(part, why))
                workers.submit(Task(part, chosen, why, checkpoints, live))
            told = workers.next()
            if isinstance(told, Exception):
                raise told
            if isinstance(told, MembersFinished) and _outdated(planned, trains, told):
                checkpoints.of(told.outcomes, ()).discard()
                told = Replaced(tuple((i,) for i in told.outcomes))
            if isinstance(told, Replaced):
                if told.distrusted:
                    planned.programs.distrust(told.distrusted)
                waiting.extend(told.parts)
                continue
            if isinstance(told, MembersFinished):
                for i in told.outcomes:
                    del trains[i]
            yield told


def _outdated(planned: PlannedJob, trains: dict[int, str], finished: MembersFinished) -> bool:
    """Whether a population finished in another process after its programs were found to disagree with the model."""
    return bool(planned.programs.distrusted) and not any(trains[i] for i in finished.outcomes)
