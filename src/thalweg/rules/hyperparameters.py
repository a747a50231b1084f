"""Declared hyperparameters: default, valid range and search range."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from thalweg.errors import SHOWN, InputError, shown
from thalweg.numerics import Value
from thalweg.options.kinds import Flag as TrueOrFalse
from thalweg.options.ranges import Range


@dataclass(frozen=True)
class Switch:
    """Marks a hyperparameter whose value 0 switches its part of the rule off: the rule then receives `None`."""


@dataclass(frozen=True)
class Initially:
    """Marks a hyperparameter that defaults to the initial value of another one, `source`."""

    source: str


Rate = Annotated[Value, Range(0.0, math.inf)]
InitialRate = Annotated[Value, Range(0.0, math.inf, open_low=True), Initially("lr")]
Decay = Annotated[Value, Range(0.0, 1.0, open_high=True, search=(0.5, 0.9999), scale="log(1-x)")]
Fraction = Annotated[Value, Range(0.0, 1.0, search=(0.0, 0.99))]
Momentum = Annotated[Value, Range(0.0, 1.0, search=(0.5, 0.99), scale="log(1-x)"), Switch()]
OpenFraction = Annotated[Value, Range(0.0, 1.0, open_low=True, open_high=True, search=(1e-4, 1e-1), scale="log")]
NonNegative = Annotated[Value, Range(0.0, math.inf)]
Epsilon = Annotated[Value, Range(0.0, math.inf, search=(1e-10, 1e-2), scale="log")]
PENALTIES = Range(0.0, math.inf, search=(1e-6, 1e-1), scale="log")
Penalty = Annotated[Value, PENALTIES, Switch()]
Limit = Annotated[Value, Range(0.0, math.inf), Switch()]
Every = Annotated[Value, Range(0.0, math.inf, whole=True), Switch()]
Averaging = Annotated[Value, Range(0.0, 1.0, open_high=True, search=(0.9, 0.9999), scale="log(1-x)"), Switch()]
Flag = bool
FLAGS = TrueOrFalse()


@dataclass(frozen=True)
class Hyperparameter:
    """One declared hyperparameter. `range` is `None` for a flag. `meaning`: a short text if the name says little."""

    name: str
    default: float | bool | None
    range: Range | None = None
    switch: bool = False
    initially: str | None = None
    meaning: str = ""

    @property
    def is_flag(self) -> bool:
        return self.range is None

    @property
    def is_penalty(self) -> bool:
        """Whether it is a decay strength: decay moves parameters even at zero gradient."""
        return self.range == PENALTIES

    def check(self, owner: str, value: Any) -> float | bool:
        """Returns `value` as a Python number or flag. Raises `InputError` with name, range and value if invalid."""
        name = f"The {self.name!r} of {owner}"
        if self.range is not None:
            return self.range.check(name, value)
        flag = FLAGS.read(value)
        if flag is None:
            raise InputError(f"{name} must be {FLAGS.accepted}, got {shown(value)}.")
        return flag

    def check_initial(self, owner: str, value: float) -> float:
        """Checks the initial value of the hyperparameter that this one defaults to. `InputError` names that one."""
        if self.range is not None and value not in self.range:
            raise InputError(f"The {self.initially!r} of {owner} must begin in {self.range}, got {shown(value)}.")
        return value


def searched(
    hyperparameters: Mapping[str, Hyperparameter], name: str | None, part: tuple[float, float]
) -> dict[str, Hyperparameter]:
    """The hyperparameters with `part` of the named one's range worth searching, in its logarithm."""
    own = hyperparameters.get(name or "")
    if own is None or own.range is None:
        return dict(hyperparameters)
    return {**hyperparameters, own.name: replace(own, range=replace(own.range, search=part, scale="log"))}


SAME: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("lr",), "eta": ("lr",), "step_size": ("lr",), "epsilon": ("eps",), "beta_1": ("beta1",),
    "beta_2": ("beta2",), "betas": ("beta1", "beta2"), "decay": ("weight_decay",), "wd": ("weight_decay",),
    "clipnorm": ("clip_tensor_norm",), "global_clipnorm": ("clip_global_norm",),
    "clipvalue": ("clip_value",), "mu": ("momentum",), "gamma": ("alpha", "rho"),
}  # fmt: skip
"""What other libraries and papers call hyperparameters → our names."""


def unknown(owner: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a hyperparameter that `owner` does not have: suggests the closest name, or lists all."""
    names = tuple(known)
    same = [n for n in SAME.get(str(name), ()) if n in names]
    if same:
        return InputError(f"{owner} has no hyperparameter {shown(name)}; did you mean {' and '.join(map(repr, same))}?")
    near = difflib.get_close_matches(str(name)[:SHOWN], names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}."
    return InputError(f"{owner} has no hyperparameter {shown(name)}; {hint}")
