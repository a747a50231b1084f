"""An optimizer as two pure functions: `init, update = functional("adamw", lr=1e-3)`."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.driver import carry_out, measure_shared
from thalweg.execution.elements import Elements
from thalweg.execution.storage.rounding import upcast
from thalweg.execution.whole import matrix_state, no_matrix, transform_gradient
from thalweg.optim.stepping.traceable import TensorRow, structure_of
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import Recipe, recipe
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.trace import trace
from thalweg.rules.contract import Preset
from thalweg.rules.hyperparameters import unknown
from thalweg.rules.states import PARAMETER
from thalweg.schedules import Schedule

Tensors = Mapping[str, Tensor]
States = Mapping[str, Tensors]


class Functional(NamedTuple):
    """init: `(parameters) -> states`. update: `(gradients, states, parameters) -> (parameters, states)`.

    Parameters and gradients are dicts of tensors by name, such as `dict(model.named_parameters())`; the states are a
    dict of dicts of tensors by the same names. Nothing is modified.

    A call may leave parameters out, with their gradients and states. Each parameter counts its own steps; a schedule
    goes by the largest count among the states of the call, where the class's goes by the optimizer's steps. So a
    parameter that was left out before takes the same rate as the others of its call; in a call of such parameters
    alone, the schedule lags by the steps that all of them missed.
    """

    init: Callable[[Tensors], States]
    update: Callable[[Tensors, States, Tensors], tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]]


def functional(
    optimizer: str | Recipe | Preset, *, convention: str = CONVENTIONS[0], **hyperparameters: Any
) -> Functional:
    """An optimizer for `torch.func`: it can be differentiated, vectorized with `vmap`, and compiled.

    Args:
        optimizer: a name of the catalogue, `"adamw"`, or a rule of your own.
        convention: whose formula and defaults to follow.
        hyperparameters: by name, including options of every rule, such as `clip_global_norm`. A 0-d tensor may be
            differentiated or vmapped. A schedule goes by the most steps that any parameter of a call has taken.

    Raises:
        InputError: a hyperparameter that does not exist or is out of its range; for `update`, gradients or states whose
            names are not the parameters'.

        init, update = functional("adam", lr=1e-2)
        states = init(parameters)
        parameters, states = update(gradients, states, parameters)
    """
    by = _found(optimizer).under(convention)
    values = _resolved(by, hyperparameters)
    structure = structure_of(by, values)
    if structure.model_rule is not None:
        raise InputError(
            f"functional takes gradients as they are: {structure.model_rule.name} of {by.name} evaluates the model,"
            " which a class does by step(closure)."
        )

    def init(parameters: Tensors) -> States:
        return {name: _states(structure, p, _at(values, 0)) for name, p in parameters.items()}

    def update(
        gradients: Tensors, states: States, parameters: Tensors
    ) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        _require_alike(parameters, gradients=gradients, states=states)
        for name, p in parameters.items():
            _require_fitting(name, p, gradients[name], states[name], structure)
        at = _of_call(values, states)
        jobs = [_row(structure, gradients[name], p, states[name], at(p.device)) for name, p in parameters.items()]
        measured = measure_shared(jobs) if any(job.program.shared for job in jobs) else [None] * len(jobs)
        after = [carry_out(job.program, job, job.values, known) for job, known in zip(jobs, measured, strict=True)]
        moved = {name: job.p.to(p.dtype) for (name, p), job in zip(parameters.items(), jobs, strict=True)}
        new = [_new_states(job, rows, states[name]) for name, job, rows in zip(parameters, jobs, after, strict=True)]
        return moved, dict(zip(parameters, new, strict=True))

    return Functional(init, update)


def _resolved(by: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """All hyperparameters; tensors stay tensors, of which only the name is checked."""
    given = by.split(given)
    inside = {name: v.double() for name, v in given.items() if isinstance(v, Tensor)}
    for name in inside:
        if name not in by.hyperparameters:
            raise unknown(by.name, name, by.hyperparameters)
    values = {**by.resolve({name: v for name, v in given.items() if name not in inside}), **inside}
    for h in by.hyperparameters.values():
        if h.initially in inside and h.name not in given:
            values[h.name] = inside[h.initially]
    return values


def _at(values: Mapping[str, Any], step: Any) -> dict[str, Any]:
    """The hyperparameters at a step, counted from 0: a number or a tensor."""
    return {name: value.at(step) if isinstance(value, Schedule) else value for name, value in values.items()}


def _of_call(values: Mapping[str, Any], states: States) -> Callable[[torch.device], Mapping[str, Any]]:
    """Returns a function of the device: the hyperparameters at the step of a call with these states."""
    if not (states and any(isinstance(value, Schedule) for value in values.values())):
        return lambda device: values
    steps = [state["step"] for state in states.values()]
    most = reduce(lambda most, step: torch.maximum(most, step.to(most.device)), steps)
    return lambda device: _at(values, most.to(device))


def _found(optimizer: str | Recipe | Preset) -> Recipe:
    if isinstance(optimizer, Preset):
        return Recipe(optimizer)
    return optimizer if isinstance(optimizer, Recipe) else recipe(optimizer)


def _states(structure: StepVariant, p: Tensor, values: Mapping[str, Any]) -> dict[str, Tensor]:
    program, states = trace(structure), {"step": torch.zeros((), dtype=torch.float64, device=p.device)}
    for declared in structure.states:
        first = declared.first(values, upcast(p))
        if declared.name in program.row_states:
            states[declared.name] = torch.as_tensor(first, dtype=torch.float64, device=p.device)
        elif declared.name in program.matrix_states:
            states[declared.name] = matrix_state(declared, p, first)
        elif declared.name in program.states:
            states[declared.name] = (
                first + torch.zeros_like(upcast(p)) if declared.initial != PARAMETER else first.clone()
            )
    return states


def _require_fitting(name: str, p: Tensor, gradient: Any, states: Mapping[str, Any], structure: StepVariant) -> None:
    """Raises `InputError` where a gradient or a state does not match the parameter."""
    if not p.is_floating_point() and not p.is_complex():
        raise InputError(f"The parameter {name!r} is {p.dtype}; a step needs floating-point numbers.")
    if not isinstance(gradient, Tensor) or gradient.is_sparse or gradient.is_complex() != p.is_complex():
        what = "none" if gradient is None else "another than a dense real one"
        raise InputError(
            f"The gradient of {name!r} is {what}; give a dense tensor of the parameter's shape, or leave it out."
        )
    program = trace(structure)
    if why := no_matrix(program, p.shape, is_complex=p.is_complex()):
        raise InputError(f"{structure.rule.name} cannot step the parameter {name!r}: {why}.")
    needed = ("step", *program.states, *program.matrix_states, *program.row_states)
    missing = [state for state in needed if state not in states]
    if missing:
        raise InputError(f"The states of {name!r} have no {missing[0]!r}: they are another optimizer's; call init.")
    for of, tensor in (("gradient", gradient), *((state, states[state]) for state in program.states)):
        if tensor.shape != p.shape:
            raise InputError(
                f"The shape of {name!r} is {[*p.shape]} and that of its {of} {[*tensor.shape]}: they must be the same."
            )


def _row(structure: StepVariant, gradient: Tensor, p: Tensor, states: Tensors, values: Mapping[str, Any]) -> TensorRow:
    if p.is_complex():
        raise InputError("functional takes real parameters only, got complex ones; use view_as_real on them.")
    program = trace(structure)
    g = upcast(transform_gradient(structure, gradient, p, values))
    held, matrices = (tuple(states[name] for name in names) for names in (program.states, program.matrix_states))
    elements = Elements(g, upcast(p), held, has_units=p.ndim > 1, matrices=matrices)
    return TensorRow(
        structure, elements, values, states["step"] + 1, {name: states[name] for name in program.row_states}
    )


def _new_states(row: TensorRow, row_states: Mapping[str, Tensor], before: Tensors) -> dict[str, Tensor]:
    rows = {name: new.reshape(()) for name, new in row_states.items()}
    now: dict[str, Tensor] = {**before, **row.states, **row.matrices, **rows, "step": before["step"] + 1}
    return now


def _require_alike(parameters: Tensors, **others: Mapping[str, Any]) -> None:
    for what, of in others.items():
        if set(of) != set(parameters):
            odd = sorted(set(of) ^ set(parameters))[0]
            raise InputError(f"The {what} must have the names of the parameters; {odd!r} is among one of them only.")
