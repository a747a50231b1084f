"""Parts of a population's step: parameters with materialized gradients, and pieces of those with deferred ones."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution import dispatch
from thalweg.execution.compiled import CompiledRows, SameStorage
from thalweg.population.program.matmul_passes import Product
from thalweg.recipes.row_table import Array
from thalweg.recipes.stages import Stage

Mask = NDArray[np.bool_]
Gradient = Tensor | Product
Stacks = Mapping[str, Tensor]
PIECE = 1 << 20  # elements of deferred gradients materialized at once: few calls, little memory
PIECE_ON_GPU = 1 << 26  # the same where a call costs more


class Scratch:
    """Scratch memory that all deferred gradients reuse; allocated at the first call."""

    def __init__(self, parameters: Stacks) -> None:
        self._like = next(iter(parameters.values()))
        self.piece = PIECE_ON_GPU if dispatch.on_gpu(self._like.device) else PIECE
        needed = max(p.numel() for p in parameters.values())
        self._size = max(min(self.piece, needed), *(p[0].numel() for p in parameters.values()))
        self._memory: Tensor | None = None

    def __call__(self, elements: int) -> Tensor:
        """The first `elements` elements, in one dimension."""
        if self._memory is None:
            self._memory = torch.empty(self._size, dtype=self._like.dtype, device=self._like.device)
        return self._memory[:elements]


class Whole(CompiledRows):
    """Parameters with materialized gradients, in a grid `[parameters, members]`.

    streams: tensors `[members, …]` of the parameters, then of each state. place: the members in the gradients' stack.
    constrained: as in `CompiledRows`.
    """

    def __init__(self, place: slice, streams: Sequence[Sequence[Tensor]], lines: int, *, constrained: bool) -> None:
        first, count, members = streams[0][0], len(streams[0]), len(streams[0][0])
        lengths = np.array([p[0].numel() for p in streams[0]], np.int64)
        self._in_stack = (np.arange(members) + place.start) * (lengths * first.element_size())[:, None]
        self._number = count
        pointers = np.stack([np.zeros(count * members, np.int64), *map(of_members, streams)])
        storage, sizes = (first.dtype, *(of[0].dtype for of in streams)), np.repeat(lengths, members)
        part = SameStorage(slice(None), first.device, storage, sizes, pointers)
        super().__init__([part], (count, members), lines, constrained=constrained)
        self.active = np.ones(count * members, np.bool_)
        self._active = self.active.reshape(count, members)

    def set_inputs(self, bases: NDArray[np.int64], active: Mask | None) -> None:
        """Sets the gradients, by the data pointers of the full stack's, and the members that are stepped."""
        self.gradients = (bases[:, None] + self._in_stack).ravel()
        if active is not None:
            self._active[:] = active

    def launch(self, stage: Stage, columns: Tensor, active: Tensor) -> Any:
        """Passes by values on the device, without synchronization. Returns the pass."""
        lines = tuple(columns.shape[:-1])
        ((index, made),) = self.passes_for(stage, lines)
        self.aim(stage, index, made)
        flat = columns.reshape(prod(lines), columns.shape[-1])  # which may have no column
        made.launch(flat, active.repeat(self._number))  # type: ignore[attr-defined]
        return made


class Piece(CompiledRows):
    """Some members of one parameter, whose deferred gradient is materialized in scratch memory just before its use."""

    def __init__(
        self, name: str, members: slice, first: int, tensors: Sequence[Tensor], scratch: Scratch, *, constrained: bool
    ) -> None:
        self.name, self.members = name, members
        self._in_stack = slice(first + members.start, first + members.stop)
        count, size = members.stop - members.start, tensors[0][0].numel()
        self._memory = scratch(count * size)
        pointers = np.stack([of_members([t]) for t in (self._memory.view(count, size), *(t[members] for t in tensors))])
        storage = (tensors[0].dtype,) * (1 + len(tensors))
        part = SameStorage(slice(None), tensors[0].device, storage, np.full(count, size), pointers)
        super().__init__([part], (count,), count, constrained=constrained)

    def step(self, stage: Stage, gradient: Product, columns: Array, active: Mask) -> None:
        self.active = active[self.members]
        if self.active.any():
            gradient.into(self._memory, self._in_stack)
            self.update(stage, columns[self.members])

    def launch(self, stage: Stage, gradient: Product, columns: Tensor, active: Tensor) -> None:
        """`step` by values on the device, without synchronization."""
        gradient.into(self._memory, self._in_stack)
        ((index, made),) = self.passes_for(stage, (len(columns[self.members]),))
        self.aim(stage, index, made)
        made.launch(columns[self.members], active[self.members])  # type: ignore[attr-defined]


def addresses(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    """Data pointers, int64 `[n]`."""
    return np.array([t.data_ptr() for t in tensors], np.int64)


def of_members(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    """The data pointers of each tensor's members, int64 `[tensors · members]`; tensors `[members, …]`, dense."""
    strides = np.array([t[0].numel() * t.element_size() for t in tensors], np.int64)
    return (addresses(tensors)[:, None] + np.arange(len(tensors[0])) * strides[:, None]).ravel()
