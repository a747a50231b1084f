"""One param group's step: gather what has a gradient, and hand it to compiled or reference execution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.optim import state as states
from thalweg.optim.prepared import Prepared, Unsuited
from thalweg.optim.signature import class_name, hyperparameters, spelled
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import Structure
from thalweg.recipes.execution import compiled, reference
from thalweg.recipes.execution.reference import Elements
from thalweg.recipes.measures import chosen, made, norm_of, norms
from thalweg.recipes.options import GLOBAL_NORM, OF_GRADIENTS
from thalweg.recipes.rows import Array
from thalweg.recipes.trace import Program, trace

Measured = Mapping[str, Array]
"""Row values measured on the gradients: `[parameters]` or one for all."""

NOTHING: Measured = {}


@dataclass(frozen=True, slots=True)
class _Row:
    elements: Elements
    t: float
    state: states.States
    place: int


def step(updates: "Sequence[GroupUpdate]", groups: Sequence[Mapping[str, Any]], all_states: states.States) -> None:
    """Steps every parameter that has a gradient, in place."""
    measuring = False
    for update, group in zip(updates, groups, strict=False):
        measuring |= update.read(group)
    if measuring:
        _step_measured(updates, groups, all_states)
        return
    for update, group in zip(updates, groups, strict=False):
        update.step(all_states, *update.gather(group), NOTHING)


def _step_measured(
    updates: "Sequence[GroupUpdate]", groups: Sequence[Mapping[str, Any]], all_states: states.States
) -> None:
    """The same where a group needs something measured; a norm of all gradients is that of all groups."""
    found = [update.gather(group) for update, group in zip(updates, groups, strict=False)]
    everyone = any(GLOBAL_NORM in update.measured for update in updates)
    each = [
        update.norms(gradients) if everyone or update.measured else np.zeros(0)
        for update, (_, gradients) in zip(updates, found, strict=False)
    ]
    together = norm_of(np.concatenate(each))
    for update, (params, gradients), own in zip(updates, found, each, strict=False):
        update.step(all_states, params, gradients, chosen(update.measured, own, together))


class GroupUpdate:
    """The updates of one param group. Remembers what made the last step, to make the next one quicker.

    measured: the row values that it needs to be measured on gradients.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._names = recipe, spelled(recipe)
        self._given: tuple[Any, ...] | None = None
        self._prepared: Prepared | None = None
        self.measured: tuple[str, ...] = ()

    def read(self, group: Mapping[str, Any]) -> bool:
        """Reads the hyperparameters as plain numbers, and the structure they need. Says if anything is to be measured.

        A tensor's value may change where it is.
        """
        given = tuple(map(group.get, self._names))
        if Tensor in map(type, given) or given != self._given:
            found = hyperparameters(self._recipe, group)
            named = {name: found[name] for name in self._recipe.hyperparameters}
            self._values = {name: v if isinstance(v, bool) else float(v) for name, v in named.items()}
            self._structure = self._recipe.structure(self._values)
            self._transforms = self._structure.transforms
            self.measured = tuple(name for name in self._structure.measured if name in OF_GRADIENTS)
            self._given = given
        return bool(self.measured)

    def gather(self, group: Mapping[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters of the group that have a gradient, and the gradients, made anew where that is asked for."""
        pairs = [(p, g) for p in group["params"] if (g := p.grad) is not None]
        params, gradients = [p for p, _ in pairs], [g for _, g in pairs]
        return params, self._made(params, gradients) if self._transforms else gradients

    def norms(self, gradients: Sequence[Tensor]) -> Array:
        """The norm of each, `[n]`."""
        self._require_dense(gradients)
        return norms(gradients)

    def _made(self, params: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        self._require_dense(gradients)
        return [made(self._structure, g, p, self._values) for p, g in zip(params, gradients, strict=True)]

    def step(
        self, all_states: states.States, params: list[Tensor], gradients: list[Tensor], measured: Measured
    ) -> None:
        """One step of what was gathered."""
        prepared = self._prepared
        if prepared and prepared.step(self._structure, self._values, all_states, params, gradients, measured):
            return
        self._update_any(all_states, params, gradients, measured)
        try:
            prepared = Prepared(self._structure, all_states, params, gradients) if params else None
        except Unsuited:
            prepared = None
        self._prepared = prepared

    def _update_any(
        self, all_states: states.States, params: Sequence[Tensor], gradients: Sequence[Tensor], measured: Measured
    ) -> None:
        """Whatever the parameters' memory looks like; creates the state that is missing."""
        structure, values, program = self._structure, self._values, trace(self._structure)
        self._require_dense(gradients)
        keeps = states.keeps(structure, program)
        buckets: dict[Any, list[_Row]] = {}
        for place, (p, g) in enumerate(zip(params, gradients, strict=True)):
            row = _row(structure, program, all_states[p] if keeps else {}, p, g, values, place)
            buckets.setdefault(_executor(row.elements), []).append(row)
        everyone = {name: np.broadcast_to(value, len(params)) for name, value in measured.items()}
        for (compile_it, _), bucket in buckets.items():
            _update(compiled if compile_it else reference, structure, program, bucket, values, everyone)

    def _require_dense(self, gradients: Sequence[Tensor]) -> None:
        if any(g.is_sparse for g in gradients):
            owner = class_name(self._recipe)
            raise InputError(f"{owner} takes dense gradients only; create the embedding with sparse=False.")


def _row(
    structure: Structure,
    program: Program,
    state: states.States,
    p: Tensor,
    gradient: Tensor,
    values: Mapping[str, Any],
    place: int,
) -> _Row:
    t = 1.0 if states.ensure(structure, program, state, p, values) else 2.0
    if structure.counts_steps:
        state["step"] += 1
        t = state["step"].item()
    kept = tuple([state[name] for name in program.states])
    if p.is_complex():  # as pairs of real numbers: elementwise rules treat the two parts alike, as torch does
        view = torch.view_as_real
        gradient, p, kept = view(gradient), view(p), tuple(view(s) for s in kept)
    if not (gradient.is_contiguous() and p.is_contiguous()) and gradient.stride() != p.stride():
        gradient = torch.empty_like(p).copy_(gradient)  # into the parameter's memory layout
    return _Row(Elements(gradient, p, kept), t, state, place)


def _executor(row: Elements) -> tuple[bool, torch.dtype]:
    """Whether the compiled pass can take the row, whose tensors must lie alike in memory; and its dtype."""
    return compiled.accepts(*row.tensors), row.p.dtype


def _update(
    module: Any,
    structure: Structure,
    program: Program,
    rows: Sequence[_Row],
    values: Mapping[str, Any],
    measured: Measured,
) -> None:
    """Rows with the same row values share one line of the table."""
    if program.row_states or program.measured:
        t, which = np.array([row.t for row in rows]), np.arange(len(rows))
    else:
        t, which = np.unique([row.t for row in rows], return_inverse=True)
    numbers = [name for name, value in values.items() if not isinstance(value, bool)]
    read = program.inputs if module is compiled else numbers  # the rule itself takes even those it does not use
    arrays = {name: np.full(len(t), values[name]) for name in read} | {"t": t}
    arrays |= {name: np.array([row.state[name].item() for row in rows]) for name in program.row_states}
    arrays |= {name: value[[row.place for row in rows]] for name, value in measured.items()}
    after = module.update(structure, [row.elements for row in rows], which.astype(np.int64), arrays)
    for name, new in after.items():
        for row, value in zip(rows, new.tolist(), strict=True):
            row.state[name].fill_(value)
