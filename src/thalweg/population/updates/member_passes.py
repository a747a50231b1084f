"""The passes that update one member at a time, for native code to call."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution.cpu.passes import CpuPass
from thalweg.population.updates.group import Group
from thalweg.population.updates.updates import PopulationUpdates

Integers = NDArray[np.int64]


CONTINUOUS = {"add", "sub", "mul", "div", "sqrt", "neg", "abs", "max", "min"}
"""Operations that make little of a small change."""

LEAST = 1e-12  # of an `eps` beside which the root of a subnormal number, up to 1.1e-19, is lost in rounding


class MemberPasses:
    """Each member's passes over all of its parameters, in one thread. gradients: `[1, …]`, which all members share."""

    def __init__(self, updates: PopulationUpdates, gradients: Mapping[str, Tensor], members: int) -> None:
        self._passes: list[list[CpuPass]] = [[] for _ in range(members)]
        self._own: list[list[tuple[int, int]]] = [[] for _ in range(members)]  # group, and place in it
        for number, group in enumerate(updates.groups):
            for i, member in enumerate(range(group.place.start, group.place.stop)):
                self._passes[member].append(_pass(group, gradients, i))
                self._own[member].append((number, i))
        self._flushes = [_flushes(group) for group in updates.groups]
        self.plan(updates)

    def plan(self, updates: PopulationUpdates) -> None:
        """Takes over the tables of the planned steps: `[members, steps, …]` of each group."""
        self._tables: list[tuple[NDArray[np.floating], int]] = []
        for group in updates.groups:
            columns, first = group.planned_columns
            dtype = next(iter(group.parameters.values())).dtype
            number = np.float64 if dtype is torch.float64 else np.float32
            self._tables.append((np.ascontiguousarray(np.moveaxis(columns, -2, 0), number), first))

    def flushes(self, member: int) -> bool:
        """Whether a member's steps are the same with subnormal numbers taken for 0, but for less than such a number."""
        return all(self._flushes[number][i] for number, i in self._own[member])

    def of(self, member: int, step: int) -> tuple[Integers, Integers, Integers, Integers]:
        """Addresses of the passes' frames, of their functions and of their tables at a step; bytes between tables."""
        rows = []
        for made, (number, i) in zip(self._passes[member], self._own[member], strict=True):
            table, first = self._tables[number]
            own = table[i]
            width = own[0].nbytes
            rows.append((made.frame_address, made.function_address, own.ctypes.data + (step - first) * width, width))
        frames, functions, tables, widths = np.array(rows, np.int64).T.copy()
        return frames, functions, tables, widths


def _flushes(group: Group) -> list[bool]:
    """Of each member: whether no sign and no comparison sees a subnormal number, and no division is by one."""
    body, columns = group.program.update.body, {f"_k{j}" for j in range(len(group.program.update.columns))}
    by_row = [i for i in body if i.op == "where" and i.arguments[0] in columns]  # chosen by the step, not by an element
    operations = {i.op for i in body if i not in by_row}
    members = group.place.stop - group.place.start
    if not operations <= CONTINUOUS:
        return [False] * members
    if "div" not in operations:
        return [True] * members
    eps = group.values.get("eps")
    return [False] * members if eps is None else [bool((eps[..., m] >= LEAST).all()) for m in range(members)]


def _pass(group: Group, gradients: Mapping[str, Tensor], member: int) -> CpuPass:
    """A member's pass; each parameter has a table of its own where hyperparameters differ."""
    names, each = [*group.names], group.hyperparameters.per_parameter
    streams = [group.parameters, *group.states.values()]
    sizes = np.array([gradients[n][0].numel() for n in names], np.int64)
    storage = (gradients[names[0]].dtype, *(of[names[0]].dtype for of in streams))
    made = CpuPass(group.program.update, storage, sizes, len(names) if each else 1)
    made.pointers[0] = [gradients[n].data_ptr() for n in names]
    for row, of in enumerate(streams, 1):
        made.pointers[row] = [of[n][member].data_ptr() for n in names]
    if each:
        made.which[:] = np.arange(len(names))
    return made
