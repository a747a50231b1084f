"""Optimizers of torch and other libraries by import path: any subclass of `torch.optim.Optimizer`."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from thalweg.errors import InputError, first_line, shown
from thalweg.options.ranges import as_number
from thalweg.rules.hyperparameters import unknown

RATE = "lr"
DECADES = 2  # searched to either side of a class's default learning rate
USUAL = 1e-2  # the middle of the search if a class has no default, or none to search around
LEAST = 1e-30  # the smallest default to search around; the largest is its reciprocal
STAND_INS = ((1,), (64, 64), (16, 16, 3, 3))  # parameter shapes that a class is tried on before there is a model


@dataclass(frozen=True)
class Imported:
    """An optimizer class, named as `package.module:Class`. Its runs train in the plain loop.

    clip_global_norm: the largest norm of all gradients that its steps are given; 0 for any.
    """

    path: str
    clip_global_norm: float = 0.0

    def __post_init__(self) -> None:
        _ = self._parameters

    @property
    def name(self) -> str:
        return self.path

    @cached_property
    def optimizer(self) -> type[torch.optim.Optimizer]:
        """The class. Raises `InputError` if the path names none, or one that is no optimizer."""
        module, _, name = self.path.partition(":")
        try:
            found = getattr(importlib.import_module(module), name, None)
        except (Exception, SystemExit) as error:  # whatever importing a third-party module raises
            raise InputError(
                f"Cannot import {shown(module)} for the optimizer {shown(self.path)}: {first_line(error)}."
            ) from None
        if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
            kind = "no such name" if found is None else f"a {type(found).__name__} that is no torch.optim.Optimizer"
            raise InputError(f"{shown(self.path)} must name an optimizer class as package.module:Class; found {kind}.")
        return found

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        of_init = list(inspect.signature(self.optimizer).parameters.values())[1:]  # without params
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
            return self.optimizer(list(parameters), **given)
        except (Exception, SystemExit) as error:  # whatever a third-party constructor raises
            refused = f"does not take {_written(given)}" if given else "cannot be made"
            raise InputError(f"{owner} {refused}: {first_line(error)}") from None

    @cached_property
    def needs_closure(self) -> bool:
        """Whether its step evaluates the batch itself, as L-BFGS's does."""
        given = list(inspect.signature(self.optimizer.step).parameters.values())[1:]
        return any(p.name == "closure" and p.default is p.empty for p in given)


def _written(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={shown(value)}" for name, value in given.items())
