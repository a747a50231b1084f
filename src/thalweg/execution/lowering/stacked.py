"""A traced stage on stacked tensors `[rows, …]`, in torch's operators: any device and dtype, differentiable."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.numerics import cbrt, sign
from thalweg.numerics.matrices import function_of
from thalweg.recipes.stages import Stage

OPERATIONS: Mapping[str, Any] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "neg": torch.neg,
    "abs": torch.abs,
    "sqrt": torch.sqrt,
    "cbrt": cbrt,
    "exp": torch.exp,
    "log": torch.log,
    "sign": sign,
    "max": torch.maximum,
    "min": torch.minimum,
    "eq": torch.eq,
    "lt": torch.lt,
    "le": torch.le,
    "where": lambda condition, a, b: torch.where(condition != 0, a, b),
}


def updated(stage: Stage, columns: Tensor, elements: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The new parameter and states that the stage computes, by name. Pure: a state that becomes an input is a copy.

    Args:
        columns: `[rows, len(stage.columns)]`, the row values in the elements' dtype and on their device.
        elements: `g`, `p` and the program's states, each `[rows, …]`.
    """
    value = _interpreted(stage, columns, elements)
    moved = {name for name, local in stage.outputs.items() if local in elements and local != name}
    return {name: value(local).clone() if name in moved else value(local) for name, local in stage.outputs.items()}


def reduced(stage: Stage, columns: Tensor, elements: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the stage measures of each row, float64 `[rows]` by name: a norm, or the sum of a mean. As `updated`."""
    value = _interpreted(stage, columns, elements)
    each = {r.name: (r.op, value(r.value).reshape(len(elements["p"]), -1)) for r in stage.reductions}
    return {name: x.sum(1, dtype=torch.float64) if op == "mean" else _norms(x) for name, (op, x) in each.items()}


def called(
    stage: Stage, columns: Tensor, elements: Mapping[str, Tensor], matrix_states: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What the stage's calls return, by transient or matrix state. elements: `[rows, rows of the matrix, …]`."""
    found: dict[str, Tensor] = {}
    for call in stage.calls:
        x = elements[call.result]

        def argument(name: str, like: Tensor = x) -> Tensor:
            if name in matrix_states:
                return matrix_states[name].to(like.dtype)
            if name in elements:
                return elements[name].flatten(2)
            return columns[:, int(name.removeprefix("_k"))].to(like.dtype).view(-1, 1, 1)

        results = function_of(call.function)(*map(argument, call.arguments))
        result, *further = results if isinstance(results, tuple) else (results,)
        found[call.result] = result.reshape(x.shape)
        found |= {name: new for name, new in zip(call.states, further, strict=False) if name}
    return found


def _norms(x: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    return norms


def _interpreted(stage: Stage, columns: Tensor, elements: Mapping[str, Tensor]) -> Callable[[str], Tensor]:
    """Carries out the stage's instructions; returns a function from local names to values of the elements' shape."""
    known: dict[str, Tensor] = dict(elements)
    shape = elements["p"].shape
    known.update({f"_k{j}": columns[:, j].view(-1, *[1] * (len(shape) - 1)) for j in range(len(stage.columns))})
    for instruction in stage.body:
        known[instruction.target] = OPERATIONS[instruction.op](*(known[a] for a in instruction.arguments))
    return lambda name: known[name].expand(shape)
