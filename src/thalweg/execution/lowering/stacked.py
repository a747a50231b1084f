"""The traced program on stacked tensors `[rows, …]`, in torch's operators: any device that torch has."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.numerics import cbrt, sign
from thalweg.recipes.trace import Program

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


def update(program: Program, columns: Tensor, active: Tensor, elements: Mapping[str, Tensor]) -> Tensor:
    """Steps all rows in place. Returns the number of nonzero elements in each one's counted outputs, `[rows]`.

    Args:
        columns: `[rows, len(program.columns)]`, the row values in the elements' dtype and on their device.
        active: `[rows]`, bool; an inactive row is left unchanged.
        elements: `g`, `p` and the program's states, each `[rows, …]`.
    """
    known: dict[str, Tensor] = dict(elements)
    by_row = (-1, *[1] * (elements["p"].ndim - 1))
    known.update({f"_k{j}": columns[:, j].view(by_row) for j in range(columns.shape[1])})
    for instruction in program.body:
        known[instruction.target] = OPERATIONS[instruction.op](*(known[a] for a in instruction.arguments))
    going = active.view(by_row)
    written = {name: known[value] for name, value in program.outputs.items() if name in elements}
    after = {name: torch.where(going, value, elements[name]) for name, value in written.items()}
    for name, value in after.items():  # only now: a new state may be an old one, or the old parameter
        elements[name].copy_(value)
    counts = [
        value.expand_as(elements["p"]).flatten(1).count_nonzero(1) for value in map(known.__getitem__, program.counted)
    ]
    return sum(counts, torch.zeros_like(active, dtype=torch.int64))
