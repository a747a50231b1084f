"""Optimizers of torch, other libraries and users: classes of `torch.optim.Optimizer`, and functions that make one."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from thalweg.errors import InputError, first_line, shown
from thalweg.options.ranges import as_number
from thalweg.rules.contract import Preset
from thalweg.rules.hyperparameters import unknown

RATE = "lr"
DECADES = 2  # searched to either side of a class's default learning rate
USUAL = 1e-2  # the middle of the search if a class has no default, or none to search around
LEAST = 1e-30  # the smallest default to search around; the largest is its reciprocal
STAND_INS = ((1,), (64, 64), (16, 16, 3, 3))  # parameter shapes that a class is tried on before there is a model


@dataclass(frozen=True)
class Imported:
    """An optimizer class, named as `package.module:Class`, or given. Its runs train in the plain loop.

    clip_global_norm: the largest norm of all gradients that its steps are given; 0 for any. given: the class, or a
    function of the parameters and hyperparameters that returns an optimizer, where no path leads to it.
    """

    path: str
    clip_global_norm: float = 0.0
    given: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        _ = self._parameters

    @property
    def name(self) -> str:
        return self.path

    @cached_property
    def optimizer(self) -> Callable[..., torch.optim.Optimizer]:
        """The class or function. Raises `InputError` if the path names none, or one that is no optimizer."""
        if self.given is not None:
            return self.given
        module, _, name = self.path.partition(":")
        try:
            found = getattr(importlib.import_module(module), name, None)
        except (Exception, SystemExit) as error:  # whatever importing a third-party module raises
            raise InputError(
                f"Cannot import {shown(module)} for the optimizer {shown(self.path)}: {first_line(error)}."
            ) from None
        if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
            if isinstance(found, Preset):
                raise InputError(f"{shown(self.path)} is a rule: pass it itself, compare(…, optimizers=[{name}]).")
            kind = "no such name" if found is None else f"a {type(found).__name__} that is no torch.optim.Optimizer"
            raise InputError(f"{shown(self.path)} must name an optimizer class as package.module:Class; found {kind}.")
        return found

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        optimizer = self.optimizer
        try:
            of_init = list(inspect.signature(optimizer).parameters.values())[1:]  # without params
        except (TypeError, ValueError):  # a builtin, or an object that hides it
            raise InputError(
                f"{self.path} says nothing of its arguments: give a class, or a function with some."
            ) from None
        named = (p for p in of_init if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        return {p.name: p for p in named}

    @property
    def rate(self) -> str | None:
        return RATE if RATE in self._parameters else None

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """Arguments with their defaults; a learning rate without one is left out."""
        return {n: p.default for n, p in self._parameters.items() if p.default is not p.empty}

    @property
    def rates(self) -> tuple[float, float]:
        """The learning rates worth searching: four decades around the default."""
        default = as_number(self.defaults.get(RATE))
        middle = default if default is not None and LEAST <= default <= 1 / LEAST else USUAL
        return middle / 10**DECADES, middle * 10**DECADES

    def clipped(self, limit: float) -> "Imported":
        """The same class, given gradients of a joint norm of at most `limit`."""
        return replace(self, clip_global_norm=limit)

    def limit_of(self, values: Mapping[str, Any]) -> float:
        """The largest norm of the gradients that a run is given; 0 where its own values say, as of our own classes."""
        return 0.0 if "clip_global_norm" in values else self.clip_global_norm

    def resolve(self, given: Mapping[str, Any], owner: str | None = None) -> dict[str, Any]:
        """The class's arguments. Raises `InputError` if one is unknown, or they fit no parameter of `STAND_INS`."""
        for name in given:
            if name not in self._parameters:
                raise unknown(owner or self.path, name, self._parameters)
        refusals = []
        for shape in STAND_INS:  # some classes look at their parameters: Muon takes matrices only
            try:
                self.of([torch.nn.Parameter(torch.zeros(shape))], given, owner or self.path)
                return dict(given)
            except InputError as refusal:
                refusals.append(refusal)
        raise refusals[-1]

    def of(self, parameters: Sequence[Any], given: Mapping[str, Any], owner: str) -> torch.optim.Optimizer:
        """The optimizer of parameters, or of param groups. Raises `InputError` if the class rejects something."""
        try:
            made = self.optimizer(list(parameters), **given)
        except (Exception, SystemExit) as error:  # whatever a third-party constructor raises
            refused = f"does not take {_written(given)}" if given else "cannot be made"
            raise InputError(f"{owner} {refused}: {first_line(error)}") from None
        if not isinstance(made, torch.optim.Optimizer):
            raise InputError(f"{owner} must make a torch.optim.Optimizer of the parameters, got {shown(made)}.")
        return made

    @cached_property
    def needs_closure(self) -> bool:
        """Whether its step evaluates the batch itself, as L-BFGS's does."""
        kind: Any = self.optimizer
        if not isinstance(kind, type):
            rate = {} if self.rate is None or RATE in self.defaults else {RATE: USUAL}
            kind = type(self.of([torch.nn.Parameter(torch.zeros(STAND_INS[1]))], rate, self.path))
        given = list(inspect.signature(kind.step).parameters.values())[1:]
        return any(p.name == "closure" and p.default is p.empty for p in given)


def imported(given: Callable[..., Any]) -> Imported:
    """A class or a function that makes optimizers, by its path where one leads to it.

    Raises `InputError` for a class of something else.
    """
    if isinstance(given, type) and not issubclass(given, torch.optim.Optimizer):
        raise InputError(f"An optimizer's class must be a torch.optim.Optimizer, got {shown(given)}.")
    name = getattr(given, "__qualname__", type(given).__qualname__)
    for module in ("torch.optim", getattr(given, "__module__", "")):
        if getattr(sys.modules.get(module), name, None) is given and isinstance(given, type):
            return Imported(f"{module}:{name}")
    return Imported(name.replace("<lambda>", "optimizer").rpartition(".")[2], given=given)


def _written(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={shown(value)}" for name, value in given.items())
