"""Executors for the members of one step variant: compiled passes, or torch's operators on other devices and dtypes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution import dispatch
from thalweg.execution.lowering import stacked
from thalweg.population.program.matmul_passes import Product
from thalweg.population.updates.parts import Gradient, Mask, Piece, Scratch, Stacks, Whole
from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import Program


def executor(
    program: Program,
    place: slice,
    parameters: Stacks,
    states: Mapping[str, Stacks],
    scratch: Scratch,
    *,
    each: bool = False,
) -> Any:
    """A callable that steps the members at `place` of the full stack, with these `parameters` and `states`.

    It takes columns `[members, columns]`; or `[parameters, members, columns]` if values measured per tensor are among
    them or `each` parameter has its own, and then no gradient may be deferred. `active` is `[members]` or
    `[parameters, members]`. It returns the program's counts, `[parameters, members]`, of the parameters whose
    gradients are not deferred.
    """
    same = len({p.dtype for p in parameters.values()}) == 1
    if same and all(dispatch.accepts(p) for p in parameters.values()):
        return _Compiled(program, place, parameters, states, scratch, each)
    return _Stacked(program, place, parameters, states)


class _Compiled:
    """One kernel call for all parameters of all members; deferred gradients are materialized and used piece by piece.

    follows: whether it is capturable, stepping by device values.
    """

    def __init__(
        self,
        program: Program,
        place: slice,
        parameters: Stacks,
        states: Mapping[str, Stacks],
        scratch: Scratch,
        each: bool,
    ) -> None:
        self._program, self._place, self._scratch, self._each = program, place, scratch, each
        self._streams = [parameters, *states.values()]
        self.follows = dispatch.on_gpu(next(iter(parameters.values())).device)
        self._prepared: dict[frozenset[str], tuple[Whole | None, list[Piece]]] = {}

    def cast(self, columns: Array) -> Array:
        return columns

    def __call__(
        self, gradients: Mapping[str, Gradient], bases: NDArray[np.int64], columns: Array, active: Mask
    ) -> Array:
        whole, pieces = self._parts(gradients)
        counts = np.zeros((0, active.shape[-1])) if whole is None else whole(bases, columns, active)
        for piece in pieces:
            piece(gradients[piece.name], columns, active)  # type: ignore[arg-type]
        return counts

    def follow(
        self, gradients: Mapping[str, Gradient], bases: NDArray[np.int64], columns: Tensor, active: Tensor
    ) -> Tensor:
        """Capturable step on a GPU: columns, active (int64) and the returned counts are device tensors."""
        whole, pieces = self._parts(gradients)
        counts = columns.new_zeros((0, len(active))) if whole is None else whole.follow(bases, columns, active)
        for piece in pieces:
            piece.follow(gradients[piece.name], columns, active)  # type: ignore[arg-type]
        return counts

    def ready(self, gradients: Mapping[str, Gradient]) -> None:
        """Prepares the passes for steps with gradients like these."""
        self._parts(gradients)

    def send(self) -> None:
        """Sends the members' data pointers from the CPU to the device, for a captured step."""
        for whole, pieces in self._prepared.values():
            if whole is not None:
                whole.step.send()
            for piece in pieces:
                piece.step.send()

    def _parts(self, gradients: Mapping[str, Gradient]) -> "tuple[Whole | None, list[Piece]]":
        late = frozenset(name for name, g in gradients.items() if isinstance(g, Product))
        if late not in self._prepared:
            self._prepared[late] = self._prepare(late)
        return self._prepared[late]

    def _prepare(self, late: frozenset[str]) -> "tuple[Whole | None, list[Piece]]":
        names = [name for name in self._streams[0] if name not in late]
        streams = [[of[n] for n in names] for of in self._streams]
        whole = Whole(self._program, self._place, streams, each=self._each) if names else None
        return whole, [piece for name in self._streams[0] if name in late for piece in self._pieces(name)]

    def _pieces(self, name: str) -> "list[Piece]":
        tensors = [of[name] for of in self._streams]
        members, size = len(tensors[0]), tensors[0][0].numel()
        count = max(1, self._scratch.piece // size)
        starts = range(0, members, count)
        parts = [slice(start, min(start + count, members)) for start in starts]
        return [Piece(self._program, name, part, self._place.start, tensors, self._scratch) for part in parts]


class _Stacked:
    """Steps by torch's operators, for other devices and dtypes."""

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
        going = torch.from_numpy(active).to(self._device).expand(len(self._parameters), active.shape[-1])
        of_parameters = columns.expand(len(self._parameters), *columns.shape[-2:])
        for (name, p), own, here in zip(self._parameters.items(), of_parameters, going, strict=True):
            g = self._made(gradients[name], p)
            elements = {"g": g, "p": p, **{s: of[name] for s, of in self._states.items()}}
            counts.append(stacked.update(self._program, own.to(p.dtype), here, elements))
        return torch.stack(counts).cpu().numpy()

    def _made(self, gradient: Gradient, p: Tensor) -> Tensor:
        if isinstance(gradient, Tensor):
            return gradient[self._place]
        right = gradient.right if gradient.right.ndim == 2 else gradient.right[self._place]
        return Product(gradient.left[self._place], right).like(p)
