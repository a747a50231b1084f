"""The contract of an elementwise update rule.

A rule is a pure function `(g, p, states…, t, *, hyperparameters…) -> (update, states…)`: gradient, parameter and
states elementwise, the step counted from 1; it returns the update to subtract, learning rate included, and the new
states. It modifies nothing, and branches on flags, on `convention` and on `None` only, never on a value. Its signature
is its declaration: annotations give roles and ranges, defaults give the published settings.
"""

import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from thalweg.numerics import Value
from thalweg.rules.conversions import Move, no_conversion
from thalweg.rules.hyperparameters import Hyperparameter, searched
from thalweg.rules.signature import Spelling, numbered, own_spelling, read_signature
from thalweg.rules.states import State

Defaults = Mapping[str, float | bool]
Names = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class Rule:
    """A declared update rule. Calling it calls the function.

    rate: the hyperparameter that a learning-rate grid varies; the part of its range worth searching is `rates`.
    formulas: the conventions with a formula of their own; any other convention uses the first one's.
    counts_steps: whether torch's state has a `step`, or the flag with which it has; without one, existing state means
        t > 1.
    stationary: whether zero gradients from the start leave the parameter unchanged.
    contradiction: describes a conflict between values that are each in range; empty if there is none.
    tuple_arguments: tuple argument, such as `betas` → the hyperparameters in it.
    evaluated: computes the weights to evaluate from the parameter and, by name, states and hyperparameters; `None` if
        they are the parameter itself.
    scale_free: whether steps are invariant to the gradients' scale, once ε and the like are 0.
    rate_is_step: whether the learning rate is the size of the steps all along, not of the first ones only.
    argument_names: convention → our names of hyperparameters → the library's, where that is not its usual one.
    move: converts hyperparameters to those that take the same steps by the formula of another convention.
    sparse_unsupported: why it cannot step a subset of the elements, as sparse gradients need; empty if it can.
    every_row_with: the switch with which a sparse gradient also moves rows it does not touch, as in torch's class.
    momentum: the hyperparameter that is its momentum, which torch's one-cycle schedules move; `None` if it has none.
    others: the flag with which another rule steps a parameter, for all that are no hidden matrices; empty if there is
        none.
    torch_keys: torch's keys of param groups that ours spell otherwise. from_torch: their values → our hyperparameters,
        or why there are none, as a clause.
    """

    function: Callable[..., Any]
    name: str
    states: tuple[State, ...]
    hyperparameters: Mapping[str, Hyperparameter]
    rate: str | None
    formulas: tuple[str, ...]
    counts_steps: bool | str
    stationary: bool
    contradiction: Callable[[Mapping[str, Any]], str]
    tuple_arguments: Mapping[str, tuple[str, ...]]
    evaluated: Callable[..., Any] | None = None
    scale_free: bool = False
    rate_is_step: bool = True
    argument_names: Mapping[str, Names] = field(default_factory=dict)
    move: Move = no_conversion
    sparse_unsupported: str = ""
    every_row_with: str = ""
    momentum: str | None = None
    others: str = ""
    torch_keys: tuple[str, ...] = ()
    from_torch: Callable[[Mapping[str, Any]], Mapping[str, Any] | str] = lambda given: {}

    @property
    def rates(self) -> tuple[float, float]:
        """The learning rates worth searching, of a rule that has a rate."""
        declared = self.hyperparameters[self.rate].range if self.rate else None
        assert declared is not None
        assert declared.search is not None
        return declared.search

    @property
    def owns_decay(self) -> bool:
        """Whether weight decay is part of its formula, and not of the composed step."""
        return "weight_decay" in self.hyperparameters

    def __call__(self, *args: Value, **hyperparameters: Value) -> Any:
        return self.function(*args, **hyperparameters)

    def __reduce__(self) -> Any:
        """Pickles by reference to its preset, in the module of the function."""
        module = self.function.__module__
        preset_of = getattr(sys.modules.get(module), self.name, None)
        if getattr(preset_of, "rule", None) is not self:
            raise _unbound(self.name, module)
        return _rule_in, (module, self.name)

    def __deepcopy__(self, memo: Any) -> "Rule":
        return self


@dataclass(frozen=True)
class Preset:
    """A rule under the name its users know, with the defaults they expect.

    drop_in: name and arguments of its class in `thalweg.optim`; `None` if that class belongs to another preset.
    defaults: values that differ from the rule's own or belong to the composed step (weight decay).
    conventions: convention that has this optimizer → its defaults that differ from those.
    when: one sentence on when to use it. purpose: the same as a phrase of at most 57 characters, for lists.
    family: one of `rules.families`. module: where it is bound to its name.
    """

    name: str
    rule: Rule
    paper: str
    summary: str
    drop_in: Spelling | None = None
    defaults: Defaults = field(default_factory=dict)
    conventions: Mapping[str, Defaults] = field(default_factory=dict)
    when: str = ""
    module: str = ""
    family: str = ""
    purpose: str = ""

    def __reduce__(self) -> Any:
        """Pickles by reference, as a function does."""
        if getattr(sys.modules.get(self.module), self.name, None) is not self:
            raise _unbound(self.name, self.module)
        return _preset_in, (self.module, self.name)

    def __deepcopy__(self, memo: Any) -> "Preset":
        return self


def _unbound(name: str, module: str) -> pickle.PicklingError:
    return pickle.PicklingError(
        f"The optimizer {name!r} cannot be pickled: {module} has no {name!r} that is it; bind it to that name there."
    )


def _preset_in(module: str, name: str) -> Preset:
    found: Preset = getattr(importlib.import_module(module), name)
    return found


def _rule_in(module: str, name: str) -> Rule:
    return _preset_in(module, name).rule


MOMENTA = ("momentum", "beta1", "beta")
"""Names of a momentum, unless a rule declares another."""


def rule(
    *,
    paper: str,
    rates: tuple[float, float],
    when: str = "",
    family: str = "",
    purpose: str = "",
    drop_in: str | None = None,
    rate: str | None = "lr",
    counts_steps: bool | str = True,
    stationary: bool = True,
    contradiction: Callable[[Mapping[str, Any]], str] = lambda values: "",
    conventions: Mapping[str, Defaults] = MappingProxyType({}),
    tuple_arguments: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    evaluated: Callable[..., Any] | None = None,
    scale_free: bool = False,
    rate_is_step: bool = True,
    argument_names: Mapping[str, Names] = MappingProxyType({}),
    move: Move = no_conversion,
    sparse_unsupported: str = "",
    every_row_with: str = "",
    momentum: str | None = "",
    others: str = "",
    torch_keys: tuple[str, ...] = (),
    from_torch: Callable[[Mapping[str, Any]], Mapping[str, Any] | str] = lambda given: {},
    **defaults: float | bool,
) -> Callable[[Callable[..., Any]], Preset]:
    """Declares a function as an update rule; its name becomes the optimizer's.

    Args:
        paper: authors, year and arXiv number or venue.
        rates: (low, high), the learning rates worth searching.
        when: one sentence on when to use it, for its card. purpose: the same as a phrase, for lists.
        family: one of `rules.families`: its group in lists.
        drop_in: torch's spelling, `"Adadelta(lr, rho, eps, weight_decay)"`; by default from the function's signature.
        rate: the hyperparameter that a learning-rate grid varies; `None` if there is none.
        counts_steps: `False` if torch's optimizer has no `step` in its state; a flag if only with that.
        stationary: `False` if the rule moves a parameter that never had a gradient, for example by a decay of its own.
        contradiction: describes a conflict between hyperparameters that are each in range; empty if there is none.
        conventions: "keras", "optax" or "paper" → its defaults that differ; if the formula does too, the function has
            the argument `convention: Literal["torch", "keras", …] = "torch"`.
        tuple_arguments: tuple arguments other than plurals, which are recognized: `betas` holds beta1, beta2, ….
        evaluated: `(p, *, states and hyperparameters by name)` → the weights to evaluate, where those are not p.
        scale_free: whether steps are invariant to the gradients' scale, with ε at 0.
        rate_is_step: `False` if the learning rate is the size of the first steps only.
        argument_names: convention → our names of hyperparameters → the library's unusual ones, for `translate`; a
            tuple if the library has further arguments that must equal it.
        move: `(values, source, target, constant_rate)` → the values that take the same steps by the formula of the
            target, or why there are none (`thalweg.rules.conversions`); for rules with several formulas.
        sparse_unsupported: why it cannot step only the rows that a sparse gradient touches, as a clause.
        every_row_with: the switch with which a sparse gradient also moves the other rows, as in torch's class.
        momentum: the hyperparameter that is its momentum; by default `momentum`, `beta1` or `beta`, if it has one.
        others: the flag with which another rule steps a parameter: in a comparison, all that are no hidden matrices.
        torch_keys: keys of torch's param groups that ours spell otherwise.
        from_torch: converts their values to our hyperparameters, or says why that cannot be, as a clause.
        defaults: of the composed step, where they differ, such as `decoupled_weight_decay=True`.
    """

    def declare(function: Callable[..., Any]) -> Preset:
        states, hyperparameters, formulas = read_signature(function)
        name = function.__name__
        spelling = Spelling.parse(drop_in) if drop_in else own_spelling(name, hyperparameters)
        declared = Rule(
            function=function,
            name=name,
            states=states,
            hyperparameters=searched(hyperparameters, rate, rates),
            rate=rate,
            formulas=formulas,
            counts_steps=counts_steps,
            stationary=stationary,
            contradiction=contradiction,
            tuple_arguments={**numbered(spelling.arguments, hyperparameters), **tuple_arguments},
            evaluated=evaluated,
            scale_free=scale_free,
            rate_is_step=rate_is_step,
            argument_names=argument_names,
            move=move,
            sparse_unsupported=sparse_unsupported,
            every_row_with=every_row_with,
            momentum=next((h for h in MOMENTA if h in hyperparameters), None) if momentum == "" else momentum,
            others=others,
            torch_keys=torch_keys,
            from_torch=from_torch,
        )
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        texts = (when, function.__module__, family, purpose)
        return Preset(name, declared, paper, summary, spelling, defaults, _added(defaults, conventions), *texts)

    return declare


def _added(defaults: Defaults, conventions: Mapping[str, Defaults]) -> dict[str, Defaults]:
    """The defaults of each convention: the optimizer's, and what differs."""
    return {convention: {**defaults, **own} for convention, own in conventions.items()}


def preset(
    of: Preset,
    name: str,
    summary: str,
    *,
    paper: str | None = None,
    when: str = "",
    purpose: str = "",
    drop_in: str | None = None,
    conventions: Mapping[str, Defaults] | None = None,
    **defaults: float | bool,
) -> Preset:
    """Declares another name for a rule: the same arithmetic with other defaults.

    conventions: as for `rule`; by default those of `of`. Its family is that of `of`.
    """
    spelling = Spelling.parse(drop_in) if drop_in else None
    own = {key: {} for key in of.conventions} if conventions is None else conventions
    merged = {name: {**of.conventions.get(name, {}), **defaults, **own[name]} for name in own}
    module = sys._getframe(1).f_globals.get("__name__", "")  # the caller's
    return Preset(
        name,
        of.rule,
        paper or of.paper,
        summary,
        spelling,
        {**of.defaults, **defaults},
        merged,
        when,
        module,
        of.family,
        purpose,
    )
