"""The members of one step variant as rows: in compiled passes, or by torch's operators on other devices and dtypes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution import dispatch, driver
from thalweg.execution.gpu import passes
from thalweg.execution.lowering import stacked
from thalweg.execution.storage.rounding import upcast
from thalweg.population.program.matmul_passes import Product
from thalweg.population.updates.hyperparameters import limits_of
from thalweg.population.updates.parts import Gradient, Mask, Piece, Scratch, Stacks, Whole, of_members
from thalweg.recipes.compose import StepVariant, constrain
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import Program

Values = driver.Values


class MemberRows:
    """Rows `[parameters, members]` of one step variant: the members at `place` of the full stack.

    Row values are arrays that broadcast to `[parameters, members]`. `each`: whether every parameter has its own step.
    """

    def __init__(
        self,
        structure: StepVariant,
        program: Program,
        place: slice,
        parameters: Stacks,
        states: Mapping[str, Stacks],
        matrices: Mapping[str, Stacks],
        *,
        each: bool,
    ) -> None:
        self._structure, self._program, self._place = structure, program, place
        self._parameters, self._states, self._matrices = parameters, states, matrices
        self._per_parameter = each or program.per_tensor
        self.planned: Array | Tensor | None = None
        self._gradients: Mapping[str, Gradient] = {}
        self._active: Mask = np.ones(0, np.bool_)

    def set_inputs(self, gradients: Mapping[str, Gradient], bases: NDArray[np.int64], active: Mask | None) -> None:
        """Sets the next step's gradients, the data pointers of those not deferred, and who is active.

        active: bool `[members]` or `[parameters, members]`; `None` where it is given on the device.
        """
        self._gradients = gradients
        if active is not None:
            self._active = active

    def table(self, stage: Stage, values: Values) -> tuple[Any, dict[str, Any]]:
        """The stage's columns: the planned ones of this step, where there are any."""
        return table(stage, values) if self.planned is None else (self.planned, {})

    def call(self, stage: Stage, columns: Any, active: Tensor | None = None) -> None:
        """Calls functions of matrices, of each parameter once for all members. active: as for `constrain`."""
        lines = torch.as_tensor(columns)
        members = len(next(iter(self._parameters.values())))
        lines = lines.expand(len(self._parameters), members, lines.shape[-1])
        for i, (name, p) in enumerate(self._parameters.items()):
            elements = {stream: self._states[stream][name] for stream in self._program.transients}
            held = {state: of[name] for state, of in self._matrices.items()}
            going = self._going(i).to(p.device) if active is None else active
            for result, new in stacked.called(stage, lines[i].to(p.device), elements, held).items():
                into = held.get(result)
                if into is None:
                    elements[result].copy_(new)
                else:
                    into.copy_(torch.where(going.view(-1, *[1] * (into.ndim - 1)), new, into))

    def constrain(self, values: Values, active: Tensor | None = None) -> None:
        """Constrains the parameters of active members. active: bool `[members]`, by default those given."""
        for i, p in enumerate(self._parameters.values()):
            if p.ndim > 2:
                limits = limits_of(values, self._structure.limits, p, i)
                going = (self._going(i).to(p.device) if active is None else active).view(-1, *[1] * (p.ndim - 1))
                p.copy_(torch.where(going, constrain(self._structure, p, limits), p))

    @contextmanager
    def unrounded(self) -> Iterator[None]:
        """See `driver.Rows`; here low-precision parameters are rounded to the nearest."""
        stored = self._parameters
        self._parameters = {name: upcast(p) for name, p in stored.items()}
        try:
            yield
            for p, copy in zip(stored.values(), self._parameters.values(), strict=True):
                if copy is not p:
                    p.copy_(copy)
        finally:
            self._parameters = stored

    def _going(self, parameter: int) -> Tensor:
        """Whether each member's parameter is stepped, bool `[members]`."""
        return torch.from_numpy(self._active if self._active.ndim == 1 else self._active[parameter])


class CompiledMembers(MemberRows):
    """One kernel call for all parameters of all members; deferred gradients are materialized piece by piece."""

    def __init__(self, *given: Any, scratch: Scratch, each: bool) -> None:
        super().__init__(*given, each=each)
        self._scratch = scratch
        self._streams = [self._parameters, *self._states.values()]
        self.capturable = dispatch.on_gpu(next(iter(self._parameters.values())).device)
        self._prepared: dict[frozenset[str], tuple[Whole | None, list[Piece]]] = {}
        self._sent: Tensor | None = None

    def cast(self, columns: Array) -> Array:
        return columns

    def set_inputs(self, gradients: Mapping[str, Gradient], bases: NDArray[np.int64], active: Mask | None) -> None:
        super().set_inputs(gradients, bases, active)
        self._whole, self._pieces = self._parts(gradients)
        if self._whole is not None:
            self._whole.set_inputs(bases, active)

    def reduce(self, stage: Stage, columns: Array) -> dict[str, Array]:
        assert self._whole is not None, "a reduction needs materialized gradients"
        return self._whole.reduce(stage, columns)

    def update(self, stage: Stage, columns: Array) -> None:
        if self._whole is not None:
            self._whole.update(stage, self._early(columns))
        for piece in self._pieces:
            piece.step(stage, self._product(piece), self._for(columns, piece), self._active)

    @contextmanager
    def unrounded(self) -> Iterator[None]:
        with super().unrounded():
            if self._whole is not None:
                early = [p for n, p in self._parameters.items() if not isinstance(self._gradients[n], Product)]
                self._whole.parameters = of_members(early)
            for piece in self._pieces:
                piece.parameters = of_members([self._parameters[piece.name][piece.members]])
            yield

    def launch(self, stage: Stage, columns: Tensor, active: Tensor) -> dict[str, Tensor]:
        """`reduce` or `update` on a GPU by values on the device: columns, and active, int64 `[members]`."""
        made = None if self._whole is None else self._whole.launch(stage, self._early(columns), active)
        for piece in self._pieces:
            piece.launch(stage, self._product(piece), self._for(columns, piece), active)
        if made is None or not stage.reductions:
            return {}
        sums = made.sums_there.view(len(stage.reductions), -1, len(active))
        sizes = self._sizes()[:, None]
        found = {}
        for reduction, each in zip(stage.reductions, sums.unbind(), strict=True):
            value = each / sizes if reduction.op == "mean" else each.sqrt()
            found[reduction.name] = torch.linalg.vector_norm(value, dim=0) if reduction.shared else value
        return found

    def _early(self, columns: Any) -> Any:
        """The columns of the parameters whose gradients are materialized."""
        if columns.ndim < 3:  # the same for all parameters
            return columns
        return columns[[i for i, g in enumerate(self._gradients.values()) if not isinstance(g, Product)]]

    def _sizes(self) -> Tensor:
        """Elements of each parameter of one member, float64, kept on the device."""
        if self._sent is None:
            p, sizes = next(iter(self._parameters.values())), [max(1, p[0].numel()) for p in self._parameters.values()]
            self._sent = passes.sent(tuple(sizes), p.device).double()
        return self._sent

    def ready(self, gradients: Mapping[str, Gradient]) -> None:
        """Prepares the passes for steps with gradients like these."""
        whole, pieces = self._parts(gradients)
        for rows in ([] if whole is None else [whole]) + pieces:
            for stage in self._program.stages:
                rows.prepared(stage)
        if any(stage.reductions for stage in self._program.before):
            self._sizes()

    def send(self) -> None:
        """Sends the members' data pointers from the CPU to the device, for a captured step."""
        for whole, pieces in self._prepared.values():
            for rows in ([] if whole is None else [whole]) + pieces:
                for stage in self._program.stages:
                    for _, made in rows.prepared(stage):
                        made.send()  # type: ignore[attr-defined]

    def _for(self, columns: Any, piece: Piece) -> Any:
        """The columns of a piece's parameter."""
        return columns[[*self._parameters].index(piece.name)] if columns.ndim == 3 else columns

    def _product(self, piece: Piece) -> Product:
        gradient = self._gradients[piece.name]
        assert isinstance(gradient, Product)
        return gradient

    def _parts(self, gradients: Mapping[str, Gradient]) -> "tuple[Whole | None, list[Piece]]":
        late = frozenset(name for name, g in gradients.items() if isinstance(g, Product))
        if late not in self._prepared:
            self._prepared[late] = self._prepare(late)
        return self._prepared[late]

    def _prepare(self, late: frozenset[str]) -> "tuple[Whole | None, list[Piece]]":
        names = [name for name in self._streams[0] if name not in late]
        streams = [[of[n] for n in names] for of in self._streams]
        members = len(next(iter(self._parameters.values())))
        lines = members * (len(names) if self._per_parameter else 1)
        constrained = self._program.constrained
        whole = Whole(self._place, streams, lines, constrained=constrained) if names else None
        return whole, [piece for name in self._streams[0] if name in late for piece in self._of(name)]

    def _of(self, name: str) -> "list[Piece]":
        tensors = [of[name] for of in self._streams]
        members, size = len(tensors[0]), tensors[0][0].numel()
        count = max(1, self._scratch.piece // size)
        parts = [slice(start, min(start + count, members)) for start in range(0, members, count)]
        first, constrained = self._place.start, self._program.constrained
        return [Piece(name, part, first, tensors, self._scratch, constrained=constrained) for part in parts]


class StackedMembers(MemberRows):
    """Steps by torch's operators, for other devices and dtypes; low-precision ones in float32, rounded when stored."""

    capturable = False

    def cast(self, columns: Array) -> Tensor:
        return torch.from_numpy(columns).to(next(iter(self._parameters.values())).device)

    def table(self, stage: Stage, values: Values) -> tuple[Tensor, dict[str, Any]]:
        columns, after = super().table(stage, values)
        return columns if isinstance(columns, Tensor) else self.cast(columns), after

    def reduce(self, stage: Stage, columns: Tensor) -> dict[str, Array]:
        found: dict[str, list[Array]] = {reduction.name: [] for reduction in stage.reductions}
        for i, (name, p) in enumerate(self._parameters.items()):
            elements = self._elements(name)
            measured = stacked.reduced(stage, self._columns(columns, i).to(elements["p"].dtype), elements)
            for reduction in stage.reductions:
                value = measured[reduction.name].cpu().numpy()
                found[reduction.name].append(value / max(1, p[0].numel()) if reduction.op == "mean" else value)
        shared = {reduction.name for reduction in stage.reductions if reduction.shared}
        return {name: driver.joint_norm(of) if name in shared else np.stack(of) for name, of in found.items()}

    def update(self, stage: Stage, columns: Tensor) -> None:
        for i, (name, p) in enumerate(self._parameters.items()):
            elements, stored = self._elements(name), {"p": p, **{s: of[name] for s, of in self._states.items()}}
            going = self._going(i).to(p.device).view(-1, *[1] * (p.ndim - 1))
            new = stacked.updated(stage, self._columns(columns, i).to(elements["p"].dtype), elements)
            kept = {n: torch.where(going, value, elements[n]) for n, value in new.items()}
            for n, value in kept.items():  # only now: a new state may be an old one, or the old parameter
                stored[n].copy_(value)

    def _columns(self, columns: Tensor, parameter: int) -> Tensor:
        members = len(next(iter(self._parameters.values())))
        return columns.expand(len(self._parameters), members, columns.shape[-1])[parameter]

    def _elements(self, name: str) -> dict[str, Tensor]:
        p = self._parameters[name]
        held = {"g": self._made(self._gradients[name], p), "p": p, **{s: of[name] for s, of in self._states.items()}}
        return {n: upcast(x) for n, x in held.items()}

    def _made(self, gradient: Gradient, p: Tensor) -> Tensor:
        if isinstance(gradient, Tensor):
            return gradient[self._place]
        right = gradient.right if gradient.right.ndim == 2 else gradient.right[self._place]
        return Product(gradient.left[self._place], right).like(p)


def member_rows(
    structure: StepVariant,
    program: Program,
    place: slice,
    parameters: Stacks,
    states: Mapping[str, Stacks],
    matrices: Mapping[str, Stacks],
    scratch: Scratch,
    *,
    each: bool = False,
) -> CompiledMembers | StackedMembers:
    """The rows of the members at `place` of the full stack. matrices: the states with shapes of their own."""
    given: Sequence[Any] = (structure, program, place, parameters, states, matrices)
    same = len({p.dtype for p in parameters.values()}) == 1
    if same and all(dispatch.accepts(p) for p in parameters.values()):
        return CompiledMembers(*given, scratch=scratch, each=each)
    return StackedMembers(*given, each=each)
