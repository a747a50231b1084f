"""Steps as pure tensor operations: for autograd through them, CUDA graphs, `torch.compile` and `torch.func`.

Numbers that change (the step, a learning rate in a tensor) stay tensors, so that nothing waits for a device and nothing
is recomputed in Python. On a GPU one kernel steps a group (`capturable.py`); elsewhere it is slower than the compiled
pass. Under autograd, and in `functional`, bfloat16 and float16 are rounded to the nearest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from thalweg.errors import InputError
from thalweg.execution.gpu.passes import refuse_recording
from thalweg.execution.reductions import transform_gradient
from thalweg.execution.reference import Elements
from thalweg.execution.storage.rounding import upcast
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
from thalweg.recipes.compose import StepVariant, agreement
from thalweg.recipes.compose import step as composed
from thalweg.recipes.options import AGREEMENT, GLOBAL_NORM, GRADIENT_NORM

Values = Mapping[str, Any]


def structure_of(recipe: Recipe, values: Values) -> StepVariant:
    """The step variant that the values need. A tensor may take any value, so its part is always included."""
    return recipe.structure({name: 1.0 if isinstance(v, Tensor) else v for name, v in values.items()})


def after(
    structure: StepVariant,
    g: Tensor,
    p: Tensor,
    held: Values,
    t: Tensor,
    values: Values,
    measured: Mapping[str, Tensor],
    share: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """One parameter and its states after the step. Pure.

    Args:
        g, p: real, in the compute dtype; g as `reductions.transform_gradient` returns it.
        held: its states and row states.
        t: the step, 0-d float64.
        values: numbers, flags and 0-d tensors. measured: norms, by `measures_of`.
        share: turns a sum over the elements into the mean of the whole tensor, where they are a shard of it.
    """
    known = {**values, **measured}
    row_states = {s.name: held[s.name].double() for s in structure.rule.states if s.per_row and s.name in held}
    present = {**{s.name: 0.0 for s in structure.states}, **held, **row_states}
    if AGREEMENT in structure.measured:
        agrees = agreement(structure, g, p, present, t, known)
        known[AGREEMENT] = share(agrees.sum()) if share else agrees.mean()
    moved: tuple[Tensor, dict[str, Tensor]] = composed(structure, g, p, present, t, known)
    return moved


def measures_of(structure: StepVariant, g: Tensor, together: Tensor | None) -> dict[str, Tensor]:
    """The norms that a step needs, 0-d float64: the gradient's own, and `together`, the global one."""
    found = {GRADIENT_NORM: _norm(g)} if GRADIENT_NORM in structure.measured else {}
    return found if together is None else {**found, GLOBAL_NORM: together.to(g.device)}


def norm_of(gradients: Sequence[Tensor]) -> Tensor:
    """The global norm of the gradients, 0-d float64."""
    norms = torch.stack([_norm(g).to(gradients[0].device) for g in gradients])
    return _norm(norms)


def _norm(g: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(upcast(sharded.norm(g)))
    return norm.double()


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
    everything = [g for group in found for g in group.gradients.values()]
    needed = any(GLOBAL_NORM in group.needs.structure.measured for group in found)
    together = norm_of(everything) if needed and everything else None
    for number, group in enumerate(found):
        rows = [_row(group, place, all_states[group.params[place]], together) for place in group.params]
        for of_one_kernel in alike([row for row in rows if row.by_kernel], group.needs):
            with rows_held_in(group.needs.row_dtype(of_one_kernel[0].state)):
                kernels[number].step(group.needs, of_one_kernel, found_inf)
        for row in rows:
            if not row.by_kernel:
                _update(group, row, found_inf)
        increment_version([group.params[row.place] for row in rows if row.by_kernel])


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


def _row(group: _TraceableGroup, place: int, state: states.States, together: Tensor | None) -> CapturableRow:
    """A row ready to be stepped: creates its state, and moves step count and row states to its device."""
    p, needs = group.params[place], group.needs
    program, g = needs.program, group.gradients[place]
    if "step" not in state:
        refuse_recording(p.device)
    needs.ensure(state, p, counted=True)  # only by a count can a graph know the first step
    for name in ("step", *program.row_states):
        state[name] = state[name].to(p.device)
    rest = state[states.REST] if needs.precision.compensates(p) else None
    p_before = p.clone() if torch.is_grad_enabled() else p  # autograd needs it as it was
    quantized_state.lay(state, program.states, p)
    kept, scales = tuple(_real(state[name]) for name in program.states), quantized_state.scales(state, program.states)
    elements = Elements(g, _real(p_before), kept, rest, None, scales)
    measured = measures_of(needs.structure, g, together)
    if torch.is_grad_enabled():
        return CapturableRow(elements, state, place, measured)
    if suits(elements):
        return CapturableRow(elements, state, place, measured, by_kernel=True)
    elements = replace(elements, key=_key(group, p, state["step"] + 1, place))
    return CapturableRow(sharded.elements(elements), state, place, measured)


def _update(group: _TraceableGroup, row: CapturableRow, found_inf: Tensor | None) -> None:
    elements, state, needs, p = row.elements, row.state, group.needs, group.params[row.place]
    program, (g, before, *of_elements) = needs.program, elements.wide
    count = state["step"] + 1
    held = dict(zip(program.states, of_elements, strict=True)) | {s: state[s] for s in program.row_states}
    with rows_held_in(needs.row_dtype(state)):
        new, moved = after(needs.structure, g, before, held, count.double(), needs.values, row.measured, elements.share)
    if torch.is_grad_enabled():  # the states stay in its graph, too
        p.copy_(_like(new, p))
        state.update({name: _like(moved[name], state[name]) for name in held}, step=count)
        return
    if found_inf is not None:
        going = found_inf == 0
        new, count = torch.where(going, new, before), torch.where(going, count, state["step"])
        moved = {name: torch.where(going, torch.as_tensor(moved[name]), held[name]) for name in held}
    elements.store(new, [moved[name] for name in program.states])
    state["step"].copy_(count)
    for name in program.row_states:
        state[name].copy_(moved[name])


def _key(group: _TraceableGroup, p: Tensor, count: Tensor, place: int) -> Any:
    return group.needs.precision.key(count, place) if group.needs.precision.chances([p]) else None


def _real(x: Any) -> Tensor:
    held: Tensor = torch.view_as_real(x) if x.is_complex() else x
    return held


def _like(value: Tensor, old: Tensor) -> Tensor:
    """The new value in the dtype of the old one, complex if that is."""
    value = torch.as_tensor(value, device=old.device)
    return (torch.view_as_complex(value) if old.is_complex() else value).to(old.dtype)
