"""What every elementwise update rule promises.

A rule is a pure function `(g, p, states…, t, *, hyperparameters…) -> (update, states…)`: gradient, parameter and
states elementwise, the step counted from 1; it returns the update to subtract, learning rate included, and the new
states. It modifies nothing, and branches on flags and on `None` only, never on a value. Its signature is its
declaration: annotations give roles and ranges, defaults give the published settings.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

from thalweg.numerics import Value
from thalweg.rules.hyperparameters import Hyperparameter, Initially, Range, Switch

PARAMETER = "parameter"


@dataclass(frozen=True)
class State:
    """A state with one value an element, or (`per_row`) one a parameter tensor or population member.

    initial: its value before the first step, the name of the hyperparameter that gives it, or `"parameter"` where it
        begins as the parameter is then.
    """

    name: str = ""
    initial: float | str = 0.0
    per_row: bool = False

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
RowOnes = Annotated[Value, State(initial=1.0, per_row=True)]


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
    counts_steps: whether torch's state has a `step`; without one, state that is present means a step after the first.
    contradiction: says what is wrong with values that are each in range, or nothing.
    """

    function: Callable[..., Any]
    name: str
    states: tuple[State, ...]
    hyperparameters: Mapping[str, Hyperparameter]
    rate: str | None
    rates: tuple[float, float]
    counts_steps: bool
    contradiction: Callable[[Mapping[str, Any]], str]

    def __call__(self, *args: Value, **hyperparameters: Value) -> Any:
        return self.function(*args, **hyperparameters)


@dataclass(frozen=True)
class Preset:
    """A rule under the name its users say, with the defaults they expect.

    drop_in: the spelling of its class in `thalweg.optim`; `None` where that class belongs to another preset.
    defaults: values that differ from the rule's own or belong to the composed step (weight decay).
    """

    name: str
    rule: Rule
    paper: str
    summary: str
    drop_in: Spelling | None = None
    defaults: Mapping[str, float | bool] = field(default_factory=dict)


def rule(
    *,
    paper: str,
    rates: tuple[float, float],
    drop_in: str | None = None,
    rate: str | None = "lr",
    counts_steps: bool = True,
    contradiction: Callable[[Mapping[str, Any]], str] = lambda values: "",
) -> Callable[[Callable[..., Any]], Preset]:
    """Declares a function as an update rule; its name becomes the optimizer's.

    Args:
        paper: authors, year and arXiv number or venue.
        rates: (low, high), the learning rates worth searching.
        drop_in: torch's spelling, such as `"Adadelta(lr, rho, eps, weight_decay)"`; `betas` stands for beta1, beta2.
            The function's name in capitals and its arguments where not given.
        rate: the hyperparameter a learning-rate grid scales; `None` where there is none.
        counts_steps: `False` where torch's optimizer keeps no `step`.
        contradiction: what is wrong with hyperparameters that are each in range; an empty string where nothing is.
    """

    def declare(function: Callable[..., Any]) -> Preset:
        states, hyperparameters = _read_signature(function)
        declared = Rule(function, function.__name__, states, hyperparameters, rate, rates, counts_steps, contradiction)
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        spelling = Spelling.parse(drop_in) if drop_in else _own_spelling(declared)
        return Preset(declared.name, declared, paper, summary, spelling)

    return declare


def preset(
    of: Preset,
    name: str,
    summary: str,
    *,
    paper: str | None = None,
    drop_in: str | None = None,
    **defaults: float | bool,
) -> Preset:
    """Another name for a rule: the same arithmetic with other defaults."""
    spelling = Spelling.parse(drop_in) if drop_in else None
    return Preset(name, of.rule, paper or of.paper, summary, spelling, {**of.defaults, **defaults})


def _own_spelling(declared: Rule) -> Spelling:
    """`sign_momentum` → `SignMomentum(…its hyperparameters…, weight_decay)`."""
    own = tuple(h.name for h in declared.hyperparameters.values() if not h.initially)
    return Spelling("".join(part.title() for part in declared.name.split("_")), (*own, "weight_decay"))


def _read_signature(function: Callable[..., Any]) -> tuple[tuple[State, ...], dict[str, Hyperparameter]]:
    parameters = inspect.signature(function).parameters
    positional = [p for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    names = [p.name for p in positional]
    if names[:2] != ["g", "p"] or names[-1] != "t":
        raise TypeError(
            f"A rule's arguments are (g, p, states…, t, *, hyperparameters…); {function.__name__} has {names}."
        )
    states = tuple(_state(p) for p in positional[2:-1])
    keywords = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    return states, {p.name: hyperparameter(p.name, p.annotation, p.default) for p in keywords}


def _state(parameter: inspect.Parameter) -> State:
    marks = [m for m in get_args(parameter.annotation) if isinstance(m, State)]
    if not marks:
        raise TypeError(f"The state {parameter.name!r} needs an annotation such as Zeros.")
    return State(parameter.name, marks[0].initial, marks[0].per_row)


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
