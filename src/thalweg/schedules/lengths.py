"""Lengths in steps, in epochs ("3 epochs") or in shares ("5%") of a run or of a schedule's own steps."""

import math
import re
from dataclasses import dataclass
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.options.ranges import whole

NUMBER = r"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?"
SHARE = re.compile(rf"\s*({NUMBER})\s*%\s*")
EPOCHS = re.compile(rf"\s*({NUMBER})\s*epochs?\s*")


def is_length(value: Any) -> bool:
    """Whether it is the text of a share or of a number of epochs."""
    return isinstance(value, str) and bool(SHARE.fullmatch(value) or EPOCHS.fullmatch(value))


def share_of(name: str, value: Any) -> float | None:
    """The share of a text such as "5%": 0.05. `None` for anything else. Raises `InputError` for one over 100%."""
    found = SHARE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    share = float(found[1]) / 100
    if share > 1:
        raise InputError(f"{name} must be a share from 0% to 100%, got {shown(value)}.")
    return share


def epochs_of(value: Any) -> float | None:
    """The number of a text such as "3 epochs"; `None` for anything else."""
    found = EPOCHS.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else None


def nearest(steps: float, low: float, high: float = math.inf) -> float:
    """The nearest whole number of steps, the upper of two, within [low, high]: a share or epochs in a short run."""
    return float(max(low, min(high, math.floor(steps + 0.5))))


@dataclass(frozen=True)
class Horizon:
    """The run in which lengths are counted. steps, steps_per_epoch: from 1, `None` if not known."""

    steps: int | None
    steps_per_epoch: int | None

    @classmethod
    def of(cls, steps: Any, steps_per_epoch: Any) -> "Horizon":
        """Raises `InputError` for what is no whole number from 1."""
        each = {"steps": steps, "steps_per_epoch": steps_per_epoch}
        found = {n: None if v is None else int(whole(1).check(f"The run's {n!r}", v)) for n, v in each.items()}
        return cls(**found)

    def length(self, name: str, text: str, low: int) -> int:
        """The steps of a share of this run, or of epochs. Raises `InputError` where it takes what is not known."""
        share, epochs = share_of(f"The {name}", text), epochs_of(text)
        missing = None
        if share is not None and self.steps is None:
            missing = "a share of the run: resolve it with steps=…"
        if epochs is not None and self.steps_per_epoch is None:
            missing = "counted in epochs: resolve it with steps_per_epoch=…"
        if missing:
            raise InputError(f"The {name}, {text}, is {missing}.")
        return int(nearest((share or 0.0) * (self.steps or 0) + (epochs or 0.0) * (self.steps_per_epoch or 0), low))

    def rest(self, steps: int) -> "Horizon":
        """The run after so many steps: one at least."""
        return Horizon(None if self.steps is None else max(self.steps - steps, 1), self.steps_per_epoch)
