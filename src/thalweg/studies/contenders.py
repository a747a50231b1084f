"""Contenders: an optimizer, what is fixed of it, and the space it is tuned over."""

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.errors import InputError
from thalweg.recipes.catalogue import Recipe, recipe, split_betas
from thalweg.rules.contract import Preset
from thalweg.rules.hyperparameters import as_number
from thalweg.studies.protocol import grid


@dataclass(frozen=True)
class Contender:
    """An optimizer that takes part in a comparison.

    Args:
        name: its name in the catalogue (`thalweg optimizers` lists them), or with fixed hyperparameters,
            `"rmsprop(alpha=0.9, lr=1e-4)"`; or a rule of your own, as `@thalweg.rule` declares it.
        fixed: hyperparameter → value; a fixed learning rate is not tuned.
        space: hyperparameter → values to try; every combination is tried, with every learning rate.

    Raises:
        InputError: an optimizer or hyperparameter that does not exist, or a value out of its range.
    """

    name: str | Preset
    fixed: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    recipe: Recipe = field(init=False)

    def __post_init__(self) -> None:
        found, called = (Recipe(self.name), {}) if isinstance(self.name, Preset) else _parse(self.name)
        fixed = split_betas({**called, **self.fixed})
        object.__setattr__(self, "fixed", fixed)
        object.__setattr__(self, "recipe", found)
        both = set(fixed) & set(self.space)
        if both:
            raise InputError(f"{self.label}: {sorted(both)[0]!r} is both fixed and in the space; keep one.")
        for name, values in self.space.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise InputError(f"{self.label}: the space of {name!r} must be a list of values, got {values!r}.")
        for given in self.configurations(None):
            self.recipe.resolve(given, self.label)

    @property
    def label(self) -> str:
        """The name on the leaderboard: as the user wrote it."""
        name = self.name.name if isinstance(self.name, Preset) else self.name.strip()
        if "(" in name or not (self.fixed or self.space):
            return name
        inside = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.fixed.items()]
        inside += [f"{k}=…" for k in self.space if k != "lr"]
        return f"{name}({', '.join(inside)})" if inside else name

    def rates(self, given: Sequence[float] | None) -> tuple[float, ...]:
        """The learning rates to try: fixed, or of its own space, or the user's, or the declared range's grid."""
        rate = self.recipe.rule.rate
        if rate is None:
            return ()
        if rate in self.fixed:
            return (float(self.fixed[rate]),)
        if rate in self.space:
            return tuple(sorted(float(v) for v in self.space[rate]))
        return tuple(given) if given else grid(*self.recipe.rule.rates)

    def configurations(self, learning_rates: Sequence[float] | None) -> list[dict[str, Any]]:
        """Every combination to try, each as the hyperparameters that are not the published default."""
        rate = self.recipe.rule.rate
        others = {name: values for name, values in self.space.items() if name != rate}
        combinations = [dict(zip(others, values, strict=True)) for values in itertools.product(*others.values())]
        rates = [{rate: value} for value in self.rates(learning_rates)] if rate else [{}]
        return [{**self.fixed, **c, **r} for c in combinations for r in rates]


def contenders(given: Sequence[str | Preset | Contender]) -> list[Contender]:
    """Contenders by name or as they are. Raises `InputError` where two would share a name, or there are none."""
    if isinstance(given, str) or not given:
        raise InputError(f"optimizers must be a list of names or Contenders, at least one; got {given!r}.")
    out = [c if isinstance(c, Contender) else Contender(c) for c in given]
    labels = [c.label for c in out]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise InputError(f"The optimizer {twice!r} stands twice in the list; name each once.")
    return out


def learning_rates(given: Sequence[Any] | None) -> tuple[float, ...] | None:
    """The user's rates, ascending, each once. Raises `InputError` where one is not a positive finite number."""
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise InputError(f"learning_rates must be a list of positive numbers, at least one; got {given!r}.")
    for value in given:
        number = as_number(value)
        if number is None or not 0 < number < float("inf"):
            raise InputError(f"A learning rate must be a positive finite number, got {value!r}.")
    return tuple(sorted({float(value) for value in given}))


def _parse(text: Any) -> tuple[Recipe, dict[str, Any]]:
    """`"rmsprop(alpha=0.9)"` → its recipe and what is called with. Nothing is evaluated but literals."""
    if not isinstance(text, str):
        raise InputError(f"An optimizer is named by a string or a Contender, got {text!r}.")
    name, paren, _ = text.strip().partition("(")
    if not paren:
        return recipe(name), {}
    try:
        call = ast.parse(text.strip(), mode="eval").body
        assert isinstance(call, ast.Call)
        assert not call.args
        assert all(k.arg for k in call.keywords)
        values = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise InputError(f"Cannot read {text!r}; write an optimizer as name(hyperparameter=value, …).") from None
    return recipe(name), values
