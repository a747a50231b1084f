"""Steps as pure tensor operations: for autograd through them, CUDA graphs, `torch.compile` and `torch.func`.

Numbers that change (the step, a learning rate in a tensor) stay tensors, so that nothing waits for a device and nothing
is recomputed in Python. On a GPU one kernel steps a group (`capturable.py`); elsewhere it is slower than the compiled
pass. Under autograd, and in `functional`, bfloat16 and float16 are rounded to the nearest.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.driver import carry_out, measure_shared
from thalweg.execution.elements import Elements
from thalweg.execution.gpu.passes import refuse_recording
from thalweg.execution.lowering import stacked
from thalweg.execution.lowering.device_table import DeviceRows
from thalweg.execution.reference import finished
from thalweg.execution.whole import constrained, transform_gradient
from thalweg.numerics.functions import rows_held_in
from thalweg.optim.interop import sharded
from thalweg.optim.interop.loss_scaling import NONE_FINER, Finer
from thalweg.optim.interop.precision import Precision, check
from thalweg.optim.interop.signature import class_name, hyperparameters
from thalweg.optim.state import fitting, quantized_state
from thalweg.optim.state import state as states
from thalweg.optim.state.state import Needs
from thalweg.optim.stepping.capturable import CapturableRow, Kernels, alike, suits
from thalweg.optim.stepping.reading import checked
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import trace

Values = Mapping[str, Any]


def structure_of(recipe: Recipe, values: Values) -> StepVariant:
    """The step variant that the values need. A tensor may take any value, so its part is always included."""
    return recipe.structure({name: 1.0 if isinstance(v, Tensor) else v for name, v in values.items()})


class TensorRow(DeviceRows):
    """One parameter, stepped by torch's operators without changing a tensor. A `driver.StepJob`.

    p: the new parameter, once stepped. states: its new states by name.
    """

    def __init__(
        self, structure: StepVariant, elements: Elements, values: Values, t: Tensor, row_states: Values
    ) -> None:
        super().__init__(1)
        self.program, self._structure, self._elements = trace(structure), structure, elements
        self.values = {**values, **{name: x.double().reshape(1) for name, x in row_states.items()}, "t": t.reshape(1)}
        g, p, *states = elements.wide
        self._matrices = dict(zip(self.program.matrix_states, (x[None] for x in elements.matrices), strict=True))
        self._known = {"g": g[None], "p": p[None]} | {
            name: x[None] for name, x in zip(self.program.states, states, strict=True)
        }

    @property
    def rows(self) -> "TensorRow":
        return self

    @property
    def p(self) -> Tensor:
        return self._known["p"][0]

    @property
    def states(self) -> dict[str, Tensor]:
        return {name: self._known[name][0] for name in self.program.states}

    @property
    def matrices(self) -> dict[str, Tensor]:
        """The new states with shapes of their own."""
        return {name: x[0] for name, x in self._matrices.items()}

    def reduce(self, stage: Stage, columns: Tensor) -> dict[str, Tensor]:
        found = stacked.reduced(stage, self._of(columns), self._known)
        each = {r.name: finished(r.op, found[r.name], self._elements) for r in stage.reductions}
        shared = {r.name for r in stage.reductions if r.shared}
        return {name: x[0] if name in shared else x for name, x in each.items()}

    def update(self, stage: Stage, columns: Tensor) -> None:
        self._known |= stacked.updated(stage, self._of(columns), self._known)

    def call(self, stage: Stage, columns: Tensor) -> None:
        new = stacked.called(stage, self._of(columns), self._known, self._matrices)
        self._matrices |= {name: x for name, x in new.items() if name in self._matrices}
        self._known |= {name: x for name, x in new.items() if name not in self._matrices}

    def constrain(self, values: Values) -> None:
        own = {name: x.to(self.p.dtype) if isinstance(x, Tensor) else x for name, x in values.items()}
        now = replace(self._elements, p=self.p, residual=None)
        self._known["p"] = constrained(self._structure, now, own)[None]

    def unrounded(self) -> AbstractContextManager[None]:
        return nullcontext()  # nothing is stored before the end

    def _of(self, columns: Tensor) -> Tensor:
        return columns.to(self._known["p"].dtype)


@dataclass(frozen=True)
class _TraceableGroup:
    """A param group at this step. params: those with a gradient, by index in the group."""

    needs: Needs
    params: Mapping[int, Tensor]
    gradients: Mapping[int, Tensor]


def update(
    recipe: Recipe,
    groups: Sequence[Mapping[str, Any]],
    all_states: states.States,
    kernels: Mapping[int, Kernels],
    unscaled: Callable[[], Finer] | None = None,
    found_inf: Tensor | None = None,
) -> None:
    """Steps every parameter that has a gradient, in place; differentiably under `torch.enable_grad`.

    kernels: each group's cache. unscaled: divides all gradients by a loss's scale, and returns those to use instead of
    `p.grad`. found_inf: unless 0, nothing changes.
    """
    found = [_read(recipe, group, number, all_states) for number, group in enumerate(groups)]
    finer = unscaled() if unscaled else NONE_FINER
    found = [_gathered(group, finer) for group in found]
    jobs: list[Any] = []
    for number, group in enumerate(found):
        rows = [_row(group, place, all_states[group.params[place]]) for place in group.params]
        by_kernel = alike([row for row in rows if row.by_kernel], group.needs)
        jobs += [kernels[number].job(group.needs, of_one, found_inf) for of_one in by_kernel]
        jobs += [_TensorStep(group, row, found_inf) for row in rows if not row.by_kernel]
    measured = measure_shared(jobs) if any(job.program.shared for job in jobs) else [None] * len(jobs)
    for job, known in zip(jobs, measured, strict=True):
        with rows_held_in(job.row_dtype):
            job.end(carry_out(job.program, job.rows, job.values, known))


def _gathered(group: _TraceableGroup, finer: Finer) -> _TraceableGroup:
    """The group with its gradients, transformed where asked for."""
    structure, values = group.needs.structure, group.needs.values
    given = {i: finer[p] if p in finer else cast(Tensor, p.grad) for i, p in group.params.items()}
    own = {
        i: p.clone() if torch.is_grad_enabled() else p for i, p in group.params.items()
    }  # autograd needs it as it was
    found = {i: _real(transform_gradient(structure, g, own[i], values)) for i, g in given.items()}
    return replace(group, gradients=found)


def _read(recipe: Recipe, group: Mapping[str, Any], number: int, all_states: states.States) -> _TraceableGroup:
    """Reads a group, without gradients yet. Raises `InputError` where parameter, gradient and state do not match."""
    given = hyperparameters(recipe, group)
    values = {name: checked(recipe, recipe.hyperparameters[name], value) for name, value in given.items()}
    structure = structure_of(recipe, values)
    params = {i: p for i, p in enumerate(group["params"]) if p.grad is not None}
    precision = Precision.of(check(class_name(recipe), group), number)
    sharded.require_whole([*params.values()], precision)
    if torch.is_grad_enabled():
        _require_followable(class_name(recipe), [*params.values()], precision)
    if any(p.grad.is_sparse for p in params.values()):
        raise InputError(f"{class_name(recipe)} takes sparse gradients without capturable and differentiable only.")
    needs = Needs(structure, values, precision)
    for i, p in params.items():
        of = fitting.NamedParameter.of(class_name(recipe), group, i, p)
        fitting.require(of, p.grad, all_states.get(p, {}), needs)
    return _TraceableGroup(needs, params, {})


def _require_followable(owner: str, params: Sequence[Tensor], precision: Precision) -> None:
    """Raises `InputError` where autograd cannot differentiate a step."""
    if any(p.is_leaf and p.requires_grad for p in params):
        raise InputError(
            f"{owner} with differentiable=True steps results of operations, such as p.clone(), that autograd can"
            " follow; got a leaf that requires a gradient."
        )
    if any(map(precision.in_8_bits, params)):
        raise InputError(f"{owner} with differentiable=True holds no states in 8 bits, in any group.")


def _row(group: _TraceableGroup, place: int, state: states.States) -> CapturableRow:
    """A row ready to be stepped: creates its state, and moves step count and row states to its device."""
    p, needs = group.params[place], group.needs
    program, g = needs.program, group.gradients[place]
    if "step" not in state:
        refuse_recording(p.device)
    needs.ensure(state, p, counted=True)  # only by a count can a graph know the first step
    for name in ("step", *program.row_states):
        state[name] = state[name].to(p.device)
    residual = state[states.RESIDUAL] if needs.precision.compensates(p) else None
    p_before = p.clone() if torch.is_grad_enabled() else p  # autograd needs it as it was
    quantized_state.lay(state, program.states, p)
    kept, scales = tuple(_real(state[name]) for name in program.states), quantized_state.scales(state, program.states)
    matrices = tuple(state[name] for name in program.matrix_states)
    elements = Elements(g, _real(p_before), kept, residual, None, scales, has_units=p.ndim > 1, matrices=matrices)
    if torch.is_grad_enabled():
        return CapturableRow(elements, state, p, place)
    if suits(elements):
        return CapturableRow(elements, state, p, place, by_kernel=True)
    elements = replace(elements, key=_key(group, p, state["step"] + 1, place))
    return CapturableRow(sharded.elements(elements), state, p, place)


class _TensorStep(TensorRow):
    """One parameter of a param group; its new values are stored at the end."""

    def __init__(self, group: _TraceableGroup, row: CapturableRow, found_inf: Tensor | None) -> None:
        self._group, self._row, self._found_inf = group, row, found_inf
        self._count = row.state["step"] + 1
        needs, held = group.needs, {name: row.state[name] for name in group.needs.program.row_states}
        self.row_dtype = needs.row_dtype(row.state)
        super().__init__(needs.structure, row.elements, needs.values, self._count.double(), held)
        self._before, self._matrices_before = dict(self._known), dict(self._matrices)

    def end(self, after: Mapping[str, Tensor]) -> None:
        """Stores the new parameter, states and row states; all as before where `found_inf` is not 0."""
        state, p, rows = self._row.state, self._row.p, {name: x.reshape(()) for name, x in after.items()}
        if torch.is_grad_enabled():  # the states stay in its graph, too
            p.copy_(_like(self.p, p))
            moved = {**self.states, **self.matrices, **rows}
            state.update({name: _like(moved[name], state[name]) for name in moved}, step=self._count)
            return
        if self._found_inf is not None:
            going = self._found_inf == 0
            self._known = {n: torch.where(going, self._known[n], x) for n, x in self._before.items()}
            self._matrices = {n: torch.where(going, x, self._matrices_before[n]) for n, x in self._matrices.items()}
            rows = {name: torch.where(going, x, state[name].to(x)) for name, x in rows.items()}
            self._count = torch.where(going, self._count, state["step"])
        self._elements.store(self.p, *self.states.values())
        for name, new in self.matrices.items():
            state[name].copy_(new)
        state["step"].copy_(self._count)
        for name, new in rows.items():
            state[name].copy_(new)


def _key(group: _TraceableGroup, p: Tensor, count: Tensor, place: int) -> Any:
    return group.needs.precision.key(count, place) if group.needs.precision.chances([p]) else None


def _real(x: Any) -> Tensor:
    held: Tensor = torch.view_as_real(x) if x.is_complex() else x
    return held


def _like(value: Tensor, old: Tensor) -> Tensor:
    """The new value in the dtype of the old one, complex if that is."""
    value = torch.as_tensor(value, device=old.device)
    return (torch.view_as_complex(value) if old.is_complex() else value).to(old.dtype)
