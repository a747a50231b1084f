"""One param group's step: gather what has a gradient, and hand it to compiled or reference execution."""

from collections.abc import Mapping, Sequence
from operator import attrgetter, is_
from typing import Any

import numpy as np
from torch import Tensor
from torch.autograd.graph import increment_version

from thalweg.optim import general, sharded, sparse
from thalweg.optim import state as states
from thalweg.optim.general import Work
from thalweg.optim.loss_scaling import NONE_FINER, Finer
from thalweg.optim.precision import PRECISION, Precision
from thalweg.optim.prepared import Prepared, Unsuited
from thalweg.optim.signature import class_name, hyperparameters, spelled
from thalweg.optim.state import Needs
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.execution.addresses import PLAIN
from thalweg.recipes.measures import chosen, made, norm_of, norms
from thalweg.recipes.options import GLOBAL_NORM, OF_GRADIENTS
from thalweg.recipes.rows import Array

Measured = Mapping[str, Array]
"""Row values measured on the gradients: `[parameters]` or one for all."""

NOTHING: Measured = {}

_gradient = attrgetter("grad")


def step(
    updates: "Sequence[GroupUpdate]",
    groups: Sequence[Mapping[str, Any]],
    all_states: states.States,
    finer: Finer = NONE_FINER,
) -> None:
    """Steps every parameter that has a gradient, in place. finer: gradients to be taken in the place of `p.grad`."""
    measuring = False
    for update, group in zip(updates, groups, strict=False):
        measuring |= update.read(group)
    if measuring:
        _step_measured(updates, groups, all_states, finer)
        return
    found = [update.gather(group, finer) for update, group in zip(updates, groups, strict=False)]
    for update, (params, gradients) in zip(updates, found, strict=False):
        update.require(params, gradients)
    for update, (params, gradients) in zip(updates, found, strict=False):
        update.step(all_states, params, gradients, NOTHING)


def _step_measured(
    updates: "Sequence[GroupUpdate]", groups: Sequence[Mapping[str, Any]], all_states: states.States, finer: Finer
) -> None:
    """The same where a group needs something measured; a norm of all gradients is that of all groups."""
    found = [update.gather(group, finer) for update, group in zip(updates, groups, strict=False)]
    everyone = any(GLOBAL_NORM in update.measured for update in updates)
    each = [
        update.norms(gradients) if everyone or update.measured else np.zeros(0)
        for update, (_, gradients) in zip(updates, found, strict=False)
    ]
    for update, (params, gradients) in zip(updates, found, strict=False):
        update.require(params, gradients)
    together = norm_of(np.concatenate(each))
    for update, (params, gradients), own in zip(updates, found, each, strict=False):
        update.step(all_states, params, gradients, chosen(update.measured, own, together))


class GroupUpdate:
    """The updates of one param group. Remembers what made the last step, to make the next one quicker.

    measured: the row values that it needs to be measured on gradients.
    """

    def __init__(self, recipe: Recipe, number: int) -> None:
        self._recipe, self._names, self._number = recipe, (*spelled(recipe), *PRECISION), number
        self._given: tuple[Any, ...] = ()
        self._changes = True
        self._prepared: Prepared | None = None
        self.measured: tuple[str, ...] = ()

    def read(self, group: Mapping[str, Any]) -> bool:
        """Reads the hyperparameters as plain numbers, and the structure they need. Says if anything is to be measured.

        A tensor's value may change where it is.
        """
        given = tuple(map(group.get, self._names))
        if all(map(is_, given, self._given)) and not self._changes:
            return bool(self.measured)
        self._changes = _changeable(given)
        if self._changes or given != self._given:
            found = hyperparameters(self._recipe, group)
            named = {name: found[name] for name in self._recipe.hyperparameters}
            self._values = {name: v if isinstance(v, bool) else float(v) for name, v in named.items()}
            self._structure = self._recipe.structure(self._values)
            self._transforms = self._structure.transforms
            self.measured = tuple(name for name in self._structure.measured if name in OF_GRADIENTS)
            self._precision, self._given = Precision.of(group, self._number), given
        return bool(self.measured)

    def gather(self, group: Mapping[str, Any], finer: Finer) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters of the group that have a gradient, and the gradients, made anew where that is asked for."""
        self._all = params = group["params"]
        gradients = [*map(_gradient, params)]
        if not {*map(type, gradients)} <= PLAIN:
            pairs = [(p, g) for p, g in zip(params, gradients, strict=True) if g is not None]
            params, gradients = [p for p, _ in pairs], [g for _, g in pairs]
        if finer:
            gradients = [finer.get(p, g) for p, g in zip(params, gradients, strict=True)]
        if self._transforms or self.measured:
            gradients = [*map(sparse.coalesced, gradients)]
        return params, self._made(params, gradients) if self._transforms else gradients

    def norms(self, gradients: Sequence[Tensor]) -> Array:
        """The norm of each, `[n]`."""
        self._require_dense(gradients)
        return norms([sharded.norm(sparse.values_of(g)) for g in gradients])

    def _made(self, params: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        self._require_dense(gradients)
        return [made(self._structure, g, p.detach(), self._values) for p, g in zip(params, gradients, strict=True)]

    def step(
        self, all_states: states.States, params: list[Tensor], gradients: list[Tensor], measured: Measured
    ) -> None:
        """One step of what was gathered."""
        ready = self._prepared if self._prepared and self._prepared.precision == self._precision else None
        if not (ready and ready.step(self._structure, self._values, all_states, params, gradients, measured)):
            self._step_generally(all_states, params, gradients, measured)
        increment_version(params)  # so that autograd notices a step between a forward and its backward pass

    def require(self, params: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Raises `InputError` where these cannot be stepped, unless the last step was of such already."""
        if self._prepared is None:
            self._require_dense(gradients)
            sharded.require_whole(params, self._precision)

    def _step_generally(
        self, all_states: states.States, params: list[Tensor], gradients: list[Tensor], measured: Measured
    ) -> None:
        """Whatever they look like; and makes the next step ready."""
        self._prepared = None
        self.require(params, gradients)
        gradients = [*map(sparse.coalesced, gradients)]
        places = [i for i, p in enumerate(self._all) if p.grad is not None]
        work = Work(Needs(self._structure, self._values, self._precision), params, gradients, places, measured)
        general.update(work, all_states)
        try:
            self._prepared = Prepared(work, all_states) if params else None
        except Unsuited:
            return

    def _require_dense(self, gradients: Sequence[Tensor]) -> None:
        if any(g.is_sparse for g in gradients):
            eight = self._precision.state_dtype == "8bit"
            sparse.require(class_name(self._recipe), self._structure, in_8_bits=eight)


def _changeable(given: tuple[Any, ...]) -> bool:
    """Whether any of the values is a tensor, also in a tuple."""
    return any(type(v) is Tensor or (type(v) is tuple and Tensor in map(type, v)) for v in given)
