"""Contenders: an optimizer with its fixed hyperparameters and its search space."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from thalweg.errors import InputError, shown, suggest
from thalweg.options.comparison import COMPARISON, FOUND
from thalweg.options.declared import CONVENTIONS
from thalweg.options.ranges import POSITIVE, as_number
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.imported import Imported
from thalweg.regularization.stopping import EarlyStopping
from thalweg.rules.contract import Preset
from thalweg.studies.contender_recipes import recipe_of
from thalweg.studies.parsing import combinations, plain, require_printable, split, titled
from thalweg.studies.protocol import PER_DECADE
from thalweg.studies.rates import covering, grid
from thalweg.studies.regularized import read, under
from thalweg.studies.scheduled import in_run, split_off, written
from thalweg.workloads.model_arguments import written as model_text
from thalweg.workloads.workload import Workload

CLIP = "clip_global_norm"


@dataclass(frozen=True)
class Contender:
    """An optimizer that takes part in a comparison.

    Args:
        name: its name in the catalogue (`thalweg optimizers` lists them), optionally with fixed hyperparameters,
            `"rmsprop(alpha=0.9, lr=1e-4)"`; any optimizer class, `torch.optim.RAdam` or its import path
            `"torch.optim:RAdam"`; a function of parameters that makes one, `functools.partial` of a class too; or a
            custom rule declared with `@thalweg.rule`. `"quick = adam(beta2=0.9)"` gives it a title.
        fixed: hyperparameter → value; a fixed learning rate is not tuned.
        space: hyperparameter → values to try; every combination is tried, with every learning rate.
        title: its name on the leaderboard; defaults to `name` as written.
        schedule: how its learning rate changes in a run, whatever rate is tuned: one of `thalweg.schedules`, its text,
            `"cosine(warmup=5%)"`, or a function of the step, scaled so that it begins at that rate. Equivalent to
            `"adam(lr=cosine(warmup=5%))"`; one with a rate of its own, `"adam(lr=cosine(1e-3))"`, fixes it.
        convention: the source of its formula and defaults, `"torch"`, `"keras"`, `"optax"` or `"paper"`;
            `"adam(convention='keras')"` is equivalent.
        regularizer: what its runs are regularized by, whatever rate is tuned: `"l2=1e-4"`, `"l1=1e-5+l2=1e-4"`,
            `"max-norm=1"`, `"dropout=0.2"`, `"early-stopping=5"`. Penalties are of weights, not of biases and norms.
        model: arguments that the workload's model factory is given, `{"init": "glorot-uniform"}`.

    Raises:
        InputError: an optimizer or hyperparameter does not exist, or a value is out of range.
    """

    name: str | Preset | Callable[..., Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    title: str | None = None
    convention: str | None = None
    schedule: Any = None
    regularizer: Any = None
    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | Imported = field(init=False)
    searched: tuple[float, float] | None = field(init=False, default=None)
    """An interval of rates that its grid covers, in place of the declared range."""

    def __post_init__(self) -> None:
        if isinstance(self.name, str) and self.title is None:
            title, name = titled(self.name)
            object.__setattr__(self, "title", title)
            object.__setattr__(self, "name", name)
        found, given = recipe_of(self.name)
        if callable(self.name) and not isinstance(found, Imported):  # a class of thalweg.optim
            object.__setattr__(self, "name", found.name)
        elif isinstance(found, Imported) and found.given is None:
            object.__setattr__(self, "name", self.name if isinstance(self.name, str) else found.path)
        object.__setattr__(self, "recipe", found)
        fixed = {**plain("An optimizer", given), **plain("fixed", self.fixed)}
        if not isinstance(found, Imported):
            fixed = found.split(fixed)
            found = found.under(self._convention(fixed.pop("convention", None)))
        object.__setattr__(self, "space", combinations("space", self.space))
        object.__setattr__(self, "regularizer", read(self.regularizer))
        if not isinstance(self.model, Mapping):
            raise InputError(f"model must be a dict from arguments of the factory to values, got {shown(self.model)}.")
        object.__setattr__(self, "model", plain("model", self.model))
        self._require_arguments_once()
        found, fixed = under(self.regularizer, found, fixed)
        fixed, schedule = split_off(fixed, self.schedule, found.rate, self.label)
        object.__setattr__(self, "schedule", schedule)
        object.__setattr__(self, "fixed", fixed)
        object.__setattr__(self, "recipe", found)
        require_printable(self.label)
        both = set(fixed) & set(self.space)
        if both:
            raise InputError(f"{self.label}: {sorted(both)[0]!r} is both fixed and in the space; keep one.")
        for configuration in self.configurations(None):
            self.recipe.resolve(configuration, self.label)

    def _convention(self, written: Any) -> Any:
        """The convention written in the text, else the `convention` argument, else the default."""
        if written is not None and self.convention not in (None, written):
            raise InputError(f"{self.label}: two conventions, {shown(written)} and {shown(self.convention)}; keep one.")
        if written is not None:
            object.__setattr__(self, "convention", written)
        return CONVENTIONS[0] if self.convention is None else self.convention

    def _require_arguments_once(self) -> None:
        twice = (
            None if self.regularizer is None else next((n for n in self.regularizer.of_model if n in self.model), None)
        )
        if twice:
            raise InputError(f"The model's {twice} is set by the regularizer {self.regularizer} and apart: keep one.")

    @property
    def arguments(self) -> dict[str, Any]:
        """What the workload's model factory is given, by name: of its own, and of its regularizer."""
        of_regularizer = {} if self.regularizer is None else self.regularizer.of_model
        return dict(sorted({**self.model, **of_regularizer}.items()))

    @property
    def trains(self) -> str:
        """Which model it trains: these arguments as text, which tells models apart."""
        return model_text(self.arguments)

    @property
    def label(self) -> str:
        """The name on the leaderboard: the title, or the name as the user wrote it."""
        if self.title is not None:
            return self.title
        by = self.convention if self.convention not in (None, CONVENTIONS[0]) else None
        return f"{self._written} ({by})" if by and "convention" not in self._written else self._written

    @property
    def _written(self) -> str:
        name = self.name.strip() if isinstance(self.name, str) else self.recipe.name
        if "(" in name or not (self.fixed or self.space):
            return name
        inside = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.fixed.items()]
        inside += [f"{k}=…" for k in self.space if k != self.recipe.rate]
        return f"{name}({', '.join(inside)})" if inside else name

    def clipped(self, limit: float) -> "Contender":
        """The contender with gradients clipped to a joint norm of `limit`, by its recipe's `clip_global_norm`.

        Raises `InputError` where it has another limit of its own.
        """
        own = self.fixed.get(CLIP, self.recipe.defaults.get(CLIP) or None)
        if CLIP in self.space or own not in (None, limit):
            values = list(self.space[CLIP]) if CLIP in self.space else own
            raise InputError(
                f"{self.label}: its {CLIP} is {shown(values)}, and clip_norm is {limit:g} for all: give one of the two."
            )
        new = copy(self)
        object.__setattr__(new, "recipe", self.recipe.clipped(limit))  # its published defaults, too
        return new

    def searching(self, interval: tuple[float, float]) -> "Contender":
        """The contender with a grid over an interval of rates, if the grid is its own."""
        new = copy(self)
        object.__setattr__(new, "searched", interval)
        return new

    def evaluations(self, configuration: Mapping[str, Any]) -> int:
        """Evaluations of a batch in each step of a configuration; 1 for another library's optimizer."""
        if isinstance(self.recipe, Imported):
            return 1
        return self.recipe.structure(self.recipe.resolve(configuration, self.label)).evaluations

    @property
    def copies(self) -> int:
        """The most tensors of the parameters' size that a run needs; 0 for another library's optimizer."""
        if isinstance(self.recipe, Imported):
            return 0
        resolved = (self.recipe.resolve(of, self.label) for of in self.configurations(None))
        best = self.early_stopping is not None  # whose weights are kept
        return max(Member(self.recipe, values, 0).copies for values in resolved) + best

    @property
    def factors(self) -> dict[str, Any]:
        """What it varies beside hyperparameters, for the records: see `records.types.Factors`."""
        convention = CONVENTIONS[0] if isinstance(self.recipe, Imported) else self.recipe.convention
        other = {} if convention == CONVENTIONS[0] else {"convention": convention}
        other |= {} if self.schedule is None else {"schedule": written(self.schedule)}
        other |= {} if self.regularizer is None else {"regularizer": str(self.regularizer)}
        other |= {"model": model_text(self.model)} if self.model else {}
        return {"optimizer": self.recipe.name, **other}

    def member(self, given: Mapping[str, Any], seed: int, workload: Workload) -> Member:
        """A run of a configuration on a workload, whose length its schedule goes by."""
        found = in_run(self.recipe, self.schedule, given, workload, self.label)
        return Member(self.recipe, found.values, seed, found.performance, self.early_stopping)

    @property
    def early_stopping(self) -> EarlyStopping | None:
        """When its runs end before their last step, if its regularizer says so."""
        return None if self.regularizer is None else self.regularizer.early_stopping

    @property
    def has_own_grid(self) -> bool:
        """Whether its learning rate is neither fixed nor listed, so that the protocol's grid applies."""
        rate = self.recipe.rate
        return rate is not None and rate not in self.fixed and rate not in self.space

    @property
    def published(self) -> dict[str, Any] | None:
        """The configuration of published defaults, run as the baseline of tuning: the default learning rate only, under
        its regularizer.

        Empty where the optimizer has no learning rate. `None` where the rate is fixed, so nothing is tuned, or where
        another library's class has no default rate.
        """
        own = {} if self.regularizer is None else self.regularizer.values
        if self.recipe.rate is None:
            return {**own}
        if self.recipe.rate in self.fixed or not self.default_rate:
            return None
        return {**own, **self.default_rate}

    @property
    def default_rate(self) -> dict[str, Any]:
        """The published learning rate by its name; empty where there is none. Another library's may be no number."""
        rate, defaults = self.recipe.rate, self.recipe.defaults
        if rate is None or rate not in defaults:
            return {}
        number = as_number(defaults[rate])
        return {rate: defaults[rate] if number is None else number}

    def rates(self, given: Sequence[float] | None, per_decade: int = PER_DECADE) -> tuple[float, ...]:
        """The learning rates to try: the fixed one, else those of its space, else the user's, else a grid over the
        declared range."""
        rate = self.recipe.rate
        if rate is None:
            return ()
        if rate in self.fixed:
            return (_rate(self.fixed[rate]),)
        if rate in self.space:
            return tuple(sorted(_rate(v) for v in self.space[rate]))
        if given:
            return tuple(given)
        return covering(*self.searched, per_decade) if self.searched else grid(*self.recipe.rates, per_decade)

    def configurations(
        self, learning_rates: Sequence[float] | None, per_decade: int = PER_DECADE
    ) -> list[dict[str, Any]]:
        """All combinations to try, each with only the hyperparameters set, not the published defaults."""
        rate = self.recipe.rate
        others = {name: values for name, values in self.space.items() if name != rate}
        combinations = [dict(zip(others, values, strict=True)) for values in itertools.product(*others.values())]
        rates = [{rate: value} for value in self.rates(learning_rates, per_decade)] if rate else [{}]
        return [{**self.fixed, **c, **r} for c in combinations for r in rates]


def contenders(given: str | Sequence[Any], convention: str = CONVENTIONS[0]) -> list[Contender]:
    """Builds contenders from names, rules, classes and functions, or from one text of names with commas between them.

    convention: of those that set none.

    Raises `InputError` where two share a label, the list is empty, or an optimizer has no such convention.
    """
    by = None if COMPARISON["convention"].check(convention) == CONVENTIONS[0] else convention
    several = split(given) if isinstance(given, str) else given
    out = [c if isinstance(c, Contender) else Contender(c) for c in COMPARISON["optimizers"].check(several)]
    out = [
        replace(c, convention=by) if by and c.convention is None and isinstance(c.recipe, Recipe) else c for c in out
    ]
    labels = [c.label for c in out]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise InputError(f"The optimizer {shown(twice)} stands twice in the list; name each once.")
    return out


def learning_rates(given: Sequence[Any] | str | None) -> tuple[float, ...] | None:
    """The user's rates, sorted and unique; `None` for the protocol's grid, be it over intervals of a range test.

    Raises `InputError` where one is not a positive finite number.
    """
    read = COMPARISON["learning_rates"].check(given)
    return None if read is None or read == FOUND else tuple(sorted(set(read)))


def tunable(given: Sequence[str] | None, of: Sequence[Contender]) -> tuple[str, ...]:
    """The names of hyperparameters to search, unique. Raises `InputError` where no contender has one, or `given` is no
    list."""
    known = {name for c in of for name in c.recipe.defaults} | {c.recipe.rate for c in of if c.recipe.rate}
    names = COMPARISON["tune"].check(given) or ()
    for name in names:
        if name not in known:
            raise InputError(f"No optimizer compared has the hyperparameter {shown(name)}. {suggest(name, known)}")
    return tuple(dict.fromkeys(names))


def _rate(value: Any) -> float:
    number = POSITIVE.read(value)
    if number is None:
        raise InputError(f"A learning rate must be {POSITIVE.accepted}, got {shown(value)}.")
    return number
