"""What every elementwise update rule promises.

A rule is a pure function `(g, p, states…, t, *, hyperparameters…) -> (update, states…)`: gradient, parameter and
states elementwise, the step counted from 1; it returns the update to subtract, learning rate included, and the new
states. It modifies nothing, and branches on flags, on `convention` and on `None` only, never on a value. Its signature
is its declaration: annotations give roles and ranges, defaults give the published settings.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any, get_args

from thalweg.numerics import Value
from thalweg.options.declared import CONVENTIONS
from thalweg.rules.hyperparameters import Hyperparameter, Initially, Range, Switch

Defaults = Mapping[str, float | bool]

PARAMETER = "parameter"


@dataclass(frozen=True)
class State:
    """A state with one value an element, or (`per_row`) one a parameter tensor or population member.

    initial: its value before the first step, the name of the hyperparameter that gives it, or `"parameter"` where it
        begins as the parameter is then.
    double: of one a row, whether it is held in float64, whatever torch's default dtype; needed by sums without end.
    """

    name: str = ""
    initial: float | str = 0.0
    per_row: bool = False
    double: bool = False

    def __post_init__(self) -> None:
        if self.per_row and self.initial == PARAMETER:
            raise TypeError(f"The row state {self.name!r} has one value a row and cannot begin as the parameter.")

    @property
    def source(self) -> str | None:
        """The hyperparameter that it begins as; `None` where it begins otherwise."""
        return self.initial if isinstance(self.initial, str) and self.initial != PARAMETER else None

    def first(self, values: Mapping[str, Any], parameter: Any) -> Any:
        """Its value before the first step, by the hyperparameters and the parameter at that time."""
        if self.initial == PARAMETER:
            return parameter
        return values[self.source] if self.source else self.initial


Zeros = Annotated[Value, State()]
InitialAccumulator = Annotated[Value, State(initial="initial_accumulator_value")]
FirstRate = Annotated[Value, State(initial="lr")]
RowFirstRate = Annotated[Value, State(initial="lr", per_row=True)]
RowOnes = Annotated[Value, State(initial=1.0, per_row=True)]
RowSum = Annotated[Value, State(per_row=True, double=True)]


@dataclass(frozen=True)
class Spelling:
    """How `torch.optim` (or the rule's own package) spells an optimizer: class name and arguments, in order."""

    name: str
    arguments: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Spelling":
        name, _, arguments = text.removesuffix(")").partition("(")
        return cls(name, tuple(a.strip() for a in arguments.split(",")))


@dataclass(frozen=True)
class Rule:
    """A declared update rule. Calling it calls the function.

    rate: the hyperparameter that a learning-rate grid scales, and `rates` the part of it worth searching.
    formulas: the conventions between which the function distinguishes; any other has the formula of the first.
    counts_steps: whether torch's state has a `step`; without one, state that is present means a step after the first.
    rests: whether zero gradients from the start leave the parameter where it is.
    contradiction: says what is wrong with values that are each in range, or nothing.
    tuples: argument that stands for several hyperparameters, such as `betas` → their names.
    evaluated: the weights to evaluate by, of the parameter and, by name, states and hyperparameters; `None` where they
        are the parameter itself.
    """

    function: Callable[..., Any]
    name: str
    states: tuple[State, ...]
    hyperparameters: Mapping[str, Hyperparameter]
    rate: str | None
    rates: tuple[float, float]
    formulas: tuple[str, ...]
    counts_steps: bool
    rests: bool
    contradiction: Callable[[Mapping[str, Any]], str]
    tuples: Mapping[str, tuple[str, ...]]
    evaluated: Callable[..., Any] | None = None

    def __call__(self, *args: Value, **hyperparameters: Value) -> Any:
        return self.function(*args, **hyperparameters)


@dataclass(frozen=True)
class Preset:
    """A rule under the name its users say, with the defaults they expect.

    drop_in: the spelling of its class in `thalweg.optim`; `None` where that class belongs to another preset.
    defaults: values that differ from the rule's own or belong to the composed step (weight decay).
    conventions: what differs from those in another convention that has this optimizer.
    when: a sentence on what it is good for.
    """

    name: str
    rule: Rule
    paper: str
    summary: str
    drop_in: Spelling | None = None
    defaults: Defaults = field(default_factory=dict)
    conventions: Mapping[str, Defaults] = field(default_factory=dict)
    when: str = ""


def rule(
    *,
    paper: str,
    rates: tuple[float, float],
    when: str = "",
    drop_in: str | None = None,
    rate: str | None = "lr",
    counts_steps: bool = True,
    rests: bool = True,
    contradiction: Callable[[Mapping[str, Any]], str] = lambda values: "",
    conventions: Mapping[str, Defaults] = MappingProxyType({}),
    tuples: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    evaluated: Callable[..., Any] | None = None,
    **defaults: float | bool,
) -> Callable[[Callable[..., Any]], Preset]:
    """Declares a function as an update rule; its name becomes the optimizer's.

    Args:
        paper: authors, year and arXiv number or venue.
        rates: (low, high), the learning rates worth searching.
        when: a sentence on what it is good for, for its card.
        drop_in: torch's spelling, such as `"Adadelta(lr, rho, eps, weight_decay)"`; `betas` stands for beta1, beta2.
            The function's name in capitals and its arguments where not given.
        rate: the hyperparameter a learning-rate grid scales; `None` where there is none.
        counts_steps: `False` where torch's optimizer keeps no `step`.
        rests: `False` where the rule moves a parameter that never had a gradient, by a decay of its own, say.
        contradiction: what is wrong with hyperparameters that are each in range; an empty string where nothing is.
        conventions: "keras", "optax" or "paper" → the defaults there that differ from the signature's. Where the
            formula differs too, the function has the argument `convention: Literal["torch", "keras", …] = "torch"`.
        tuples: arguments that stand for several hyperparameters, beside plurals: `betas` are beta1, beta2, ….
        evaluated: `(p, *, states and hyperparameters by name)` → the weights to evaluate by, where those are not p.
        defaults: of the composed step, where they differ, such as `decoupled_weight_decay=True`.
    """

    def declare(function: Callable[..., Any]) -> Preset:
        states, hyperparameters, formulas = _read_signature(function)
        name = function.__name__
        spelling = Spelling.parse(drop_in) if drop_in else _own_spelling(name, hyperparameters)
        named = {**_numbered(spelling.arguments, hyperparameters), **tuples}
        declared = Rule(
            function,
            name,
            states,
            hyperparameters,
            rate,
            rates,
            formulas,
            counts_steps,
            rests,
            contradiction,
            named,
            evaluated,
        )
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        by = {convention: {**defaults, **own} for convention, own in conventions.items()}
        return Preset(name, declared, paper, summary, spelling, defaults, by, when)

    return declare


def preset(
    of: Preset,
    name: str,
    summary: str,
    *,
    paper: str | None = None,
    when: str = "",
    drop_in: str | None = None,
    conventions: Mapping[str, Defaults] | None = None,
    **defaults: float | bool,
) -> Preset:
    """Another name for a rule: the same arithmetic with other defaults.

    conventions: as for `rule`; all of the rule's where not given.
    """
    spelling = Spelling.parse(drop_in) if drop_in else None
    own = {key: {} for key in of.conventions} if conventions is None else conventions
    merged = {name: {**of.conventions.get(name, {}), **defaults, **own[name]} for name in own}
    return Preset(name, of.rule, paper or of.paper, summary, spelling, {**of.defaults, **defaults}, merged, when)


def _own_spelling(name: str, hyperparameters: Mapping[str, Hyperparameter]) -> Spelling:
    """`sign_momentum` → `SignMomentum(…its hyperparameters…, weight_decay)`."""
    own = tuple(h.name for h in hyperparameters.values() if not h.initially)
    return Spelling("".join(part.title() for part in name.split("_")), (*own, "weight_decay"))


def _numbered(arguments: Iterable[str], hyperparameters: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What plural arguments stand for: `betas` for beta1, beta2, …"""
    families = {a: tuple(h for h in hyperparameters if h.rstrip("0123456789") + "s" == a) for a in arguments}
    return {argument: names for argument, names in families.items() if len(names) > 1}


def _read_signature(
    function: Callable[..., Any],
) -> tuple[tuple[State, ...], dict[str, Hyperparameter], tuple[str, ...]]:
    """Its states, its hyperparameters, and the conventions between which it distinguishes."""
    parameters = dict(inspect.signature(function).parameters)
    convention = parameters.pop("convention", None)
    formulas = get_args(convention.annotation) if convention else ()
    if convention and (formulas[:1] != CONVENTIONS[:1] or not set(formulas) <= set(CONVENTIONS)):
        raise TypeError(f'The convention of {function.__name__} must be annotated Literal["torch", …].')
    positional = [p for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    names = [p.name for p in positional]
    if names[:2] != ["g", "p"] or names[-1] != "t":
        raise TypeError(
            f"A rule's arguments are (g, p, states…, t, *, hyperparameters…); {function.__name__} has {names}."
        )
    states = tuple(_state(p) for p in positional[2:-1])
    keywords = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    return states, {p.name: hyperparameter(p.name, p.annotation, p.default) for p in keywords}, formulas


def _state(parameter: inspect.Parameter) -> State:
    marks = [m for m in get_args(parameter.annotation) if isinstance(m, State)]
    if not marks:
        raise TypeError(f"The state {parameter.name!r} needs an annotation such as Zeros.")
    return replace(marks[0], name=parameter.name)


def hyperparameter(name: str, annotation: Any, default: Any) -> Hyperparameter:
    """The declaration that an annotated argument makes. Raises `TypeError` where range or default is missing."""
    if annotation is bool:
        return Hyperparameter(name, bool(default))
    marks = get_args(annotation)
    ranges = [m for m in marks if isinstance(m, Range)]
    sources = [m.source for m in marks if isinstance(m, Initially)]
    if not ranges or (default is inspect.Parameter.empty):
        raise TypeError(f"The hyperparameter {name!r} needs a default and an annotation such as Rate, Decay or Flag.")
    switch = any(isinstance(m, Switch) for m in marks)
    return Hyperparameter(name, default, ranges[0], switch, sources[0] if sources else None)
