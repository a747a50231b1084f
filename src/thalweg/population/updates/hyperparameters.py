"""The hyperparameters of members: numbers, schedules, or one of these for each group of parameters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import Recipe, checked
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.row_table import Array
from thalweg.schedules import Schedule
from thalweg.workloads.parameter_groups import OTHERS, Scaled, adamw_rest, grouped, undecayed
from thalweg.workloads.workload import Workload

LIMITS = {"max_norm": np.inf, "min_norm": 0.0}
"""Norms that some parameters may have a limit of → the value where there is none."""

NO_WEIGHT = "no weight"
"""The flag of biases and norms, which penalties of weights leave alone (`Recipe.weights_only`)."""

Groups = Mapping[str, Mapping[str, Any]]
"""Name of a parameter → hyperparameters of its own. Parameters without any are left out."""


def groups_of(workload: Workload, model: nn.Module, recipes: Iterable[Any] = ()) -> dict[str, dict[str, Any]]:
    """The hyperparameters of single parameters by `Workload(parameters=…)`. Raises `InputError` as `grouped`.

    recipes: of the members. Where one is a rule of hidden matrices, the model's other parameters are given to AdamW;
    where one penalizes weights alone, other parameters are flagged.
    """
    rules, recipes = workload.parameters_of(model), [*recipes]
    of_matrices = any(isinstance(recipe, Recipe) and recipe.rule.others for recipe in recipes)
    rest: dict[str, dict[str, Any]] = {}  # also of parameters that require no gradient yet
    if of_matrices:
        rest |= adamw_rest(model)
    if any(isinstance(recipe, Recipe) and recipe.weights_only for recipe in recipes):
        rest |= {name: {**rest.get(name, {}), NO_WEIGHT: True} for name in undecayed(model)}
    own = _own_groups(rules, model)
    return {name: {**rest.get(name, {}), **own.get(name, {})} for name in [*rest, *(n for n in own if n not in rest)]}


def _own_groups(rules: Sequence[Mapping[str, Mapping[str, Any]]], model: nn.Module) -> dict[str, dict[str, Any]]:
    if not rules:
        return {}
    return {
        name: {key: value for key, value in group.items() if key != "params"}
        for group in grouped(model, *rules)
        for name, _ in group["params"]
        if len(group) > 1
    }


def structures_of(member: Member, groups: Groups, parameters: Iterable[str]) -> list[StepVariant]:
    """The step variant of each parameter of a member: they differ where another rule steps some (`Rule.others`)."""
    recipe = member.recipe
    assert isinstance(recipe, Recipe)
    others = recipe.rule.others
    found = {
        on: _structure(member, groups, {others: on} if others else {}) for on in ((False, True) if others else (False,))
    }
    return [found[bool(others and groups.get(name, {}).get(others, member.values[others]))] for name in parameters]


def _structure(member: Member, groups: Groups, fixed: Mapping[str, Any]) -> StepVariant:
    """The step variant of a member: a penalty is part of it where any parameter has one.

    Raises `InputError` where an option would be on for some parameters and off for others, or is no number.
    """
    recipe, values = member.recipe, dict(member.values)
    assert isinstance(recipe, Recipe)
    for name, given in groups.items():
        for key, value in own_values(recipe, values, given, name).items():
            h = recipe.hyperparameters[key]
            if key == recipe.rule.others:
                continue
            off = h.switch and (values[key] == 0) != (value == 0)
            if h.range is None or h.range.whole or h.initially or (off and not h.is_penalty and key not in LIMITS):
                raise InputError(
                    f"{recipe.name}: {key!r} of {name!r} must be as for all parameters; a group may have numbers and"
                    " penalties of its own."
                )
    penalties = [key for key in values if key != recipe.rule.others]
    on = {key: 1.0 for given in groups.values() for key, v in given.items() if key in penalties and _above(v)}
    return recipe.structure(
        {**values, **{key: value for key, value in on.items() if recipe.hyperparameters[key].switch}, **fixed}
    )


def own_values(recipe: Recipe, values: Mapping[str, Any], given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A parameter's own hyperparameters, checked. Raises `InputError` for one that the optimizer does not have."""
    owner = f"{recipe.name} for {name!r}"
    found = {}
    for key, value in recipe.split(given).items():
        if (key == OTHERS and not recipe.rule.others) or key == NO_WEIGHT:
            continue  # for the rules of hidden matrices; below
        key = recipe.rate if key == "lr" and recipe.rate else key
        if key not in recipe.hyperparameters:
            raise InputError(f"{recipe.name} has no {key!r}, which parameters= gives {name!r}; it has {[*values]}.")
        found[key] = checked(recipe.hyperparameters[key], owner, _scaled(values[key], value))
    return {**(dict.fromkeys(recipe.weights_only, 0.0) if given.get(NO_WEIGHT) else {}), **found}


def _scaled(base: Any, value: Any) -> Any:
    if not isinstance(value, Scaled):
        return value
    if isinstance(base, Schedule):
        return Schedule(
            f"{value.factor!r}·{base}",
            value.factor * base.required_base,
            base.steps,
            {},
            lambda t: value.factor * base(t),
        )
    return value.factor * base


def _above(value: Any) -> bool:
    return isinstance(value, Schedule | Scaled) or bool(value)


class Hyperparameters:
    """Hyperparameters by name, each an array `[members]`, or `[parameters, members]` where groups have their own.

    per_parameter: whether any has one for each parameter.
    """

    def __init__(
        self, names: Iterable[str], members: Sequence[Member], parameters: Sequence[str], groups: Groups
    ) -> None:
        self._grids: dict[str, Any] = {}
        self.fixed: dict[str, Array] = {}
        own = [[self._own(member, groups, name) for member in members] for name in parameters] if groups else []
        for name in names:
            base = [member.values[name] for member in members]
            grid = [[given.get(name, base[m]) for m, given in enumerate(row)] for row in own]
            if name in LIMITS:
                grid = [[LIMITS[name] if value == 0 else value for value in row] for row in grid]
            uniform = all(row == base for row in grid)
            self._put(name, base if uniform else grid)
        self.per_parameter = any(array.ndim == 2 for array in self.fixed.values())

    @staticmethod
    def _own(member: Member, groups: Groups, name: str) -> dict[str, Any]:
        assert isinstance(member.recipe, Recipe)
        return own_values(member.recipe, member.values, groups[name], name) if name in groups else {}

    def _put(self, name: str, values: Any) -> None:
        grid = np.array(values, dtype=object)
        self.fixed[name] = _at(grid, 0)
        if any(isinstance(value, Schedule) for value in grid.flat):
            self._grids[name] = grid

    @property
    def scheduled(self) -> bool:
        """Whether any changes with the step."""
        return bool(self._grids)

    def during(self, first: int, steps: int) -> dict[str, Array]:
        """Those that change, at steps `first`, …, `first + steps - 1` (counted from 1): `[steps, …, members]`."""
        return {name: _during(grid, first - 1, steps) for name, grid in self._grids.items()}

    def keep(self, index: Array) -> "Hyperparameters":
        """Those of the members at these indices."""
        kept = object.__new__(Hyperparameters)
        kept._grids = {name: grid[..., index] for name, grid in self._grids.items()}
        kept.fixed = {name: array[..., index] for name, array in self.fixed.items()}
        kept.per_parameter = self.per_parameter
        return kept


def _during(grid: Array, first: int, steps: int) -> Array:
    """The values at steps counted from 0, float64 `[steps, …]` of the grid's shape. Equal schedules are asked once."""
    known: dict[int, Array] = {}
    for value in grid.flat:
        if id(value) not in known:
            known[id(value)] = _values(value, first, steps)
    return np.stack([known[id(value)] for value in grid.flat], axis=1).reshape(steps, *grid.shape)


def _values(value: Any, first: int, steps: int) -> Array:
    """One hyperparameter's values at steps counted from 0, float64 `[steps]`."""
    if not isinstance(value, Schedule):
        return np.full(steps, float(value))
    if value.is_closed:  # at once: step by step, a schedule costs as much as an update
        return np.broadcast_to(np.asarray(value(np.arange(first, first + steps, dtype=np.float64)), np.float64), steps)
    return np.array([float(value(t)) for t in range(first, first + steps)], np.float64)


def _at(grid: Array, step: int) -> Array:
    """The values at a step, counted from 0, float64 of the grid's shape."""
    numbers = [float(value(step) if isinstance(value, Schedule) else value) for value in grid.flat]
    return np.array(numbers, np.float64).reshape(grid.shape)


def parameter_groups(workload: Workload, model: nn.Module, values: Mapping[str, Any]) -> list[Any]:
    """The parameters for another library's optimizer, in param groups where some have values of their own."""
    rules = workload.parameters_of(model)
    if not rules:
        return [p for p in model.parameters() if p.requires_grad]
    groups = grouped(model, *rules)
    for group in groups:
        group.pop(OTHERS, None)  # for the rules of hidden matrices
        for key, value in group.items():
            if isinstance(value, Scaled):
                group[key] = _scaled(values[key], value)
    return groups


def limits_of(
    values: Mapping[str, Any], names: Iterable[str], p: torch.Tensor, parameter: int
) -> dict[str, torch.Tensor]:
    """Hyperparameters for whole tensors `[members, …]`, in a shape that broadcasts with them."""
    by_row = (-1, *[1] * (p.ndim - 1))
    found = {n: torch.as_tensor(values[n]) for n in names if n in values}
    return {n: (x[parameter] if x.ndim == 2 else x).to(p).view(by_row) for n, x in found.items()}
