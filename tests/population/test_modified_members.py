"""Modifiers in a population: each member as the drop-in in the plain loop, on every way of execution, and resumed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_checkpoints import assert_same, outcomes, planned, stopped
from torch import nn
from weights_by_hand import weights_by_hand

import thalweg.optim
from problems import EVERYTHING, refused, tiny, train_all
from scope import THOROUGH, conformance_only, in_turns
from thalweg.execution import dispatch
from thalweg.population.program.matmul_passes import Product
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Member
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.recipes.catalogue import recipe

SETTINGS: list[dict[str, Any]] = [
    {"clip_tensor_norm": 0.1},
    {"clip_global_norm": 0.1},
    {"centralize": True},
    {"clip_adaptive": 0.05},
    {"weight_decay": 0.01, "independent_weight_decay": True},
    {"cautious": True},
    {"lookahead_steps": 5},
    {"ema_decay": 0.9},
    {"max_norm": 0.7},
]
CLASSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "momentum": (thalweg.optim.SGD, {"momentum": 0.9}),
    "nadam": (thalweg.optim.NAdam, {}),
    "lars": (thalweg.optim.LARS, {}),
    "lamb": (thalweg.optim.LAMB, {}),
}


def tried() -> Iterator[tuple[str, dict[str, Any]]]:
    """Optimizers with what they take, the decay of some being in their formula; everything at once with each."""
    for name, setting in [*in_turns(CLASSES, SETTINGS), *((name, EVERYTHING) for name in CLASSES)]:
        if not (recipe(name).rule.owns_decay and "independent_weight_decay" in setting):
            yield name, setting


def members(seeds: int = 2) -> list[Member]:
    return [
        Member(recipe(name), recipe(name).resolve({"lr": 0.01, **setting}), seed)
        for name, setting in tried()
        for seed in range(seeds)
    ]


def by_hand(workload: Any, name: str, setting: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Final weights with the drop-in."""
    cls, own = CLASSES[name]
    return weights_by_hand(workload, lambda model: cls(model.parameters(), lr=0.01, **own, **setting), seed)


def test_every_member_equals_the_drop_in() -> None:
    """In a population with two seeds of each, and in the loop."""
    workload, chosen = tiny(torch.float64, epochs=2), members()
    together = train_all(workload, chosen, execution="population", keep_weights=True)
    alone = train_all(workload, chosen[::2], execution="loop", keep_weights=True)
    each = [(name, setting, seed) for name, setting in tried() for seed in range(2)]
    for i, (name, setting, seed) in enumerate(each):
        for weight, expected in by_hand(workload, name, setting, seed).items():
            for outcome in (together[i], *([] if seed else [alone[i // 2]])):
                torch.testing.assert_close(
                    outcome.weights[weight], expected, rtol=1e-9, atol=1e-9, msg=lambda m, s=setting: f"{s}: {m}"
                )


def test_other_devices_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    workload, chosen = tiny(torch.float64, epochs=1), members()
    fast = train_all(workload, chosen, execution="population", keep_weights=True)
    monkeypatch.setattr(dispatch, "obstacle", refused)
    slow = train_all(workload, chosen, execution="population", keep_weights=True)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a.weights, b.weights, rtol=1e-10, atol=1e-10)


@conformance_only
def test_large_gradients_are_made_whole() -> None:
    """Those that are otherwise made piece by piece, where they are used."""
    workload = tiny(torch.float64, epochs=1, model=lambda: nn.Sequential(
        nn.Linear(6, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 3)).double())  # fmt: skip
    chosen = members(seeds=1)
    together = train_all(workload, chosen, execution="population", keep_weights=True)
    alone = train_all(workload, chosen, execution="loop", keep_weights=True)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.weights, b.weights, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "execution"),
    [*((name, "population") for name in CLASSES), *((name, "loop") for name in CLASSES if THOROUGH or name == "nadam")],
)
def test_goes_on_bit_for_bit(name: str, execution: Any, tmp_path: Path) -> None:
    planned_job = planned(tiny(epochs=2), execution)
    chosen = [
        Member(recipe(name), recipe(name).resolve({"lr": lr, **EVERYTHING}), seed)
        for lr in (1e-3, 1e-2)
        for seed in (0, 1)
    ][: 4 if execution == "population" else 1]
    stopped(planned_job, chosen, tmp_path, 30)
    assert_same(outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path)), outcomes(planned_job, chosen))


def test_averages_are_what_is_evaluated() -> None:
    workload = tiny(torch.float64, epochs=1)
    adam = recipe("adam")
    chosen = [Member(adam, adam.resolve({"lr": 1e-2, **s}), 0) for s in ({"ema_decay": 0.99}, {})]
    averaged, plain = train_all(workload, chosen, execution="population", test=True, keep_weights=True)
    model = workload.model()
    model.load_state_dict(averaged.weights)
    accuracy = (model(workload.test.inputs[0]).argmax(1) == workload.test.targets).double().mean().item()
    assert averaged.test_metric == pytest.approx(accuracy, abs=1e-12)
    assert averaged.curve[0].train_loss == plain.curve[0].train_loss  # they feed nothing back
    assert averaged.curve[0].validation_loss != plain.curve[0].validation_loss


def test_diverged_members_leave_the_others_as_they_were() -> None:
    workload = tiny(torch.float64, epochs=2)
    adam = recipe("sgd")
    rates = (0.01, 1e300, 1e300, 0.02)
    options = {**EVERYTHING, "clip_adaptive": 0.0, "clip_global_norm": 0.0, "clip_tensor_norm": 0.0, "clip_value": 0.0}
    chosen = [Member(adam, adam.resolve({"lr": lr, **options}), 0) for lr in rates]
    trained = train_all(workload, chosen, execution="population", keep_weights=True)
    assert [outcome.diverged_at is None for outcome in trained] == [True, False, False, True]
    alone = train_all(workload, [chosen[3]], execution="population", keep_weights=True)[0]
    torch.testing.assert_close(trained[3].weights, alone.weights, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("by_pass", [True, False])
@pytest.mark.parametrize("deferred", [True, False])
def test_a_constrained_parameter_is_rounded_once(
    dtype: torch.dtype, by_pass: bool, deferred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off the exact step by half a unit in the last place, and by float32's roundings: fewer than 16."""
    if not by_pass:
        monkeypatch.setattr(dispatch, "obstacle", refused)
    sgd, generator = recipe("sgd"), torch.Generator().manual_seed(0)
    rates = torch.tensor([0.05, 0.1, 0.2], dtype=torch.float64).view(-1, 1, 1)
    values = [{"lr": lr, "max_norm": 5.0, "lookahead_steps": 1} for lr in rates.flatten().tolist()]
    p = {
        "w": torch.randn(3, 20, 30, generator=generator).to(dtype),
        "b": torch.randn(3, 7, generator=generator).to(dtype),
    }
    updates = PopulationUpdates([Member(sgd, sgd.resolve(v), 0) for v in values], p)
    updates.plan(1, 4)
    for step in range(1, 5):
        left, right = (torch.randn(3, *s, generator=generator).to(dtype) for s in ((20, 2), (2, 30)))
        product, before = Product(left, right), p["w"].double()
        gradient = product.like(p["w"])
        slow = before if step == 1 else updates.groups[0].states["slow_weights"]["w"].double()
        rests = p["w"][1].clone()
        g = {"w": product if deferred else gradient, "b": torch.ones(3, 7, dtype=dtype)}
        updates.step(step, g, np.array([True, step > 1, True]))
        exact = before - rates * gradient.double()
        exact = slow + 0.5 * (exact * (5.0 / exact.norm(dim=2, keepdim=True)).clamp(max=1) - slow)
        unit = torch.ldexp(torch.full_like(exact, torch.finfo(dtype).eps), torch.frexp(exact).exponent.clamp(-13) - 1)
        off = (p["w"].double() - exact).abs() - 16 * 2**-24 * (before.abs() + gradient.double().abs())
        assert (off <= 0.5 * unit)[[0, 2]].all()
        assert (off <= 0.5 * unit)[1].all() if step > 1 else torch.equal(p["w"][1], rests)
