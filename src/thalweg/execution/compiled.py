"""Rows stepped by compiled passes, every row in one call for each device and dtype, on the CPU or on a GPU."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

import numpy as np
import torch

from thalweg.execution import driver
from thalweg.execution.cpu import passes as cpu
from thalweg.execution.dispatch import on_gpu, together
from thalweg.execution.elements import Elements
from thalweg.execution.gpu import passes as gpu
from thalweg.execution.storage.dtypes import Storage
from thalweg.execution.storage.rounding import LOW
from thalweg.execution.whole import call_rows, constrain_rows, with_transients
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import trace

ROUND = Stage(states=(), columns=(), body=(), outputs={"p": "g"})
"""Rounds a float32 copy of a parameter, which stands in the gradient's place, to the parameter's storage."""


class Pass(Protocol):
    """A stage prepared for rows of fixed sizes and dtypes. The arrays below are filled in before each call.

    pointers: int64 `[streams, rows]`, the data pointers.
    which: int64 `[rows]`, the table line that each row uses; 0 by default.
    active: `[rows]`; an inactive row is left unchanged. All are active by default.
    keys: int64 `[rows]`, from `rounding.keys`, for stochastic rounding.
    stochastic: whether anything is rounded stochastically.
    """

    pointers: Array
    which: Array
    active: Array
    keys: Array
    stochastic: bool

    def __call__(self, columns: Array) -> None:
        """Passes over every row, in place. `columns`: the table of row values, float64 `[lines or fewer, columns]`."""

    def sums(self) -> Array:
        """Each row's sums of the last call, float64 `[reductions, rows]`: of squares, for a norm."""


def prepare(
    stage: Stage, device: torch.device, storage: Storage, sizes: Array, lines: int, *, stochastic: bool = False
) -> Pass:
    """Prepares a pass over rows on a device.

    storage: the dtypes of a row's streams. sizes: elements of each row. lines: the most that the table may have.
        stochastic: whether bfloat16 parameters and states are rounded stochastically.
    """
    rounded = storage[2:] if torch.int16 in storage else storage[1:]  # no gradient, no compensated parameter
    stochastic = stochastic and torch.bfloat16 in rounded and not stage.prepares
    if on_gpu(device):
        return gpu.GpuPass(stage, device, storage, sizes, lines, stochastic=stochastic)
    return cpu.CpuPass(stage, storage, sizes, lines, stochastic=stochastic)


@dataclass(frozen=True)
class SameStorage:
    """Rows of one device and storage, that one pass can step.

    index: their places among all rows. sizes: elements of each. pointers: int64 `[streams, rows]`.
    """

    index: slice | Array
    device: torch.device
    storage: Storage
    sizes: Array
    pointers: Array

    @property
    def in_float32(self) -> "SameStorage":
        """The rows with float32 parameters in place of low-precision ones and their residuals."""
        if self.storage[1] not in LOW:
            return self
        kept = [stream for stream, dtype in enumerate(self.storage) if dtype is not torch.int16]
        storage = tuple(torch.float32 if stream == 1 else self.storage[stream] for stream in kept)
        return replace(self, storage=storage, pointers=self.pointers[kept])

    @property
    def to_round(self) -> "SameStorage":
        """The streams of `ROUND`: a copy, the parameter and its residual."""
        kept = [0, 1, *(stream for stream, dtype in enumerate(self.storage) if dtype is torch.int16)]
        storage = (torch.float32, *(self.storage[stream] for stream in kept[1:]))
        return replace(self, storage=storage, pointers=self.pointers[kept])


class CompiledRows:
    """Rows prepared for passes, in a grid of the given shape: `[rows]`, or `[parameters, members]`.

    Row values are NumPy arrays that broadcast to the grid. They have at most `lines` different lines.

    gradients: int64 `[rows]`, the data pointers of the gradients, which may change from step to step.
    active: bool `[rows]`. keys: int64 `[rows]`, for stochastic rounding.
    sizes: elements of each row, of the whole tensor where it is sharded.
    copied: whether low-precision parameters are written as float32 copies. parameters: int64 `[rows]`, then the data
        pointers of all parameters, copied or not.
    """

    def __init__(
        self,
        parts: Sequence[SameStorage],
        shape: tuple[int, ...],
        lines: int,
        *,
        row_dtype: torch.dtype | None = None,
        stochastic: bool = False,
        constrained: bool = False,
    ) -> None:
        self._parts, self._shape, self._count, self._most = parts, shape, prod(shape), lines
        self.row_dtype, self._stochastic = row_dtype, stochastic
        self._made: dict[Stage, list[tuple[slice | Array, Pass]]] = {}
        self._laid: dict[Stage, tuple[int, ...]] = {}
        self.gradients, self.sizes = np.zeros(self._count, np.int64), np.ones(self._count, np.int64)
        for part in parts:
            self.gradients[part.index], self.sizes[part.index] = part.pointers[0], np.maximum(part.sizes, 1)
        self.active: Array | None = None
        self.keys: Array | None = None
        self.copied = constrained and any(part.storage[1] in LOW for part in parts)
        self.parameters = np.zeros(self._count, np.int64)

    def table(self, stage: Stage, values: driver.Values) -> tuple[Any, dict[str, Any]]:
        return table(stage, values, self.row_dtype)

    def reduce(self, stage: Stage, columns: Array) -> dict[str, Array]:
        self.update(stage, columns)
        sums = np.zeros((len(stage.reductions), self._count))
        for index, made in self._made[stage]:
            sums[:, index] = made.sums()
        return self.finished(stage, self.combined(sums))

    def combined(self, sums: Array) -> Array:
        """Sums over whole tensors, `[reductions, rows]`, where these rows are shards of them."""
        return sums

    def finished(self, stage: Stage, sums: Array) -> dict[str, Array]:
        """What a stage measures, by name, from sums `[reductions, rows]`."""
        found = {}
        for reduction, each in zip(stage.reductions, sums, strict=True):
            value = (each / self.sizes if reduction.op == "mean" else np.sqrt(each)).reshape(self._shape)
            found[reduction.name] = driver.joint_norm(value) if reduction.shared else value
        return found

    def update(self, stage: Stage, columns: Array) -> None:
        lines = columns.shape[:-1]
        flat = columns if len(lines) == 1 else columns.reshape(prod(lines), columns.shape[-1])
        for index, made in self._made[stage] if self._laid.get(stage) == lines else self.passes_for(stage, lines):
            self.aim(stage, index, made)
            if self.active is not None:
                made.active[:] = self.active[index]
            if self.keys is not None and made.stochastic:
                made.keys[:] = self.keys[index]
            made(flat)

    def aim(self, stage: Stage, index: slice | Array, made: Pass) -> None:
        """Points a pass at this step's gradients, and at the parameters' copies where it writes or rounds those."""
        made.pointers[0] = self.gradients[index] if stage is not ROUND else self.parameters[index]
        if self.copied and self._writes_copies(stage):
            made.pointers[1] = self.parameters[index]

    def _writes_copies(self, stage: Stage) -> bool:
        return self.copied and stage is not ROUND and not stage.prepares

    def call(self, stage: Stage, columns: Array) -> None:
        raise NotImplementedError

    def constrain(self, values: driver.Values) -> None:
        raise NotImplementedError

    def unrounded(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def prepared(self, stage: Stage) -> list[tuple[slice | Array, Pass]]:
        """The stage's passes, with the places of their rows."""
        if stage not in self._made:
            parts = [part for part in self._parts if stage is not ROUND or part.storage[1] in LOW]
            self._made[stage] = [(part.index, self._pass(stage, part)) for part in parts]
        return self._made[stage]

    def _pass(self, stage: Stage, part: SameStorage) -> Pass:
        if stage is ROUND:
            part = part.to_round
        elif self._writes_copies(stage):
            part = part.in_float32
        made = prepare(stage, part.device, part.storage, part.sizes, self._most, stochastic=self._stochastic)
        made.pointers[:] = part.pointers
        return made

    def passes_for(self, stage: Stage, lines: tuple[int, ...]) -> list[tuple[slice | Array, Pass]]:
        """`prepared`, every row with its line of a table of this shape."""
        passes = self.prepared(stage)
        if self._laid.get(stage) != lines:
            each = np.broadcast_to(np.arange(prod(lines)).reshape(lines), self._shape).reshape(-1)
            for index, made in passes:
                made.which[:] = each[index]
            self._laid[stage] = lines
        return passes


def parts_of(rows: Sequence[Any]) -> list[SameStorage]:
    """Rows, each its streams, by device and storage, in an order in which they can be stepped."""
    found = []
    for (device, storage), index in together(rows):
        chosen = [rows[r] for r in index]
        sizes = np.array([row[1].numel() for row in chosen], np.int64)
        pointers = np.array([[t.data_ptr() for t in row] for row in chosen], np.int64).T
        every = slice(0, len(rows)) if len(index) == len(rows) else index
        found.append(SameStorage(every, device, storage, sizes, pointers))
    return found


class CompiledElements(CompiledRows):
    """Rows given as `Elements`, each of which must pass `dispatch.accepts`."""

    def __init__(
        self,
        structure: StepVariant,
        rows: Sequence[Elements],
        *,
        row_dtype: torch.dtype | None = None,
        stochastic: bool = False,
    ) -> None:
        self._program = trace(structure)
        rows = [with_transients(self._program, row) for row in rows]
        keys = [row.key for row in rows if row.key is not None]
        parts, count = parts_of([row.streams for row in rows]), len(rows)
        super().__init__(
            parts,
            (count,),
            count,
            row_dtype=row_dtype,
            stochastic=stochastic or bool(keys),
            constrained=structure.constrains,
        )
        self._structure, self._rows = structure, rows
        self.keys = np.array(keys, np.int64) if keys else None
        self.sizes = np.array([row.size for row in rows], np.int64)

    def combined(self, sums: Array) -> Array:
        for r, row in enumerate(self._rows):
            if row.shards is not None:
                sums[:, r] = row.shards.total(torch.from_numpy(sums[:, r].copy())).numpy()
        return sums

    def call(self, stage: Stage, columns: Array) -> None:
        call_rows(self._program, stage, self._rows, columns)

    def constrain(self, values: driver.Values) -> None:
        constrain_rows(self._structure, self._rows, values)

    @contextmanager
    def unrounded(self) -> Iterator[None]:
        if not self.copied:
            yield
            return
        stored, self._rows = self._rows, [row.in_float32 for row in self._rows]
        self.parameters = np.array([row.p.data_ptr() for row in self._rows], np.int64)
        try:
            yield
            self.update(ROUND, np.empty((1, 0)))
        finally:
            self._rows = stored
