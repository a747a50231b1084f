"""Reads a rule's signature: states, hyperparameters, conventions, and the name and arguments of its class."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from thalweg.options.declared import CONVENTIONS
from thalweg.options.ranges import Range
from thalweg.rules.hyperparameters import Hyperparameter, Initially, Switch
from thalweg.rules.states import State


@dataclass(frozen=True)
class Spelling:
    """Class name and arguments, in order, of an optimizer in `torch.optim` or the rule's own package."""

    name: str
    arguments: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Spelling":
        name, _, arguments = text.removesuffix(")").partition("(")
        return cls(name, tuple(a.strip() for a in arguments.split(",")))


def read_signature(
    function: Callable[..., Any],
) -> tuple[tuple[State, ...], dict[str, Hyperparameter], tuple[str, ...]]:
    """The states, the hyperparameters and the conventions with a formula of their own.

    Raises `TypeError` if the signature breaks the contract.
    """
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
    """The `Hyperparameter` declared by an annotated argument. Raises `TypeError` if range or default is missing."""
    if annotation is bool:
        return Hyperparameter(name, bool(default))
    marks = get_args(annotation)
    ranges = [m for m in marks if isinstance(m, Range)]
    sources = [m.source for m in marks if isinstance(m, Initially)]
    if not ranges or (default is inspect.Parameter.empty):
        raise TypeError(f"The hyperparameter {name!r} needs a default and an annotation such as Rate, Decay or Flag.")
    switch = any(isinstance(m, Switch) for m in marks)
    return Hyperparameter(name, default, ranges[0], switch, sources[0] if sources else None)


def own_spelling(name: str, hyperparameters: Mapping[str, Hyperparameter]) -> Spelling:
    """The default spelling: `sign_momentum` → `SignMomentum(…its hyperparameters…, weight_decay)`."""
    own = tuple(h.name for h in hyperparameters.values() if not h.initially)
    return Spelling("".join(part.title() for part in name.split("_")), (*own, "weight_decay"))


def numbered(arguments: Iterable[str], hyperparameters: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Plural arguments → the hyperparameters in them: `betas` → beta1, beta2, …"""
    families = {a: tuple(h for h in hyperparameters if h.rstrip("0123456789") + "s" == a) for a in arguments}
    return {argument: names for argument, names in families.items() if len(names) > 1}
