"""Watches the steps that a test takes: a parameter with a gradient moves, and its state changes.

Most tests of the drop-ins compare two optimizers that ought to do the same. Both could do nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import thalweg.optim

SMALLEST_RATE = 1e-7
Place = tuple[int, int]
"""(param group, position in it)."""


@dataclass
class Steps:
    """The steps of one parameter."""

    taken: int = 0  # with a gradient and a learning rate that are not 0
    moved: bool = False
    has_state: bool = False
    counted: bool = False  # whether its state changed

    @property
    def settled(self) -> bool:
        """Whether there is nothing to complain of any more."""
        return self.moved and (self.counted or not self.has_state)


@dataclass
class Movement:
    """The steps of every optimizer of one test."""

    optimizers: list[tuple[str, dict[Place, Steps]]] = field(default_factory=list)
    _of: WeakKeyDictionary[Any, dict[Place, Steps]] = field(default_factory=WeakKeyDictionary)
    _before: "dict[Place, _Before]" = field(default_factory=dict)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notes what the steps of Thalweg's optimizers do meanwhile, but for those that a torch mode traces."""
        before = register_optimizer_step_pre_hook(lambda optimizer, *_: self._begin(optimizer))
        after = register_optimizer_step_post_hook(lambda optimizer, *_: self._end(optimizer))
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _begin(self, optimizer: Any) -> None:
        if isinstance(optimizer, thalweg.optim.Optimizer) and not _is_traced():
            noted = self._of.get(optimizer, {})
            left = [(at, p) for at, p in _steppable(optimizer) if at not in noted or not noted[at].settled]
            self._before = {at: _Before(p, optimizer.state.get(p, {})) for at, p in left}

    def _end(self, optimizer: Any) -> None:
        if not isinstance(optimizer, thalweg.optim.Optimizer) or _is_traced():
            return
        if optimizer not in self._of:
            self._of[optimizer] = {}
            self.optimizers.append((type(optimizer).__name__, self._of[optimizer]))
        for place, p in _steppable(optimizer):
            was = self._before.get(place)
            if was is None or not (was.pushed or _pushes(p.grad)):
                continue
            state = optimizer.state.get(p, {})
            steps = self._of[optimizer].setdefault(place, Steps())
            steps.taken += 1
            steps.moved |= not _same(p, was.parameter)
            steps.has_state |= any(isinstance(value, Tensor) for name, value in state.items() if name != "step")
            steps.counted |= was.differs_from(state)

    def complaints(self) -> list[str]:
        """A sentence for each parameter that stayed, or whose state did. A first step may only look, as ADOPT's."""
        found = []
        for name, parameters in self.optimizers:
            for place, steps in parameters.items():
                of = f"{name}, parameter {place}, {steps.taken} steps"
                if not (steps.moved or (steps.taken == 1 and steps.counted)):
                    found.append(f"{of}: it never moved")
                if steps.has_state and not steps.counted:
                    found.append(f"{of}: its state never changed")
        return found


class _Before:
    """A parameter and its state before a step, and whether it has a gradient yet: a closure may make it."""

    def __init__(self, p: Tensor, state: dict[str, Any]) -> None:
        self.pushed = _pushes(p.grad)
        self.parameter = p.detach().clone()
        self.state = {name: value.detach().clone() for name, value in state.items() if isinstance(value, Tensor)}

    def differs_from(self, state: dict[str, Any]) -> bool:
        after = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        if any(name in self.state and not _same(value, self.state[name]) for name, value in after.items()):
            return True
        fresh = {name: value for name, value in after.items() if name not in self.state}
        return any(bool(value.any()) for name, value in fresh.items() if name == "step" or "step" not in fresh)


def _is_traced() -> bool:
    functions = torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
    return functions or torch._C._len_torch_dispatch_stack() > 0


def _steppable(optimizer: Any) -> list[tuple[Place, Tensor]]:
    """The parameters with memory and a learning rate that is not 0."""
    if bool(optimizer.__dict__.get("found_inf", False)):  # a `GradScaler` skips this step
        return []
    return [
        ((i, j), p)
        for i, group in enumerate(optimizer.param_groups)
        for j, p in enumerate(group["params"])
        if not p.is_meta and type(p) in (Tensor, torch.nn.Parameter) and _moves(optimizer, group)
    ]


def _pushes(gradient: Tensor | None) -> bool:
    if gradient is None or gradient.is_meta or type(gradient) is not Tensor:
        return False
    values = gradient.detach().coalesce().values() if gradient.is_sparse else gradient.detach()
    return bool((values.isfinite() & (values != 0)).any())


def _moves(optimizer: Any, group: dict[str, Any]) -> bool:
    """Whether there is a learning rate that float32 does not round away; an invalid one is for the step to refuse."""
    name = optimizer.recipe.rate
    try:
        rate = group[name] if name else 1.0
        return abs(float(rate.detach() if isinstance(rate, Tensor) else rate)) > SMALLEST_RATE
    except (KeyError, TypeError, ValueError):
        return False


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.detach(), b)
