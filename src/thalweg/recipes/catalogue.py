"""Every optimizer by name. Rules are found by looking through `thalweg.rules`; nothing is registered by hand."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import thalweg.rules
from thalweg.errors import InputError, shown, suggest
from thalweg.recipes.compose import Structure
from thalweg.recipes.options import OPTIONS
from thalweg.rules.contract import Preset, Rule, Spelling
from thalweg.rules.hyperparameters import Hyperparameter, unknown

Values = Mapping[str, float | bool]


@dataclass(frozen=True)
class Recipe:
    """One optimizer: a named rule, composed with decay and sign, and its defaults."""

    preset: Preset

    @property
    def name(self) -> str:
        return self.preset.name

    @property
    def rule(self) -> Rule:
        return self.preset.rule

    @property
    def rate(self) -> str | None:
        """The hyperparameter that a learning-rate grid scales."""
        return self.rule.rate

    @property
    def rates(self) -> tuple[float, float]:
        """The learning rates worth searching."""
        return self.rule.rates

    @property
    def drop_in(self) -> Spelling | None:
        return self.preset.drop_in

    @cached_property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """Rule's and composed step's, in that order."""
        return {**self.rule.hyperparameters, **OPTIONS}

    @cached_property
    def betas(self) -> tuple[str, ...]:
        """The hyperparameters that torch's argument `betas` stands for."""
        return tuple(name for name in self.rule.hyperparameters if name.removeprefix("beta").isdigit())

    @cached_property
    def defaults(self) -> dict[str, float | bool | None]:
        return {name: self.preset.defaults.get(name, h.default) for name, h in self.hyperparameters.items()}

    def resolve(self, given: Mapping[str, Any], owner: str | None = None) -> dict[str, float | bool]:
        """All hyperparameters: the given ones, checked, over the defaults.

        `betas` may be given for beta1, beta2. Raises `InputError` with the name, its range and the value.
        """
        owner = owner or self.name
        given = split_betas(given, len(self.betas))
        for name in given:
            if name not in self.hyperparameters:
                raise unknown(owner, name, self.hyperparameters)
        values: dict[str, Any] = {}
        for name, h in self.hyperparameters.items():
            value = given.get(name, self.defaults[name])
            if value is None and h.initially:
                value = h.check_initial(owner, values[h.initially])
            values[name] = h.check(owner, value)
        wrong = self.rule.contradiction(values)
        if wrong:
            raise InputError(f"{owner}: {wrong}.")
        return values

    def structure(self, values: Values) -> Structure:
        """The structure that resolved hyperparameters need: which flags are set, which switches are off."""
        declared = self.hyperparameters.values()
        flags = frozenset(h.name for h in declared if h.is_flag and values[h.name])
        absent = frozenset(h.name for h in declared if h.switch and values[h.name] == 0)
        return Structure(self.rule, flags, absent)


def split_betas(given: Mapping[str, Any], count: int = 0) -> dict[str, Any]:
    """`betas=(a, b)` as `beta1=a, beta2=b`. Raises `InputError` where it is no tuple, or not `count` long."""
    out = dict(given)
    if "betas" in out:
        betas = out.pop("betas")
        if not isinstance(betas, tuple | list) or not betas:
            raise InputError(f"betas must be a tuple of numbers such as (0.9, 0.999), got {shown(betas)}.")
        if count and len(betas) != count:
            raise InputError(f"betas must be {count} numbers, got {shown(betas)}.")
        out.update({f"beta{i}": beta for i, beta in enumerate(betas, 1)})
    return out


@cache
def recipes() -> dict[str, Recipe]:
    """All optimizers by name, sorted."""
    found: dict[str, Recipe] = {}
    for info in pkgutil.iter_modules(thalweg.rules.__path__):
        module = importlib.import_module(f"thalweg.rules.{info.name}")
        presets = (value for value in vars(module).values() if isinstance(value, Preset))
        found.update({preset.name: Recipe(preset) for preset in presets})
    return dict(sorted(found.items()))


def recipe(name: str) -> Recipe:
    """The optimizer of that name. Raises `InputError` with the nearest known names."""
    if name.lower() not in recipes():
        raise InputError(f"Unknown optimizer {shown(name)}. {suggest(name, recipes())}")
    return recipes()[name.lower()]
