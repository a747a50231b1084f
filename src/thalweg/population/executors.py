"""How the members of one structure are stepped: by compiled passes, or in torch's operators on other devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.population.products import Product
from thalweg.recipes.execution import compiled, stacked, storage
from thalweg.recipes.options import OF_TENSORS
from thalweg.recipes.rows import Array
from thalweg.recipes.trace import Program

Mask = NDArray[np.bool_]
Gradient = Tensor | Product
Stacks = Mapping[str, Tensor]
PIECE = 1 << 20  # elements of gradients made at once: few calls, and little memory
PIECE_ON_GPU = 1 << 26  # the same where a call costs more


class Scratch:
    """Memory for gradients that are made where they are used, over and over the same."""

    def __init__(self, parameters: Stacks) -> None:
        self._like = next(iter(parameters.values()))
        self.piece = PIECE_ON_GPU if storage.on_gpu(self._like.device) else PIECE
        needed = max(p.numel() for p in parameters.values())
        self._size = max(min(self.piece, needed), *(p[0].numel() for p in parameters.values()))
        self._memory: Tensor | None = None

    def __call__(self, elements: int) -> Tensor:
        """So many elements of it, in one dimension."""
        if self._memory is None:
            self._memory = torch.empty(self._size, dtype=self._like.dtype, device=self._like.device)
        return self._memory[:elements]


def executor(program: Program, place: slice, parameters: Stacks, states: Mapping[str, Stacks], scratch: Scratch) -> Any:
    """What steps the members at `place` of the whole stack; `parameters` and `states` are theirs.

    It takes columns `[members, columns]`, or `[parameters, members, columns]` where what is measured of a tensor is
    among them; then all gradients must be made. It returns what the program counts, `[parameters, members]`, of the
    parameters whose gradients are.
    """
    same = len({p.dtype for p in parameters.values()}) == 1
    if same and all(storage.accepts(p) for p in parameters.values()):
        return _Compiled(program, place, parameters, states, scratch)
    return _Stacked(program, place, parameters, states)


def apart(program: Program) -> bool:
    """Whether every parameter has row values of its own."""
    return not OF_TENSORS.isdisjoint(program.measured)


class _Compiled:
    """One kernel call for all parameters of all members; large gradients are made and used up piece by piece.

    follows: whether it can step by what is on the device.
    """

    def __init__(
        self, program: Program, place: slice, parameters: Stacks, states: Mapping[str, Stacks], scratch: Scratch
    ) -> None:
        self._program, self._place, self._scratch = program, place, scratch
        self._streams = [parameters, *states.values()]
        self.follows = storage.on_gpu(next(iter(parameters.values())).device)
        self._prepared: dict[frozenset[str], tuple[_Whole | None, list[_Piece]]] = {}

    def cast(self, columns: Array) -> Array:
        return columns

    def __call__(
        self, gradients: Mapping[str, Gradient], bases: NDArray[np.int64], columns: Array, active: Mask
    ) -> Array:
        whole, pieces = self._parts(gradients)
        counts = np.zeros((0, len(active))) if whole is None else whole(bases, columns, active)
        for piece in pieces:
            piece(gradients[piece.name], columns, active)  # type: ignore[arg-type]
        return counts

    def follow(
        self, gradients: Mapping[str, Gradient], bases: NDArray[np.int64], columns: Tensor, active: Tensor
    ) -> Tensor:
        """The same on a GPU, by what is there: columns and active, int64, as tensors; so are the counts."""
        whole, pieces = self._parts(gradients)
        counts = columns.new_zeros((0, len(active))) if whole is None else whole.follow(bases, columns, active)
        for piece in pieces:
            piece.follow(gradients[piece.name], columns, active)  # type: ignore[arg-type]
        return counts

    def ready(self, gradients: Mapping[str, Gradient]) -> None:
        """Makes ready whatever steps with gradients like these need."""
        self._parts(gradients)

    def send(self) -> None:
        """What the CPU knows of the members' places in memory goes to the device, for a step that was recorded."""
        for whole, pieces in self._prepared.values():
            if whole is not None:
                whole.step.send()
            for piece in pieces:
                piece.step.send()

    def _parts(self, gradients: Mapping[str, Gradient]) -> "tuple[_Whole | None, list[_Piece]]":
        late = frozenset(name for name, g in gradients.items() if isinstance(g, Product))
        if late not in self._prepared:
            self._prepared[late] = self._prepare(late)
        return self._prepared[late]

    def _prepare(self, late: frozenset[str]) -> "tuple[_Whole | None, list[_Piece]]":
        names = [name for name in self._streams[0] if name not in late]
        whole = _Whole(self._program, self._place, [[of[n] for n in names] for of in self._streams]) if names else None
        return whole, [piece for name in self._streams[0] if name in late for piece in self._pieces(name)]

    def _pieces(self, name: str) -> "list[_Piece]":
        tensors = [of[name] for of in self._streams]
        members, size = len(tensors[0]), tensors[0][0].numel()
        count = max(1, self._scratch.piece // size)
        starts = range(0, members, count)
        parts = [slice(start, min(start + count, members)) for start in starts]
        return [_Piece(self._program, name, part, self._place.start, tensors, self._scratch) for part in parts]


class _Whole:
    """Parameters whose gradients are there already: `streams` are the tensors of parameters, then of each state."""

    def __init__(self, program: Program, place: slice, streams: Sequence[Sequence[Tensor]]) -> None:
        first = streams[0][0]
        members = len(first)
        lengths = np.array([p[0].numel() for p in streams[0]], np.int64)
        stride = (lengths * first.element_size())[:, None]
        self._in_stack = (np.arange(members) + place.start) * stride
        self._times = len(lengths) if apart(program) else 1
        lines, sizes = self._times * members, np.repeat(lengths, members)
        self.step: Any = compiled.prepare(program, first.device, (first.dtype,) * (1 + len(streams)), sizes, lines)
        self.step.which[:] = np.resize(np.arange(lines), len(sizes))
        for i, tensors in enumerate(streams, 1):
            self.step.pointers[i] = (addresses(tensors)[:, None] + np.arange(members) * stride).ravel()

    def __call__(self, bases: NDArray[np.int64], columns: Array, active: Mask) -> Array:
        """What is counted, `[parameters, members]`. bases: where the gradients of the whole stack begin."""
        self.step.pointers[0] = (bases[:, None] + self._in_stack).ravel()
        self.step.active[:] = np.tile(active, self._times)
        self.step(columns.reshape(-1, columns.shape[-1]))
        counts: Array = self.step.counts.reshape(-1, len(active))
        return counts

    def follow(self, bases: NDArray[np.int64], columns: Tensor, active: Tensor) -> Tensor:
        self.step.pointers[0] = (bases[:, None] + self._in_stack).ravel()
        self.step.follow(columns.reshape(-1, columns.shape[-1]), active.repeat(self._times))
        counts: Tensor = self.step.counts_there.view(-1, len(active))
        return counts


@dataclass(init=False)
class _Piece:
    """Some members of one parameter whose gradient is made into scratch memory just before it is used."""

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
    """Where each begins in memory, `[n]`."""
    return np.array([t.data_ptr() for t in tensors], np.int64)


class _Stacked:
    """The same in torch's operators, for other devices and dtypes."""

    follows = False

    def __init__(self, program: Program, place: slice, parameters: Stacks, states: Mapping[str, Stacks]) -> None:
        self._program, self._place, self._parameters, self._states = program, place, parameters, states
        self._device = next(iter(parameters.values())).device

    def cast(self, columns: Array) -> Tensor:
        return torch.from_numpy(columns).to(self._device)

    def __call__(
        self, gradients: Mapping[str, Gradient], bases: NDArray[np.int64], columns: Tensor, active: Mask
    ) -> Array:
        counts = []
        going = torch.from_numpy(active).to(self._device)
        of_parameters = columns.expand(len(self._parameters), *columns.shape[-2:])
        for (name, p), own in zip(self._parameters.items(), of_parameters, strict=True):
            g = self._made(gradients[name], p)
            elements = {"g": g, "p": p, **{s: of[name] for s, of in self._states.items()}}
            counts.append(stacked.update(self._program, own.to(p.dtype), going, elements))
        return torch.stack(counts).cpu().numpy()

    def _made(self, gradient: Gradient, p: Tensor) -> Tensor:
        if isinstance(gradient, Tensor):
            return gradient[self._place]
        right = gradient.right if gradient.right.ndim == 2 else gradient.right[self._place]
        return Product(gradient.left[self._place], right).like(p)
