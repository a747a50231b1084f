"""Row values on a device: the table computed by torch operators, in float64, without synchronization."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.execution.lowering.stacked import OPERATIONS
from thalweg.numerics.functions import row_dtype
from thalweg.numerics.symbol import Symbol
from thalweg.recipes.row_table import evaluate
from thalweg.recipes.stages import Stage


def _kept(x: Tensor) -> Tensor:
    return x.to(row_dtype()).double()


OF_ROWS: Mapping[str, Any] = {**OPERATIONS, "mod": torch.remainder, "cos": torch.cos, "kept": _kept}


class DeviceRows:
    """Rows whose row values are tensors on their device: see `execution.driver`. count: the number of lines."""

    def __init__(self, count: int) -> None:
        self._lines = count

    def table(self, stage: Stage, values: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        return table(stage, values, self._lines)


def table(stage: Stage, values: Mapping[str, Any], rows: int) -> tuple[Tensor, dict[str, Tensor]]:
    """As `recipes.row_table.table`, on the device of the step `t`.

    Args:
        values: hyperparameters, row states and reductions: numbers, or float64 tensors that broadcast to `[…, rows]`;
            `t`, float64, 0-d or `[rows]`.

    Returns:
        columns `[…, rows, len(stage.columns)]` and each row state's new value `[rows]`.
    """
    known: dict[int, Tensor] = {}
    t: Tensor = values["t"]
    full = t.new_zeros(rows)

    def leaf(symbol: Symbol) -> Tensor:
        value: Any = values[str(symbol.name)] if symbol.op == "row" else float(symbol.name)
        return value if isinstance(value, Tensor) else torch.full_like(t, value)

    columns = [evaluate(symbol, leaf, OF_ROWS, known) for symbol in stage.columns]
    after = {name: evaluate(s, leaf, OF_ROWS, known).expand(rows) for name, s in stage.row_updates.items()}
    made = torch.broadcast_tensors(full, *columns)[1:]  # type: ignore[no-untyped-call]
    return torch.stack(made, dim=-1) if made else full[:, None][:, :0], after
