"""Row values on a device: the table made by torch's operators, in float64, so that nothing waits for a number."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.numerics.symbol import Symbol
from thalweg.recipes.execution.stacked import OPERATIONS
from thalweg.recipes.trace import Program


def _kept(x: Tensor) -> Tensor:
    return x.to(torch.get_default_dtype()).double()


OF_ROWS: Mapping[str, Any] = {**OPERATIONS, "mod": torch.remainder, "kept": _kept}


def table(
    program: Program, values: Mapping[str, Tensor | float], t: Tensor, rows: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """As `recipes.rows.table`, on the device of `t`.

    Args:
        values: hyperparameters, row states and what is measured: numbers, or float64 tensors that broadcast to
            `[…, rows]`.
        t: the step, float64, 0-d or `[rows]`.

    Returns:
        columns `[…, rows, len(program.columns)]` and each row state's new value `[rows]`.
    """
    known: dict[int, Tensor] = {}
    given, full = {**values, "t": t}, t.new_zeros(rows)
    columns = [_evaluate(symbol, given, known) for symbol in program.columns]
    after = {name: _evaluate(symbol, given, known).expand(rows) for name, symbol in program.row_updates.items()}
    made = torch.broadcast_tensors(full, *columns)[1:]  # type: ignore[no-untyped-call]
    return torch.stack(made, dim=-1) if made else full[:, None][:, :0], after


def _evaluate(symbol: Symbol, values: Mapping[str, Any], known: dict[int, Tensor]) -> Tensor:
    if symbol.key not in known:
        if symbol.op in ("row", "literal"):
            value = values[str(symbol.name)] if symbol.op == "row" else float(symbol.name)
            result = value if isinstance(value, Tensor) else torch.full_like(values["t"], value)
        else:
            result = OF_ROWS[symbol.op](*(_evaluate(a, values, known) for a in symbol.args))
        known[symbol.key] = result
    return known[symbol.key]
