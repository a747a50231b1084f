"""The settings of an optimizer worth testing: every combination of its rule's flags, and weight decay both ways."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.row_table import Array
from thalweg.rules.hyperparameters import Hyperparameter
from thalweg.testing.trajectories import shape_of

Oracle = Callable[..., Array]
"""`oracle(parameter […], gradients [steps, …], rates [steps], **hyperparameters)` → the parameters `[steps, …]`.

The parameter is a vector, or a matrix where the rule calls functions of matrices.

It takes every hyperparameter of the rule but the learning rate, the `ORACLE_OPTIONS` of the composed step (where weight
decay is part of the rule, no `decoupled_weight_decay`), and `convention` if the formula is not torch's. It computes in
float64 and imports nothing from thalweg.
"""

ORACLE_OPTIONS = ("weight_decay", "decoupled_weight_decay", "maximize")


@dataclass(frozen=True)
class Case:
    """One setting of an optimizer: all hyperparameters resolved, and the oracle of the expected values, if any."""

    recipe: Recipe
    values: dict[str, float | bool]
    label: str
    oracle: Oracle | None = None

    def __str__(self) -> str:
        by = "" if self.recipe.convention == CONVENTIONS[0] else f"{self.recipe.convention}: "
        return f"{self.recipe.name}[{by}{self.label}]"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of parameters to step: of a vector, or of a matrix."""
        return shape_of(self.recipe.structure(self.values))

    @property
    def rate(self) -> float:
        """The learning rate; 1 if the rule has none."""
        return float(self.values[self.recipe.rule.rate]) if self.recipe.rule.rate else 1.0


def cases(recipe: Recipe, oracle: Oracle | None = None) -> list[Case]:
    """The published defaults, then every combination of the rule's flags and switches at other values, then decay."""
    return [Case(recipe, recipe.resolve(given), label, oracle) for label, given in _settings(recipe)]


def oracle_arguments(case: Case) -> Mapping[str, float | bool | str]:
    """The arguments of an oracle: the rule's hyperparameters but the learning rate, some options, the convention."""
    rule = case.recipe.rule
    own = [h.name for h in rule.hyperparameters.values() if h.name != rule.rate and not h.initially]
    options = [name for name in ORACLE_OPTIONS if not (rule.owns_decay and name == "decoupled_weight_decay")]
    given: dict[str, float | bool | str] = {name: case.values[name] for name in (*own, *options)}
    return given | {"convention": case.recipe.formula} if case.recipe.formula != CONVENTIONS[0] else given


def _settings(recipe: Recipe) -> Iterator[tuple[str, dict[str, float | bool]]]:
    yield "defaults", {}
    rule = recipe.rule.hyperparameters.values()
    others = {h.name: other_value(recipe, h) for h in rule if not (h.is_flag or h.switch or h.initially)}
    choices = [h for h in rule if h.is_flag or h.switch]
    full: dict[str, float | bool] = {}
    contradiction = recipe.rule.contradiction
    for chosen in itertools.product((False, True), repeat=len(choices)):
        on = {h.name: True if h.is_flag else other_value(recipe, h) for h, c in zip(choices, chosen, strict=True) if c}
        off = {h.name: False if h.is_flag else 0.0 for h, c in zip(choices, chosen, strict=True) if not c}
        switched: dict[str, float | bool] = {"weight_decay": 0.0, "decoupled_weight_decay": False, **on, **off}
        allowed = [s for s in ({**switched, **others}, switched) if not contradiction({**recipe.defaults, **s})]
        if allowed:  # the other values may contradict the flags where the defaults do not
            full = allowed[0]
            yield " ".join(on) or "plain", full
    if recipe.rule.owns_decay:
        return
    decay = other_value(recipe, recipe.hyperparameters["weight_decay"])
    yield "coupled", {**full, "weight_decay": decay, "decoupled_weight_decay": False}
    yield "decoupled", {**full, "weight_decay": decay, "decoupled_weight_decay": True}


def other_value(recipe: Recipe, h: Hyperparameter) -> float:
    """A valid number other than the default: the middle of the search range, on its scale."""
    assert h.range is not None
    if h.range.search is None:
        return 1.5 * h.default if h.default else 1e-2
    return h.range.middle
