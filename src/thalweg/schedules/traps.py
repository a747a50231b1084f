"""Silent traps of other libraries' schedules: each is told once, by a warning of its own class that can be filtered."""

import warnings

from thalweg.schedules.schedule import QUIET, Schedule

NEAR = 1e-9
"""Share of the base above which a tail rises: less is rounding."""

STAYS_LATE = {("one_cycle", "torch")}
"""Those that go on for one step past their end and stay there."""


class ScheduleWarning(UserWarning):
    """Base class of the schedules' warnings."""


class FirstStepAtZero(ScheduleWarning):
    """The first step has a rate of 0, so that its batch is lost."""


class RisingTail(ScheduleWarning):
    """The value rises again past the schedule's end."""


class NegativeTail(ScheduleWarning):
    """The value is negative past the schedule's end."""


class FloorOfAnotherGroup(ScheduleWarning):
    """The least rate is computed from the optimizer's default rate, and is another one for groups with their own."""


_told: set[tuple[str, type[ScheduleWarning]]] = set()


def forget() -> None:
    """Makes every warning be given again."""
    _told.clear()


def warn(owner: str, kind: type[ScheduleWarning], sentence: str) -> None:
    """Warns, once per process for each owner and kind."""
    if (owner, kind) not in _told and not QUIET.get():
        _told.add((owner, kind))
        warnings.warn(f"{owner}: {sentence}", kind, stacklevel=2)


def tell(schedule: Schedule, convention: str) -> None:
    """Warns of what a schedule of a library's convention does at its first step and past its end."""
    owner = f"{schedule.name} as in {convention}"
    tell_first(owner, schedule)
    end = schedule.steps - ((schedule.name, convention) in STAYS_LATE)
    if end <= 0:
        return
    base, last = schedule.required_base, schedule(end)
    tail = [schedule(end + k) for k in {1, 1 + end // 2, end}]
    if min(tail) < -NEAR * base:
        warn(owner, NegativeTail, f"it is negative past step {end}; end the training there.")
    if max(tail) > last + NEAR * base:
        warn(owner, RisingTail, f"it rises again past step {end}, to {max(tail):.3g}; end the training there.")


def tell_first(owner: str, schedule: Schedule) -> None:
    """Warns where the value at step 0 is 0."""
    if float(schedule.at(0)) == 0:
        warn(owner, FirstStepAtZero, "its first step has a rate of 0 and moves nothing; without convention it has not.")
