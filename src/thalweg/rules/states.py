"""States of a rule and their initial values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

from thalweg.numerics import Value

PARAMETER = "parameter"


@dataclass(frozen=True)
class State:
    """A state with one value per element or, with `per_row`, one per parameter tensor or population member.

    shape: the shape of a state that has its own, from that of the parameter as a matrix, (rows, columns); only calls
        of functions of matrices read it (`numerics.matrices`).

    initial: value before the first step, the name of the hyperparameter that gives it, or `"parameter"` for the
        parameter's values at that time.
    weights: whether it holds weights, as a state that starts as the parameter does: its precision is never below the
        parameter's.
    double: whether a per-row state is float64, whatever torch's default dtype; needed by unbounded sums.
    """

    name: str = ""
    initial: float | str = 0.0
    per_row: bool = False
    double: bool = False
    weights: bool = False
    shape: Callable[[tuple[int, int]], tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        if self.shape is not None and (self.per_row or not isinstance(self.initial, float)):
            raise TypeError(f"The state {self.name!r} has a shape of its own, and begins as a number everywhere.")
        if self.per_row and self.initial == PARAMETER:
            raise TypeError(f"The row state {self.name!r} has one value a row and cannot begin as the parameter.")

    @property
    def per_element(self) -> bool:
        """Whether it has one value per element of the parameter."""
        return not self.per_row and self.shape is None

    def shape_for(self, parameter: tuple[int, ...]) -> tuple[int, ...]:
        """Its shape beside a parameter of this shape, whose first dimension is the matrix's rows."""
        return parameter if self.shape is None else self.shape((parameter[0], prod(parameter[1:])))

    @property
    def holds_weights(self) -> bool:
        """Whether its values have the parameter's meaning and scale, and change little from step to step."""
        return self.weights or self.initial == PARAMETER

    @property
    def source(self) -> str | None:
        """The hyperparameter that gives its initial value; `None` if none does."""
        return self.initial if isinstance(self.initial, str) and self.initial != PARAMETER else None

    def first(self, values: Mapping[str, Any], parameter: Any) -> Any:
        """Its initial value, from the hyperparameters and the parameter before the first step."""
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
