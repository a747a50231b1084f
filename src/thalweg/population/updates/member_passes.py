"""The passes that update one member at a time, and what comes between them, for native code to call."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution.cpu.passes import CpuPass
from thalweg.population.native import rows
from thalweg.population.updates.group import Group
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.recipes.measured_rows import measured_rows
from thalweg.recipes.stages import Stage

Integers = NDArray[np.int64]


CONTINUOUS = {"add", "sub", "mul", "div", "sqrt", "neg", "abs", "max", "min"}
"""Operations that make little of a small change."""

LEAST = 1e-12  # of an `eps` beside which the root of a subnormal number, up to 1.1e-19, is lost in rounding


@dataclass
class MemberCall:
    """A function of a frame. table: the address of its table; `None` where it is that of the step's planned values."""

    function: int
    frame: int
    table: int | None
    held: Any  # what owns the memory


class MemberPasses:
    """Each member's passes over all of its parameters, in one thread. gradients: `[1, …]`, which all members share."""

    def __init__(self, updates: PopulationUpdates, gradients: Mapping[str, Tensor], members: int) -> None:
        self._calls: list[list[MemberCall]] = [[] for _ in range(members)]
        self._own: list[list[tuple[int, int]]] = [[] for _ in range(members)]  # each call's group, and place in it
        for number, group in enumerate(updates.groups):
            for i, member in enumerate(range(group.place.start, group.place.stop)):
                made = [*_calls(group, gradients, i)]
                self._calls[member] += made
                self._own[member] += [(number, i)] * len(made)
        self._flushes = [_flushes(group) for group in updates.groups]
        self.plan(updates)

    def plan(self, updates: PopulationUpdates) -> None:
        """Takes over the tables of the planned steps: `[members, steps, …]` of each group."""
        self._tables: list[tuple[NDArray[np.floating], int]] = []
        for group in updates.groups:
            columns, first = group.planned_columns
            number = np.float64 if group.program.before else _number(group)
            self._tables.append((np.ascontiguousarray(np.moveaxis(columns, -2, 0), number), first))

    def flushes(self, member: int) -> bool:
        """Whether a member's steps are the same with subnormal numbers taken for 0, but for less than such a number."""
        return all(self._flushes[number][i] for number, i in self._own[member])

    def of(self, member: int, step: int) -> tuple[Integers, Integers, Integers, Integers]:
        """Addresses of the calls' frames, of their functions and of their tables at a step; bytes between tables."""
        found = []
        for call, (number, i) in zip(self._calls[member], self._own[member], strict=True):
            table, first = self._tables[number]
            own, width = table[i], table[i][0].nbytes
            place = (own.ctypes.data + (step - first) * width, width) if call.table is None else (call.table, 0)
            found.append((call.frame, call.function, *place))
        frames, functions, tables, widths = np.array(found, np.int64).T.copy()
        return frames, functions, tables, widths


def _number(group: Group) -> type[np.floating]:
    """Of a pass's table."""
    return np.float64 if next(iter(group.parameters.values())).dtype is torch.float64 else np.float32


def _flushes(group: Group) -> list[bool]:
    """Of each member: whether no sign and no comparison sees a subnormal number, and no division is by one."""
    program = group.program
    members = group.place.stop - group.place.start
    measured = measured_rows(program) if program.before else None
    operations = {op for stage in program.stages for op in _operations(stage)}
    if not operations <= CONTINUOUS or (measured is not None and not measured.continuous):
        return [False] * members
    if "div" not in operations:
        return [True] * members
    eps = group.values.get("eps")
    return [False] * members if eps is None else [bool((eps[..., m] >= LEAST).all()) for m in range(members)]


def _operations(stage: Stage) -> set[str]:
    """On elements; without choices by a step's number, which no element decides."""
    columns = {f"_k{j}" for j in range(len(stage.columns))}
    return {i.op for i in stage.body if not (i.op == "where" and i.arguments[0] in columns)}


def _calls(group: Group, gradients: Mapping[str, Tensor], member: int) -> Iterator[MemberCall]:
    """A member's passes, in order; before each whose row values depend on what was measured, what computes these."""
    if not group.program.before:
        made = _pass(group, group.program.update, gradients, member)
        yield MemberCall(made.function_address, made.frame_address, None, made)
        return
    before: CpuPass | None = None
    known = measured_rows(group.program)
    assert known is not None
    measured = np.zeros((len(known.reductions), len(group.names)))
    for number, stage in enumerate(group.program.stages):
        made = _pass(group, stage, gradients, member)
        if before is not None or stage.columns:
            yield _preparing(group, number, before, made, measured)
        yield MemberCall(made.function_address, made.frame_address, made.table_address, made)
        before = made


def _preparing(
    group: Group, stage: int, before: CpuPass | None, made: CpuPass, measured: NDArray[np.float64]
) -> MemberCall:
    """What combines the measurements of the pass before, and computes the table of the one that follows."""
    code = rows.prepares(group.program, stage, double=_number(group) is np.float64)
    counter = np.zeros(1, np.int64)
    sizes = np.array([p[0].numel() for p in group.parameters.values()], np.float64)
    known = measured_rows(group.program)
    assert known is not None
    own = group.hyperparameters.per_parameter
    values = {
        "counter": counter.ctypes.data,
        "lines": made.lines,
        "rows": len(sizes),
        "step": len(known.planned.columns) * own,
        "table": made.table_address,
        "sizes": sizes.ctypes.data,
        "measured": measured.ctypes.data,
    }
    values |= {} if before is None else before.measures
    frame = np.array([values.get(name, 0) for name in rows.FRAME], np.int64)
    return MemberCall(
        code.address("prepare"), frame.ctypes.data, None, (code, counter, sizes, frame, measured, before, made)
    )


def _pass(group: Group, stage: Stage, gradients: Mapping[str, Tensor], member: int) -> CpuPass:
    """A member's pass; each parameter has a table of its own where row values differ."""
    names, each = [*group.names], group.hyperparameters.per_parameter or group.program.per_tensor
    streams = [group.parameters, *group.states.values()]
    sizes = np.array([gradients[n][0].numel() for n in names], np.int64)
    storage = (gradients[names[0]].dtype, *(of[names[0]].dtype for of in streams))
    made = CpuPass(stage, storage, sizes, len(names) if each else 1)
    made.pointers[0] = [gradients[n].data_ptr() for n in names]
    for row, of in enumerate(streams, 1):
        made.pointers[row] = [of[n][member].data_ptr() for n in names]
    if each:
        made.which[:] = np.arange(len(names))
    return made
