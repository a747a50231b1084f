"""Parts of a population's step: parameters with materialized gradients, and pieces of those with deferred ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution import compiled, dispatch
from thalweg.population.program.matmul_passes import Product
from thalweg.recipes.options import OF_TENSORS
from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import Program

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


def apart(program: Program) -> bool:
    """Whether every parameter has its own row values, because some are measured per tensor."""
    return not OF_TENSORS.isdisjoint(program.measured)


class Whole:
    """One pass over parameters with materialized gradients. streams: tensors of the parameters, then of each state.

    each: whether every parameter has its own row values, even where none is measured per tensor.
    """

    def __init__(
        self, program: Program, place: slice, streams: Sequence[Sequence[Tensor]], *, each: bool = False
    ) -> None:
        first = streams[0][0]
        members = len(first)
        lengths = np.array([p[0].numel() for p in streams[0]], np.int64)
        stride = (lengths * first.element_size())[:, None]
        self._in_stack = (np.arange(members) + place.start) * stride
        self._times = len(lengths) if each or apart(program) else 1
        lines, sizes = self._times * members, np.repeat(lengths, members)
        self.step: Any = compiled.prepare(program, first.device, (first.dtype,) * (1 + len(streams)), sizes, lines)
        self.step.which[:] = np.resize(np.arange(lines), len(sizes))
        for i, tensors in enumerate(streams, 1):
            self.step.pointers[i] = (addresses(tensors)[:, None] + np.arange(members) * stride).ravel()

    def __call__(self, bases: NDArray[np.int64], columns: Array, active: Mask) -> Array:
        """Steps and returns the counts, `[parameters, members]`. bases: data pointers of the full stack's gradients."""
        self.step.pointers[0] = (bases[:, None] + self._in_stack).ravel()
        self.step.active[:] = np.tile(active, self._times) if active.ndim == 1 else active.ravel()
        self.step(columns.reshape(-1, columns.shape[-1]))
        counts: Array = self.step.counts.reshape(-1, active.shape[-1])
        return counts

    def follow(self, bases: NDArray[np.int64], columns: Tensor, active: Tensor) -> Tensor:
        self.step.pointers[0] = (bases[:, None] + self._in_stack).ravel()
        self.step.follow(columns.reshape(-1, columns.shape[-1]), active.repeat(self._times))
        counts: Tensor = self.step.counts_there.view(-1, len(active))
        return counts


@dataclass(init=False)
class Piece:
    """Some members of one parameter, whose deferred gradient is materialized in scratch memory just before its use."""

    name: str

    def __init__(
        self, program: Program, name: str, members: slice, first: int, tensors: Sequence[Tensor], scratch: Scratch
    ) -> None:
        self.name, self._members = name, members
        self._in_stack = slice(first + members.start, first + members.stop)
        count, size = members.stop - members.start, tensors[0][0].numel()
        self._memory = scratch(count * size)
        held, sizes = (tensors[0].dtype,) * (1 + len(tensors)), np.full(count, size)
        self.step: Any = compiled.prepare(program, tensors[0].device, held, sizes, count)
        self.step.which[:] = np.arange(count)
        starts = [self._memory.data_ptr(), *(t[members.start].data_ptr() for t in tensors)]
        steps = np.arange(count) * size * tensors[0].element_size()
        self.step.pointers[:] = np.array(starts, np.int64)[:, None] + steps

    def __call__(self, gradient: Product, columns: Array, active: Mask) -> None:
        going = active[self._members]
        if going.any():
            gradient.into(self._memory, self._in_stack)
            self.step.active[:] = going
            self.step(columns[self._members])

    def follow(self, gradient: Product, columns: Tensor, active: Tensor) -> None:
        gradient.into(self._memory, self._in_stack)
        self.step.follow(columns[self._members], active[self._members])


def addresses(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    """Data pointers, int64 `[n]`."""
    return np.array([t.data_ptr() for t in tensors], np.int64)
