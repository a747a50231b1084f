"""Contenders: an optimizer, what is fixed of it, and the space it is tuned over."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.errors import InputError, shown, suggest
from thalweg.options import declared as options
from thalweg.options.kinds import Positive
from thalweg.recipes.catalogue import Recipe, recipe
from thalweg.recipes.imported import Imported
from thalweg.rules.contract import Preset
from thalweg.studies.notation import called, combinations, plain, require_printable, titled
from thalweg.studies.protocol import PER_DECADE
from thalweg.studies.rates import grid


@dataclass(frozen=True)
class Contender:
    """An optimizer that takes part in a comparison.

    Args:
        name: its name in the catalogue (`thalweg optimizers` lists them), or with fixed hyperparameters,
            `"rmsprop(alpha=0.9, lr=1e-4)"`; the import path of any optimizer class, `"torch.optim:RAdam"`; or a
            rule of your own, as `@thalweg.rule` declares it. `"quick = adam(beta2=0.9)"` gives it a title.
        fixed: hyperparameter → value; a fixed learning rate is not tuned.
        space: hyperparameter → values to try; every combination is tried, with every learning rate.
        title: its name on the leaderboard; what was given as `name` where there is none.

    Raises:
        InputError: an optimizer or hyperparameter that does not exist, or a value out of its range.
    """

    name: str | Preset
    fixed: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    title: str | None = None
    recipe: Recipe | Imported = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.name, str) and self.title is None:
            title, name = titled(self.name)
            object.__setattr__(self, "title", title)
            object.__setattr__(self, "name", name)
        found, given = (Recipe(self.name), {}) if isinstance(self.name, Preset) else _parse(self.name)
        fixed = {**plain("An optimizer", given), **plain("fixed", self.fixed)}
        fixed = fixed if isinstance(found, Imported) else found.split(fixed)
        object.__setattr__(self, "fixed", fixed)
        object.__setattr__(self, "space", combinations("space", self.space))
        object.__setattr__(self, "recipe", found)
        require_printable(self.label)
        both = set(fixed) & set(self.space)
        if both:
            raise InputError(f"{self.label}: {sorted(both)[0]!r} is both fixed and in the space; keep one.")
        for configuration in self.configurations(None):
            self.recipe.resolve(configuration, self.label)

    @property
    def label(self) -> str:
        """The name on the leaderboard: its title, or as the user wrote it."""
        if self.title is not None:
            return self.title
        name = self.name.name if isinstance(self.name, Preset) else self.name.strip()
        if "(" in name or not (self.fixed or self.space):
            return name
        inside = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.fixed.items()]
        inside += [f"{k}=…" for k in self.space if k != "lr"]
        return f"{name}({', '.join(inside)})" if inside else name

    @property
    def has_own_grid(self) -> bool:
        """Whether its learning rate is neither fixed nor listed, so that the protocol's grid applies."""
        rate = self.recipe.rate
        return rate is not None and rate not in self.fixed and rate not in self.space

    def rates(self, given: Sequence[float] | None, per_decade: int = PER_DECADE) -> tuple[float, ...]:
        """The learning rates to try: fixed, or of its own space, or the user's, or the declared range's grid."""
        rate = self.recipe.rate
        if rate is None:
            return ()
        if rate in self.fixed:
            return (_rate(self.fixed[rate]),)
        if rate in self.space:
            return tuple(sorted(_rate(v) for v in self.space[rate]))
        return tuple(given) if given else grid(*self.recipe.rates, per_decade)

    def configurations(
        self, learning_rates: Sequence[float] | None, per_decade: int = PER_DECADE
    ) -> list[dict[str, Any]]:
        """Every combination to try, each as the hyperparameters that are not the published default."""
        rate = self.recipe.rate
        others = {name: values for name, values in self.space.items() if name != rate}
        combinations = [dict(zip(others, values, strict=True)) for values in itertools.product(*others.values())]
        rates = [{rate: value} for value in self.rates(learning_rates, per_decade)] if rate else [{}]
        return [{**self.fixed, **c, **r} for c in combinations for r in rates]


def contenders(given: Sequence[str | Preset | Contender]) -> list[Contender]:
    """Contenders by name or as they are. Raises `InputError` where two would share a name, or there are none."""
    out = [c if isinstance(c, Contender) else Contender(c) for c in options.OPTIMIZERS.check(given)]
    labels = [c.label for c in out]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise InputError(f"The optimizer {shown(twice)} stands twice in the list; name each once.")
    return out


def learning_rates(given: Sequence[Any] | None) -> tuple[float, ...] | None:
    """The user's rates, ascending, each once. Raises `InputError` where one is not a positive finite number."""
    read = options.LEARNING_RATES.check(given)
    return None if read is None else tuple(sorted(set(read)))


def tunable(given: Sequence[str] | None, of: Sequence[Contender]) -> tuple[str, ...]:
    """The names of hyperparameters to search. Raises `InputError` where one is no contender's, or it is no list."""
    known = {name for c in of for name in c.recipe.defaults} | {c.recipe.rate for c in of if c.recipe.rate}
    names = options.TUNE.check(given) or ()
    for name in names:
        if name not in known:
            raise InputError(f"No optimizer compared has the hyperparameter {shown(name)}. {suggest(name, known)}")
    return tuple(dict.fromkeys(names))


def _rate(value: Any) -> float:
    number = Positive().read(value)
    if number is None:
        raise InputError(f"A learning rate must be {Positive().accepted}, got {shown(value)}.")
    return number


def _found(name: str) -> Recipe | Imported:
    return Imported(name) if ":" in name else recipe(name)


def _parse(text: Any) -> tuple[Recipe | Imported, dict[str, Any]]:
    """`"rmsprop(alpha=0.9)"` → its recipe and what is called with."""
    name, values = called(text)
    return _found(name), values
