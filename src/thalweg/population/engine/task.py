"""A part of the members as a task, and how a worker of any kind carries it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.errors import InputError, ReturnValueError
from thalweg.population.native.program import NativeProgram
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.program.failures import Disagreement, exhausted, users_fault
from thalweg.population.program.late_draws import DrawsLate
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.native import Native
from thalweg.population.training.plain import train_by_loop
from thalweg.population.training.stop import Signal, StopTraining, TrainingControl
from thalweg.population.training.vectorized import Vectorized, train_vectorized
from thalweg.population.updates.members import Member, Trained
from thalweg.records.types import Measurement

NOWHERE = Checkpoints()


@dataclass(frozen=True)
class MembersMeasured:
    """Points of curves after `step`, by index among the members; `None` for one that ended before.

    A member that is trained again, as after an error of its population, is measured again from its first step.
    """

    step: int
    measurements: dict[int, Measurement | None]


@dataclass(frozen=True)
class MembersFinished:
    """Outcomes of trained members, by index among the members."""

    outcomes: dict[int, Trained]


@dataclass(frozen=True)
class Replaced:
    """A task that ended without outcomes: tasks of `parts` take its place. distrusted: why programs no longer serve."""

    parts: tuple[tuple[int, ...], ...]
    distrusted: str = ""


Told = MembersMeasured | MembersFinished | Replaced | Exception
"""A worker's message: any number of measurements, then one of the others, or none where training was stopped."""


@dataclass(frozen=True)
class Task:
    """Members that train at once, or one by the loop; plain data. part: their indices among all members.

    why_loop: why they train by the loop; empty for a population. live: whether a population is compared with the live
    model during its first epoch.
    """

    part: tuple[int, ...]
    members: tuple[Member, ...]
    why_loop: str
    checkpoints: Checkpoints = NOWHERE
    live: bool = True

    def carry_out(self, planned: PlannedJob, tell: Callable[[Told], None], stop: Signal) -> None:
        """Trains the members with this process's programs, and tells what comes of it."""
        try:
            told = self._carried_out(planned, tell, stop)
        except BaseException as error:  # of an error's handling: every task is waited for
            told = error if isinstance(error, InputError) else users_fault(planned.job.workload, error)
        if told is not None:
            tell(told)

    def _carried_out(self, planned: PlannedJob, tell: Callable[[Told], None], stop: Signal) -> Told | None:
        """What comes of the members; `None` if training was stopped."""
        checkpoint = self.checkpoints.of(self.part, self.members)

        def control(part: Sequence[int]) -> TrainingControl:
            def measured(step: int, points: Sequence[Measurement | None]) -> None:
                tell(MembersMeasured(step, dict(zip(part, points, strict=True))))

            return TrainingControl(measured, stop, checkpoint, self.live)

        try:
            with np.errstate(all="ignore"):  # overflow is detected as divergence
                outcomes = self._trained(planned, control)
            return MembersFinished(dict(zip(self.part, outcomes, strict=True)))
        except StopTraining:
            return None
        except Disagreement as error:
            checkpoint.discard()  # the population's
            return Replaced(tuple((i,) for i in self.part), distrusted=str(error))
        except DrawsLate:
            checkpoint.discard()
            return Replaced((self.part,))  # once more
        except BaseException as error:  # SystemExit too
            return self._instead(planned, control(self.part), error)

    def _trained(self, planned: PlannedJob, control: Callable[[Sequence[int]], TrainingControl]) -> list[Trained]:
        if self.why_loop:
            alone = zip(self.part, self.members, strict=True)
            return [train_by_loop(planned.job, member, control([i]), self.why_loop) for i, member in alone]
        one = len({member.seed for member in self.members}) == 1
        program = planned.programs.shared if one else planned.programs.mixed
        executor = Native if isinstance(program, NativeProgram) else Vectorized
        return train_vectorized(planned.job, self.members, program, control(self.part), executor)

    def _instead(self, planned: PlannedJob, control: TrainingControl, error: BaseException) -> Told:
        """After an error: halves; for a single member, its run by the loop, or the error."""
        if isinstance(error, InputError) and not isinstance(error, ReturnValueError):
            return error
        if len(self.part) > 1:
            middle = len(self.part) // 2
            return Replaced((self.part[:middle], self.part[middle:]))
        if exhausted(error):
            return InputError(
                "There is not enough memory for a single run: free some, or make the model or batch smaller."
            )
        if self.why_loop:
            return error if isinstance(error, InputError) else users_fault(planned.job.workload, error)
        control.checkpoint.discard()  # the population's
        try:
            outcome = train_by_loop(planned.job, self.members[0], control, "it failed in a population")
            return MembersFinished({self.part[0]: outcome})
        except BaseException as again:
            return again if isinstance(again, InputError) else users_fault(planned.job.workload, again)
