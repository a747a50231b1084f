"""Checks of the modifiers around a rule: each against the unmodified rule with the modifier's arithmetic by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from thalweg.recipes.options import ADDED, PROXIMAL
from thalweg.recipes.trace import trace
from thalweg.testing.settings import Case
from thalweg.testing.trajectories import EXECUTIONS, Run, advance, begin, problem

STEPS = 30
SHAPE = (6, 8)
ROUNDING = 1e-12
OFF: Mapping[str, float | bool] = {"weight_decay": 0.0, "decoupled_weight_decay": False, "maximize": False}


@dataclass
class ByHand:
    """A run of the unmodified rule, and the state tensors of a modifier, by name."""

    run: Run
    remembered: dict[str, Tensor] = field(default_factory=dict)

    def plain(self, g: Tensor) -> Tensor:
        """Takes a step of the unmodified rule and returns the update that it subtracted."""
        before = self.run.p.clone()
        advance(EXECUTIONS["reference"], [self.run], [g])
        return before - self.run.p


Hand = Callable[[ByHand, Tensor], None]


@dataclass(frozen=True)
class Modifier:
    """A modifier's options, and `hand`: one step of the unmodified rule with the modifier's arithmetic."""

    options: Mapping[str, float | bool]
    hand: Hand

    def __str__(self) -> str:
        return next(iter(self.options))


def _clipped_by_norm(twin: ByHand, g: Tensor) -> None:
    twin.plain(g * min(1.0, 0.5 / (float(g.square().sum()) ** 0.5 + 1e-6)))


def _centralized(twin: ByHand, g: Tensor) -> None:
    twin.plain(torch.stack([unit - unit.sum() / len(unit) for unit in g]))


def _adaptively_clipped(twin: ByHand, g: Tensor) -> None:
    of_g, of_p = ([float(unit.square().sum()) ** 0.5 for unit in x] for x in (g, twin.run.p))
    factors = [min(1.0, 0.05 * max(own, 1e-3) / size) for size, own in zip(of_g, of_p, strict=True)]
    twin.plain(g * g.new_tensor(factors)[:, None])


def _decayed_independently(twin: ByHand, g: Tensor) -> None:
    twin.run.p *= 1 - 0.02
    twin.plain(g)


def _clipped_update(twin: ByHand, g: Tensor) -> None:
    before, rate = twin.run.p.clone(), twin.run.structure.rule.rate
    limit = 0.5 * twin.run.values[rate] if rate else 0.5
    update = twin.plain(g)
    size = float(update.square().sum() / update.numel()) ** 0.5
    twin.run.p.copy_(before - (update * (limit / size) if size > limit else update))


def _cautious(twin: ByHand, g: Tensor) -> None:
    before = twin.run.p.clone()
    update = twin.plain(g)
    moves = (update.sign() == g.sign()) & (update != 0)
    twin.run.p.copy_(before - update * moves / max(float(moves.double().mean()), 1e-3))


def _lookahead(twin: ByHand, g: Tensor) -> None:
    slow = twin.remembered.setdefault("slow_weights", twin.run.p.clone())
    twin.plain(g)
    if twin.run.t % 5 == 0:
        slow += 0.5 * (twin.run.p - slow)
        twin.run.p.copy_(slow)


def _averaged(twin: ByHand, g: Tensor) -> None:
    average = twin.remembered.setdefault("ema_weights", twin.run.p.clone())
    twin.plain(g)
    average += 0.1 * (twin.run.p - average)


def _max_normed(twin: ByHand, g: Tensor) -> None:
    twin.plain(g)
    for unit in twin.run.p:
        size = float(unit.square().sum()) ** 0.5
        unit *= 1.5 / size if size > 1.5 else 1.0


def _scaled_between(least: float, most: float) -> Hand:
    def hand(twin: ByHand, g: Tensor) -> None:
        twin.plain(g)
        for unit in twin.run.p:
            size = float(unit.square().sum()) ** 0.5
            unit *= least / size if size < least else most / size if size > most else 1.0

    return hand


def _positive(twin: ByHand, g: Tensor) -> None:
    twin.plain(g)
    twin.run.p[twin.run.p < 0] = 0.0


def _penalized(twin: ByHand, g: Tensor) -> None:
    twin.plain(g + 0.02 * twin.run.p + 0.01 * twin.run.p.sign())


def _by_proximal_steps(twin: ByHand, g: Tensor) -> None:
    twin.plain(g)
    rate, p = twin.run.structure.rule.rate, twin.run.p
    size = twin.run.values[rate] if rate else 1.0
    p.copy_(p.sign() * (p.abs() - 0.02 * size).clamp(min=0) / (1 + 0.03 * size))


MODIFIERS: tuple[Modifier, ...] = (
    Modifier({"clip_tensor_norm": 0.5}, _clipped_by_norm),
    Modifier({"clip_global_norm": 0.5}, _clipped_by_norm),  # of a single parameter, whose norm is the global one
    Modifier({"centralize": True}, _centralized),
    Modifier({"clip_adaptive": 0.05}, _adaptively_clipped),
    Modifier({"independent_weight_decay": True, "weight_decay": 0.02}, _decayed_independently),
    Modifier({"clip_update": 0.5}, _clipped_update),
    Modifier({"cautious": True}, _cautious),
    Modifier({"lookahead_steps": 5}, _lookahead),
    Modifier({"ema_decay": 0.9}, _averaged),
    Modifier({"max_norm": 1.5}, _max_normed),
    Modifier({"min_norm": 0.8, "max_norm": 1.5}, _scaled_between(0.8, 1.5)),
    Modifier({"unit_norm": True}, _scaled_between(1.0, 1.0)),
    Modifier({"non_negative": True}, _positive),
    Modifier({"l2": 0.02, "l1": 0.01}, _penalized),
    Modifier({"proximal_l1": 0.02, "proximal_l2": 0.03}, _by_proximal_steps),
)
"""Each modifier by itself."""

EVERYTHING: Mapping[str, float | bool] = {
    **{name: value for modifier in MODIFIERS for name, value in modifier.options.items()},
    "clip_global_norm": 1.0,
    "clip_value": 0.2,
    "unit_norm": False,  # contradicts other limits of norms
}
"""The options of all modifiers at once."""


def everything(case: Case) -> Case:
    """The case with every modifier at once."""
    own = {"independent_weight_decay": False, "weight_decay": 0.02} if case.recipe.rule.owns_decay else {}
    off = dict.fromkeys(PROXIMAL, 0.0) if case.recipe.rule.evaluated is not None else {}
    return Case(case.recipe, {**case.values, **EVERYTHING, **own, **off}, f"{case.label}, modified")


def _can_have(case: Case, modifier: Modifier) -> bool:
    """Whether it is composed around the rule, and not part of its formula or refused."""
    rule, options = case.recipe.rule, modifier.options
    if "weight_decay" in options:
        return not rule.owns_decay
    own = any(name in rule.hyperparameters for name in ADDED if name in options)
    return not own and (rule.evaluated is None or not any(name in options for name in PROXIMAL))


def check_modifier(case: Case, modifier: Modifier) -> None:
    """In every execution, parameter and averages stay within 1e-12 of the modifier computed by hand."""
    if not _can_have(case, modifier):
        return
    task = problem(case.rate, shape=case.shape, seed=10, steps=STEPS)
    start, gradients = (torch.tensor(x).reshape(-1, *SHAPE) for x in (task.start, task.gradients))
    values = {**case.values, **OFF}
    for name, execution in EXECUTIONS.items():
        run = begin(case.recipe, {**values, **modifier.options}, start[0])
        twin = ByHand(begin(case.recipe, values, start[0]))
        for g in gradients:
            kept = g.clone()
            advance(execution, [run], [g])
            modifier.hand(twin, g)
            assert torch.equal(g, kept), f"{case}: {modifier} changes the gradient it is given ({name})."
        _assert_same(f"{case} with {modifier} ({name})", run, twin)


def _assert_same(what: str, run: Run, twin: ByHand) -> None:
    pairs = {"the parameter": (run.p, twin.run.p)}
    held = dict(zip(trace(run.structure).states, run.states, strict=True))
    pairs |= {name: (held[name], expected) for name, expected in twin.remembered.items()}
    for name, (actual, expected) in pairs.items():
        _assert_close(f"{what}: {name} is wrong.", actual, expected)


def _assert_close(message: str, actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=ROUNDING, atol=ROUNDING, msg=lambda m: f"{message} {m}")
