"""`Scheduler`: any torch optimizer follows schedules, as under a scheduler of torch's own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from thalweg.errors import InputError, listed, shown
from thalweg.options.ranges import Range, as_number, whole
from thalweg.schedules import traps
from thalweg.schedules.decays import constant
from thalweg.schedules.parsing import parse_schedule
from thalweg.schedules.schedule import Schedule, as_schedule

Given = Schedule | Callable[[Any], Any] | str | float | None
Group = dict[str, Any]

BELOW_ONE = Range(0.0, 1.0, open_high=True)
RANGES = {"lr": Range(0.0), "weight_decay": Range(0.0), "momentum": BELOW_ONE}


class Scheduler(LRScheduler):
    """Drives hyperparameters of any torch optimizer by schedules: call `step()` after each step of the optimizer.

    Values are functions of the step alone: `state_dict` holds nothing but the step, and from any step it goes on bit
    for bit. Each group keeps its own base, the value it had when the first scheduler was made, under `initial_lr`, as
    torch names it. A schedule without a base scales it; one with a base sets the first group and keeps the others'
    ratio to it, so that a group without weight decay has none. Of `momentum` and `betas` it sets every group.

    A hyperparameter that is a tensor is written in place: with lr as a tensor, `torch.compile` compiles a step once.

    Args:
        optimizer: any torch optimizer.
        lr, weight_decay, momentum: each a schedule, its text, a function of the step, a number, or `None`, which leaves
            it alone. momentum: `momentum` or the first of `betas`; by default that of the `lr` schedule, if it has one.
        betas: one for each member, `None` for members to be left alone.
        steps, steps_per_epoch: of the run, for schedules with lengths in shares or epochs.
        last_epoch: the steps that were taken, less one, when resuming without `load_state_dict`; as torch's.

    Raises:
        InputError: no schedule, one that is not resolved, a hyperparameter that the optimizer does not have, or, at its
            step, a value out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr: Given = None,
        *,
        weight_decay: Given = None,
        momentum: Given = None,
        betas: Sequence[Given] | None = None,
        steps: int | None = None,
        steps_per_epoch: int | None = None,
        last_epoch: int = -1,
    ) -> None:
        run = {"steps": steps, "steps_per_epoch": steps_per_epoch}
        given: dict[tuple[str, int | None], Given] = {("lr", None): lr, ("weight_decay", None): weight_decay}
        rate = _schedule("lr", lr, run)
        if momentum is None and betas is None and rate is not None:
            momentum = rate.momentum
        given[_momentum_of(optimizer)] = momentum
        if betas is not None and momentum is not None:
            raise InputError("Scheduler takes either momentum or betas, which hold it; got both.")
        given |= {("betas", i): value for i, value in enumerate(betas or ())}
        found = {place: _schedule(place[0], value, run) for place, value in given.items()}
        self._schedules = {place: schedule for place, schedule in found.items() if schedule is not None}
        self._closed: dict[tuple[Any, ...], Schedule] = {}
        for place in self._schedules:
            _require(optimizer, *place)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rates of the current step, one for each group."""
        if ("lr", None) not in self._schedules:
            return [_copied(group["lr"]) for group in self.optimizer.param_groups]
        return [*self._values("lr", None)]

    _get_closed_form_lr = get_lr

    def step(self, epoch: int | None = None) -> None:
        """Puts the values of the next step into the groups. epoch: those of this step, as torch's (deprecated)."""
        super().step(epoch)
        self._write_others()

    def state_dict(self) -> dict[str, Any]:
        """The step, and nothing else: all values follow from it."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes to a saved step. Raises `InputError` for a state without one."""
        saved = state_dict.get("last_epoch") if isinstance(state_dict, Mapping) else None
        self.last_epoch = int(whole(0).check("The 'last_epoch' of a scheduler's state", saved))
        self._step_count = self.last_epoch + 1
        for group, value in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            _put(group, "lr", None, value)
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]
        self._write_others()

    def _write_others(self) -> None:
        for name, place in self._schedules:
            if name != "lr":
                for group, value in zip(self.optimizer.param_groups, self._values(name, place), strict=True):
                    _put(group, name, place, value)

    def _values(self, name: str, place: int | None) -> list[float]:
        """The current values of a hyperparameter, one for each group."""
        bases = [_base(group, name, place) for group in self.optimizer.param_groups]
        schedule = self._schedules[name, place]
        return [self._value(schedule, name, place, base, bases) for base in bases]

    def _value(self, schedule: Schedule, name: str, place: int | None, base: float, bases: Sequence[float]) -> float:
        if schedule.base is None:
            own, times = self._relative(schedule, name, place, base)
        else:
            first = next((b for b in bases if b > 0), 0.0)
            own, times = schedule, base / first if name in ("lr", "weight_decay") and first > 0 else 1.0
        value = as_number(own.at(self.last_epoch)) if times else 0.0
        allowed = RANGES.get(name, BELOW_ONE)
        if value is None or value * times not in allowed:
            wrong = shown(value if value is None else value * times)
            raise InputError(
                f"{name!r} must be {allowed.interval}, and {own} makes it {wrong} at step {self.last_epoch}."
            )
        return value * times

    def _relative(self, schedule: Schedule, name: str, place: int | None, base: float) -> tuple[Schedule, float]:
        """The schedule of one group, and a factor: its own base is scaled, and none stays none."""
        if base <= 0:
            return schedule, 0.0
        times = 1.0
        if name == "lr" and _absolute_floor(schedule):
            default = float(self.optimizer.defaults["lr"])
            if default != base:
                traps.warn(
                    f"{schedule.name} as in hf", traps.FloorOfAnotherGroup,
                    f"a group with a rate of {base:g} ends at another floor than that given, which is divided by the"
                    f" default rate, {default:g}; without convention each group ends at the floor.",
                )  # fmt: skip
            base, times = default, base / default
        key = (name, place, base)
        if key not in self._closed:
            self._closed[key] = schedule.with_base(base)
        return self._closed[key], times


def _schedule(name: str, value: Given, run: Mapping[str, int | None]) -> Schedule | None:
    if value is None:
        return None
    found = parse_schedule(value) if isinstance(value, str) else as_schedule(value)
    if found is None:
        number = as_number(value)
        if number is None:
            raise InputError(
                f"{name!r} must be a schedule, its text, a function of the step or a number, got {shown(value)}."
            )
        found = constant(number) if number > 0 else Schedule(f"{number!r}", number, 0, {}, _Same(number))
    closed = found if found.is_resolved else found.resolved(**run)
    if name == "lr" and closed.shape is not None:
        traps.tell_first(f"Scheduler, {name!r}", closed)
    return closed


class _Same:
    """A number of 0 or less as a function of the step."""

    def __init__(self, number: float) -> None:
        self._number = number

    def __call__(self, step: Any) -> float:
        return self._number


def _absolute_floor(schedule: Schedule) -> bool:
    """Whether it is one of Hugging Face's with a floor that is a rate, not a share."""
    if schedule.arguments.get("convention") != "hf" or "end" not in schedule.arguments:
        return False
    end = schedule.arguments["end"]
    return schedule.name == "polynomial" if end is None else not isinstance(end, str) and end > 0


def _momentum_of(optimizer: Optimizer) -> tuple[str, int | None]:
    """Where the groups have their momentum."""
    has = any("betas" in group and "momentum" not in group for group in optimizer.param_groups)
    return ("betas", 0) if has else ("momentum", None)


def _require(optimizer: Optimizer, name: str, place: int | None) -> None:
    for group in optimizer.param_groups:
        if name not in group or (place is not None and place >= len(group[name])):
            what = f"no {name!r}" if name not in group else f"{len(group[name])} betas"
            known = [key for key in group if key in ("lr", "weight_decay", "momentum", "betas")]
            raise InputError(f"A param group of {type(optimizer).__name__} has {what}; it has {listed(known)}.")


def _base(group: Group, name: str, place: int | None) -> float:
    """A group's own base, kept in the group under torch's name for that of lr, so that checkpoints hold it."""
    if f"initial_{name}" not in group:
        group[f"initial_{name}"] = _copied(group[name])
    value = group[f"initial_{name}"]
    return float(value if place is None else value[place])


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return tuple(map(_copied, value)) if isinstance(value, list | tuple) else value


def _put(group: Group, name: str, place: int | None, value: Any) -> None:
    """Writes a value into a group: into the tensor that is there, if it is one."""
    now = group[name] if place is None else group[name][place]
    if isinstance(now, Tensor):
        now.fill_(value)
    elif place is None:
        group[name] = value
    else:
        group[name] = type(group[name])((*group[name][:place], value, *group[name][place + 1 :]))
