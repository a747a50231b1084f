"""Types of a drop-in's arguments, for type checkers and for tools that configure classes by their signatures."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, dtype
from torch.optim.optimizer import ParamsT

from thalweg.execution.storage.rounding import Rounding
from thalweg.recipes.catalogue import Recipe
from thalweg.schedules import Schedule

Number = float | Tensor | Schedule
"""A number, a 0-d tensor, or a schedule; a plain function of the step is taken, too."""

PRECISION_TYPES: Mapping[str, Any] = {
    "rounding": Rounding,
    "rounding_seed": int,
    "state_dtype": Literal["parameter", "bfloat16", "8bit"] | dtype | None,
}


def annotation(recipe: Recipe, name: str, default: Any) -> Any:
    """The type of one argument, `params` included."""
    if name == "params":
        return ParamsT
    if name in recipe.rule.tuple_arguments:
        return tuple[(Number,) * len(recipe.rule.tuple_arguments[name])]  # type: ignore[misc]
    if name == "convention":
        return Literal[recipe.conventions]
    if name in PRECISION_TYPES:
        return PRECISION_TYPES[name]
    declared = recipe.hyperparameters.get(name)
    if declared is None:  # a choice of implementation
        return bool if isinstance(default, bool) else bool | None
    if declared.range is None:
        return bool
    return int if declared.range.whole else Number
