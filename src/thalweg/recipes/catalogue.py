"""Every optimizer by name. Rules are discovered in the modules of `thalweg.rules`; nothing is registered by hand."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from typing import Any

import thalweg.rules
from thalweg.errors import InputError, shown, suggest
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.options import BY_CONVENTION, MODEL_RULES, OPTIONS, PROXIMAL
from thalweg.rules.contract import Preset, Rule
from thalweg.rules.hyperparameters import Hyperparameter, unknown
from thalweg.rules.signature import Spelling
from thalweg.schedules import Schedule, as_schedule

Values = Mapping[str, float | bool]

LIBRARY: Mapping[str, Values] = {"keras": {"decoupled_weight_decay": True}}
"""Defaults that a convention sets for every optimizer whose weight decay is not part of its formula."""

REGULARIZERS: Mapping[str, Values] = {"keras": {BY_CONVENTION[0]: True}}
"""Defaults that a convention sets for every optimizer."""


@dataclass(frozen=True)
class Recipe:
    """One optimizer: a named rule, composed with `OPTIONS`, and its defaults, under one convention.

    clip_global_norm: the default of that option, if not the preset's own: a comparison sets it for all its optimizers.
    weights_only: penalties that are of weights alone, not of biases and norms, where a workload trains it.
    """

    preset: Preset
    convention: str = CONVENTIONS[0]
    clip_global_norm: float = 0.0
    weights_only: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Its fields: what is derived from them is derived again."""
        return {of.name: getattr(self, of.name) for of in fields(self)}

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
        """The rule's, then the options of a composed step."""
        own = self.rule.hyperparameters
        return {**own, **{name: h for name, h in OPTIONS.items() if name not in own}}

    @cached_property
    def defaults(self) -> dict[str, float | bool | None]:
        preset = self.preset
        common = {} if self.rule.owns_decay else LIBRARY.get(self.convention, {})
        common = {**common, **REGULARIZERS.get(self.convention, {})}
        own = {**preset.defaults, **common, **preset.conventions.get(self.convention, {})}
        own |= {"clip_global_norm": self.clip_global_norm} if self.clip_global_norm else {}
        return {name: own.get(name, h.default) for name, h in self.hyperparameters.items()}

    @property
    def conventions(self) -> tuple[str, ...]:
        """The conventions that have this optimizer."""
        return tuple(name for name in CONVENTIONS if name == CONVENTIONS[0] or name in self.preset.conventions)

    def under(self, convention: str) -> "Recipe":
        """The same optimizer under another convention. Raises `InputError` if that one does not have it."""
        if convention == self.convention:
            return self
        if convention not in CONVENTIONS:
            raise InputError(f"A convention is one of {', '.join(CONVENTIONS)}, got {shown(convention)}.")
        if convention not in self.conventions:
            have = " and ".join(self.conventions)
            raise InputError(f"{self.name} has no convention {convention!r}, only {have}: leave it out there.")
        return replace(self, convention=convention)

    def clipped(self, limit: float) -> "Recipe":
        """The same optimizer, whose gradients are clipped to a joint norm of `limit` unless a run says otherwise."""
        return replace(self, clip_global_norm=limit)

    def penalizing_weights(self, penalties: Sequence[str]) -> "Recipe":
        """The same optimizer, with these penalties of weights alone."""
        return replace(self, weights_only=tuple(penalties))

    def resolve(self, given: Mapping[str, Any], owner: str | None = None) -> dict[str, float | bool]:
        """All hyperparameters: the given ones, checked, over the defaults.

        A tuple may be given for several, such as `betas`. Raises `InputError` with the name, its range and the value.
        """
        owner = owner or self.name
        given = self.split(given)
        for name in given:
            if name not in self.hyperparameters:
                raise unknown(owner, name, self.hyperparameters)
        values: dict[str, Any] = {}
        for name, h in self.hyperparameters.items():
            value = given.get(name, self.defaults[name])
            if value is None and h.initially:
                source = values[h.initially]
                value = h.check_initial(owner, source.required_base if isinstance(source, Schedule) else source)
            values[name] = checked(h, owner, value)
        self.require_consistent(values, owner)
        return values

    def require_consistent(self, values: Values, owner: str) -> None:
        """Raises `InputError` if values that are each in range contradict each other."""
        wrong = self.rule.contradiction(values) or _contradictory(self.rule, values)
        if self.rule.owns_decay and (values["decoupled_weight_decay"] or values["independent_weight_decay"]):
            wrong = (
                "its weight_decay is part of its formula, neither decoupled nor independent; give weight_decay alone"
            )
        on = [name for name in MODEL_RULES if values[name]]
        if len(on) > 1:
            wrong = f"{' and '.join(on)} both evaluate the model: give one of them"
        if on and values["masked"]:
            wrong = f"{on[0]} evaluates the model where masked elements are not zero: give one of the two"
        if wrong:
            raise InputError(f"{owner}: {wrong}.")

    def split(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Expands `betas=(a, b)` to `beta1=a, beta2=b`. Raises `InputError` if it is no tuple, or of another length."""
        out = dict(given)
        for name in [name for name in given if name in self.rule.tuple_arguments]:
            members, value = self.rule.tuple_arguments[name], in_sequence(out.pop(name))
            if not value:
                usual = tuple(self.defaults[member] for member in members)
                raise InputError(f"{name} must be a tuple of numbers such as {usual}, got {shown(given[name])}.")
            if len(value) != len(members):
                raise InputError(f"{name} must be {len(members)} numbers, got {shown(value)}.")
            out.update(zip(members, value, strict=True))
        return out

    def structure(self, values: Values) -> StepVariant:
        """The step variant for resolved hyperparameters: which flags are set, which switches are off."""
        declared = self.hyperparameters.values()
        flags = frozenset(h.name for h in declared if h.is_flag and values[h.name])
        absent = frozenset(h.name for h in declared if h.switch and values[h.name] == 0)
        flag, changed = BY_CONVENTION
        if not any(values[name] for name in changed):  # else variants would differ in nothing
            flags -= {flag}
        return StepVariant(self.rule, flags, absent, self.formula)

    @property
    def formula(self) -> str:
        """The convention whose formula it computes: several may share one."""
        return self.convention if self.convention in self.rule.formulas else CONVENTIONS[0]


def _contradictory(rule: Rule, values: Values) -> str:
    """How regularizers that are each in range contradict each other or the rule; empty if they do not."""
    low, high = values["min_norm"], values["max_norm"]
    if low and high and not isinstance(low, Schedule) and not isinstance(high, Schedule) and low > high:
        return f"its min_norm is {low:g} and its max_norm {high:g}: give a min_norm of at most that"
    if values["unit_norm"] and (low or high):
        return "unit_norm sets every norm to 1: leave out max_norm and min_norm"
    proximal = next((name for name in PROXIMAL if values[name]), None)
    if proximal and rule.evaluated is not None:
        return f"it is evaluated by other weights than {proximal} makes 0: give l1 or l2"
    return ""


SAMPLED = 1000
"""Steps of a schedule whose values are checked, beside the first and the last."""


def checked(h: Hyperparameter, owner: str, value: Any) -> Any:
    """A hyperparameter's value: a number or flag in its range, or a schedule whose values are.

    Raises `InputError` with the name, the range and the value.
    """
    schedule = as_schedule(value)
    if schedule is None:
        return h.check(owner, value)
    if h.range is None or h.range.whole or h.initially:
        raise InputError(f"The {h.name!r} of {owner} takes no schedule; got {schedule}.")
    if schedule.momentum is not None:
        raise InputError(
            f"The {h.name!r} of {owner} takes values, and {schedule} has a momentum beside them: give momentum=False,"
            " and its `.momentum` to the optimizer's own."
        )
    last = schedule.steps
    for step in sorted({*range(0, last, 1 + last // SAMPLED), last, 0}):
        if h.range.read(schedule(step)) is None:
            raise InputError(
                f"The {h.name!r} of {owner} must be {h.range.interval} at every step, and {schedule} is"
                f" {shown(schedule(step))} at step {step}."
            )
    return schedule


def in_sequence(value: Any) -> Sequence[Any]:
    """Members of a list, a configuration library's sequence, a 1-D array or tensor; empty for anything else."""
    if getattr(value, "ndim", None) == 1:
        return tuple(value)
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


@cache
def recipes() -> dict[str, Recipe]:
    """All optimizers by name, sorted."""
    found: dict[str, Recipe] = {}
    for info in pkgutil.walk_packages(thalweg.rules.__path__, "thalweg.rules."):
        module = importlib.import_module(info.name)
        presets = (value for value in vars(module).values() if isinstance(value, Preset))
        found.update({preset.name: Recipe(preset) for preset in presets})
    return dict(sorted(found.items()))


def recipe(name: str) -> Recipe:
    """The optimizer of that name. Raises `InputError` with the nearest known names."""
    if name.lower() not in recipes():
        raise InputError(f"Unknown optimizer {shown(name)}. {suggest(name, recipes())}")
    return recipes()[name.lower()]
