"""What a rule remembers, and what it begins as."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from thalweg.numerics import Value

PARAMETER = "parameter"


@dataclass(frozen=True)
class State:
    """A state with one value an element, or (`per_row`) one a parameter tensor or population member.

    initial: its value before the first step, the name of the hyperparameter that gives it, or `"parameter"` where it
        begins as the parameter is then.
    weights: whether it holds weights, as what begins as the parameter does: it is kept in no fewer bits than these.
    double: of one a row, whether it is held in float64, whatever torch's default dtype; needed by sums without end.
    """

    name: str = ""
    initial: float | str = 0.0
    per_row: bool = False
    double: bool = False
    weights: bool = False

    def __post_init__(self) -> None:
        if self.per_row and self.initial == PARAMETER:
            raise TypeError(f"The row state {self.name!r} has one value a row and cannot begin as the parameter.")

    @property
    def holds_weights(self) -> bool:
        """Whether its numbers are of the parameter's kind and size, and differ little from one step to the next."""
        return self.weights or self.initial == PARAMETER

    @property
    def source(self) -> str | None:
        """The hyperparameter that it begins as; `None` where it begins otherwise."""
        return self.initial if isinstance(self.initial, str) and self.initial != PARAMETER else None

    def first(self, values: Mapping[str, Any], parameter: Any) -> Any:
        """Its value before the first step, by the hyperparameters and the parameter at that time."""
        if self.initial == PARAMETER:
            return parameter
        return values[self.source] if self.source else self.initial


Zeros = Annotated[Value, State()]
Weights = Annotated[Value, State(weights=True)]
InitialAccumulator = Annotated[Value, State(initial="initial_accumulator_value")]
FirstRate = Annotated[Value, State(initial="lr")]
RowFirstRate = Annotated[Value, State(initial="lr", per_row=True)]
RowOnes = Annotated[Value, State(initial=1.0, per_row=True)]
RowSum = Annotated[Value, State(per_row=True, double=True)]
