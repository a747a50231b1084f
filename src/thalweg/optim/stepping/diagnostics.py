"""Silent failures: each is reported once, by a warning of its own class that `warnings` can filter."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from thalweg.execution.data_pointers import PLAIN, has_memory
from thalweg.execution.driver import carry_out
from thalweg.execution.elements import Elements
from thalweg.execution.storage.rounding import LOW
from thalweg.optim.interop.signature import class_name, hyperparameters
from thalweg.optim.stepping.traceable import TensorRow, structure_of
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import ADDED, OPTIONS
from thalweg.recipes.trace import trace

DECOUPLED = "decoupled_weight_decay=True"

Groups = Sequence[Mapping[str, Any]]

SAMPLE = 1024  # elements of a parameter to inspect, at most
PARAMETERS = 16  # parameters of a group to inspect, at most
LOOKED_AT = 2  # the step to inspect: the first may move nothing, and an average of one gradient says little
MOST = 0.5  # the share of elements above which to warn


class OptimizerWarning(UserWarning):
    """Base class of the optimizers' warnings."""


class LostUpdates(OptimizerWarning):
    """Most elements with a gradient did not move: their steps are below the resolution of their dtype."""


class EpsilonDominates(OptimizerWarning):
    """ε, and not the gradients, determines the step size of most elements."""


class ZeroLearningRate(OptimizerWarning):
    """The first step has a learning rate of 0, so that nothing moves."""


class CoupledDecay(OptimizerWarning):
    """weight_decay is added to the gradient, which an adaptive optimizer divides by the gradient's own size."""


class SlowStep(OptimizerWarning):
    """Steps take the general path instead of a compiled pass prepared at an earlier step."""


_told: set[tuple[str, type[OptimizerWarning]]] = set()


def tell(owner: str, kind: type[OptimizerWarning], sentence: str) -> None:
    """Warns, once per process for each optimizer and kind."""
    if (owner, kind) not in _told:
        _told.add((owner, kind))
        warnings.warn(f"{owner}: {sentence}", kind, stacklevel=_depth())


def _depth() -> int:
    """The stack level of the first frame outside of Thalweg and torch."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in ("thalweg", "torch", "contextlib"):
        frame, depth = frame.f_back, depth + 1
    return depth


def tell_coupled_decay(recipe: Recipe, group: Mapping[str, Any]) -> None:
    """Warns where an adaptive optimizer gets L2 weight decay, or another penalty, by its gradient."""
    values = hyperparameters(recipe, group)
    beside = values.get("decoupled_weight_decay") or values.get("independent_weight_decay")
    own = () if beside or recipe.rule.owns_decay else ("weight_decay",)
    names = (*own, *(name for name in ADDED if name not in recipe.rule.hyperparameters))
    name = next((n for n in names if not isinstance(values.get(n), Tensor) and values.get(n)), None)
    if name == "l1" and recipe.rule.scale_free:
        tell(
            class_name(recipe), CoupledDecay,
            "l1 is added to the gradient, whose size this optimizer divides out again: what has large gradients shrinks"
            " least, and nothing becomes 0. proximal_l1 shrinks all alike, and to 0.",
        )  # fmt: skip
    elif name is not None and recipe.rule.scale_free:
        better = DECOUPLED if name == "weight_decay" else f"weight_decay with {DECOUPLED}" if own else "weight_decay"
        tell(
            class_name(recipe), CoupledDecay,
            f"{name} is added to the gradient, whose size this optimizer divides out again: what has large"
            f" gradients decays least. {better} (AdamW) shrinks all alike.",
        )  # fmt: skip


class SilentFailures:
    """Inspects the first two steps of an optimizer."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._owner, self._steps = recipe, class_name(recipe), 0
        self._meant: list[tuple[Tensor, Tensor, Tensor]] = []

    @property
    def done(self) -> bool:
        """Whether both steps have been inspected."""
        return self._steps >= LOOKED_AT

    def before(self, groups: Groups, values_of: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]) -> None:
        """Inspects gradients and state before a step. values_of: each group's hyperparameters as plain numbers."""
        self._steps += 1
        if self._steps == 1:
            self._tell_zero_rate(groups, values_of)
        if self._steps == LOOKED_AT:
            for group, values in zip(groups, values_of, strict=True):
                for p, g in _watched(group) if _in_numbers(values, group) else ():
                    if _may_lose(p, group) and self._known(values, states.get(p, {})):
                        meant = self._update(p, g, states.get(p, {}), values) != 0
                        self._meant.append((p, _sampled(p).clone(), meant))

    def after(self, groups: Groups, values_of: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]) -> None:
        """Inspects what moved, after the step."""
        if self._steps == LOOKED_AT:
            self._tell_lost()
            self._meant = []
            for group, values in zip(groups, values_of, strict=True):
                self._tell_epsilon(group, values, states)

    def _tell_zero_rate(self, groups: Groups, values_of: Sequence[Mapping[str, Any]]) -> None:
        rates = [
            values[self._recipe.rate] if self._recipe.rate else 1.0
            for group, values in zip(groups, values_of, strict=True)
            if any(_sampled(g).any() for _, g in _watched(group))
        ]
        if rates and not any(rates):
            tell(
                self._owner, ZeroLearningRate,
                "the learning rate of the first step is 0, so nothing moves; a schedule that warms up from 0 loses that"
                " step.",
            )  # fmt: skip

    def _tell_lost(self) -> None:
        meant = sum(int(which.sum()) for _, _, which in self._meant)
        rested = sum(int(((_sampled(p) == old) & which).sum()) for p, old, which in self._meant)
        if rested > MOST * meant:
            tell(
                self._owner, LostUpdates,
                f"{rested / meant:.0%} of the elements looked at did not move, though their steps are not 0: they are"
                " smaller than their rounding. rounding='stochastic' or 'compensated' keeps them in bfloat16, float16.",
            )  # fmt: skip

    def _tell_epsilon(self, group: Mapping[str, Any], values: Mapping[str, Any], states: Mapping[Any, Any]) -> None:
        """Warns where half of ε makes steps over 1.5 times as long: the next step, or a first one."""
        if not values.get("eps") or not _in_numbers(values, group):
            return
        own = [name for name in ADDED if name in self._recipe.rule.hyperparameters]
        plain = {**values, **{name: option.default for name, option in OPTIONS.items() if name not in own}}
        longer = total = 0
        for p, g in _watched(group):
            if not self._known(values, states.get(p, {})):
                continue
            meant = _sampled(g) != 0
            dominated = self._dominated(p, g, states.get(p, {}), plain) | self._dominated(p, g, {}, plain)
            longer, total = longer + int(dominated[meant].sum()), total + int(meant.sum())
        if longer > MOST * total:
            tell(
                self._owner, EpsilonDominates,
                f"eps={values['eps']:g} is larger than what it is added to for {longer / total:.0%} of the elements"
                " looked at: it sets the size of their steps. A smaller eps, or a loss in larger units, would not.",
            )  # fmt: skip

    def _known(self, values: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
        """Whether the state has all that a step with these values needs."""
        program = trace(structure_of(self._recipe, values))
        if program.transients:
            return False  # a few elements of a matrix say nothing
        return all(name in state for name in (*program.states, *program.row_states))

    def _dominated(self, p: Tensor, g: Tensor, state: Mapping[str, Any], values: Mapping[str, Any]) -> Tensor:
        whole, half = (self._update(p, g, state, {**values, "eps": values["eps"] / share}) for share in (1, 2))
        return half.abs() > 1.5 * whole.abs()

    def _update(self, p: Tensor, g: Tensor, state: Mapping[str, Any], values: Mapping[str, Any]) -> Tensor:
        """The step of the inspected elements with that state, or a first step where it is empty."""
        structure = structure_of(self._recipe, values)
        program, old = trace(structure), _sampled(p).double()  # float64: nothing is lost here
        first = {s.name: torch.as_tensor(s.first(values, old)) for s in structure.states}
        held = {name: _sampled(state[name]).double() if state else first[name] for name in program.states}
        row_states = {name: state.get(name, first[name]) for name in program.row_states}
        t = torch.as_tensor(float(LOOKED_AT) if state else 1.0).double()
        row = TensorRow(structure, Elements(_sampled(g).double(), old, tuple(held.values())), values, t, row_states)
        carry_out(program, row, row.values)
        return old - row.p


def _watched(group: Mapping[str, Any]) -> list[tuple[Tensor, Tensor]]:
    """A sample of the parameters, with their gradients, whose elements can be read as they are."""
    found = [(p, p.grad) for p in group["params"] if p.grad is not None and _plain(p) and _plain(p.grad)]
    return found[:: 1 + len(found) // PARAMETERS]


def _plain(x: Tensor) -> bool:
    usual = type(x) in PLAIN and x.layout == torch.strided and x.is_floating_point() and x.numel() > 0
    return usual and has_memory(x)


def _in_numbers(values: Mapping[str, Any], group: Mapping[str, Any]) -> bool:
    """Whether a step can be repeated on a few elements: no quantized states, no lookahead."""
    return group.get("state_dtype") != "8bit" and not values.get("lookahead_steps")


def _may_lose(p: Tensor, group: Mapping[str, Any]) -> bool:
    """Whether rounding errors of its steps are lost: in float32 and wider, or with rounding to the nearest."""
    return p.dtype not in LOW or group.get("rounding") == "nearest"


def _sampled(x: Tensor) -> Tensor:
    """The first elements, in the order of the tensor's dimensions, whatever its strides."""
    rows = 1 + SAMPLE // max(1, x[0].numel()) if x.ndim else 1
    return x.detach()[:rows].reshape(-1)[:SAMPLE] if x.ndim else x.detach().reshape(1)
