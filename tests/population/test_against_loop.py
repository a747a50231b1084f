"""A member of a population equals the plain PyTorch loop that a user would write by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from problems import finished, tiny, train_all
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

CASES: list[tuple[str, dict[str, Any], Callable[[Any], torch.optim.Optimizer]]] = [
    ("sgd", {"lr": 0.1}, lambda ps: torch.optim.SGD(ps, lr=0.1)),
    ("nesterov", {"lr": 0.05}, lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, nesterov=True)),
    ("adam", {"lr": 1e-3}, lambda ps: torch.optim.Adam(ps, lr=1e-3)),
    ("adamw", {"lr": 1e-3}, lambda ps: torch.optim.AdamW(ps, lr=1e-3)),
    ("nadam", {"lr": 1e-3}, lambda ps: torch.optim.NAdam(ps, lr=1e-3)),
    ("adagrad", {"lr": 0.02, "initial_accumulator_value": 0.1},
     lambda ps: torch.optim.Adagrad(ps, lr=0.02, initial_accumulator_value=0.1)),
    ("rprop", {"lr": 1e-4, "step_sizes": (1e-6, 1e-3)},
     lambda ps: torch.optim.Rprop(ps, lr=1e-4, step_sizes=(1e-6, 1e-3))),
    ("asgd", {"lr": 0.1, "lambd": 1e-2}, lambda ps: torch.optim.ASGD(ps, lr=0.1, lambd=1e-2)),
]  # fmt: skip


def by_hand(
    workload: Workload, make: Callable[[Any], torch.optim.Optimizer], seed: int, steps: int | None = None
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """(every epoch's training loss, final weights), with nothing of Thalweg but the data."""
    torch.manual_seed(seed)
    model = workload.model()
    optimizer = make(model.parameters())
    order = torch.Generator().manual_seed(seed)
    (x,), y = workload.train.inputs, workload.train.targets
    curve, done = [], 0
    for _ in range(workload.epochs):
        total = 0.0
        for index in torch.randperm(len(y), generator=order).split(workload.batch_size):
            if steps is not None and done == steps:
                return curve, dict(model.state_dict())
            optimizer.zero_grad()
            loss = workload.loss(model(x[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
            done += 1
        curve.append(total / len(y))
    return curve, dict(model.state_dict())


def test_every_member_equals_its_loop_in_float64() -> None:
    workload = replace(tiny(torch.float64), epochs=8)
    members = [Member(recipe(n), recipe(n).resolve(given), seed) for n, given, _ in CASES for seed in (3, 4)]
    trained = train_all(workload, members, execution="population", keep_weights=True)
    for member, outcome in zip(members, trained, strict=True):
        make = next(make for name, _, make in CASES if name == member.recipe.name)
        curve, weights = by_hand(workload, make, member.seed)
        ours = [epoch.train_loss for epoch in outcome.curve]
        # torch keeps NAdam's running product in float32 as we do; loaded differences stay below 1e-9 for all
        assert ours == pytest.approx(curve, rel=1e-9), member.recipe.name
        for name, expected in weights.items():
            torch.testing.assert_close(outcome.weights[name], expected, rtol=1e-9, atol=1e-9, msg=member.recipe.name)


@pytest.mark.parametrize(("name", "given", "make"), CASES)
def test_first_steps_equal_the_loop_in_float32(name: str, given: dict[str, Any], make: Any) -> None:
    """20 steps (beyond, float32 runs part by chaos), no further from float64 than twice the loop's own distance."""
    steps = 20
    x, y = tiny().train.inputs[0][: 16 * steps], tiny().train.targets[: 16 * steps]
    single = replace(tiny(), epochs=1, train=(x, y))
    double = replace(single, model=lambda: single.model().double(), train=(x.double(), y))
    members = [Member(recipe(name), recipe(name).resolve(given), 5)] * 9
    ours = train_all(single, members, execution="population", keep_weights=True)[0].weights
    (_, theirs), (_, exact) = by_hand(single, make, 5), by_hand(double, make, 5)

    def distance(weights: dict[str, torch.Tensor]) -> float:
        return sum(float((weights[n].double() - w).square().sum()) for n, w in exact.items()) ** 0.5

    assert 0 < distance(ours) <= 2 * distance(theirs)


def test_loop_fallback_equals_the_loop() -> None:
    workload = replace(tiny(torch.float64), epochs=3)
    members = [Member(recipe(n), recipe(n).resolve(given), 1) for n, given, _ in CASES]
    for member, outcome in zip(members, train_all(workload, members, execution="loop", keep_weights=True), strict=True):
        make = next(make for name, _, make in CASES if name == member.recipe.name)
        curve, weights = by_hand(workload, make, 1)
        assert [e.train_loss for e in outcome.curve] == pytest.approx(curve, rel=1e-12)
        for name, expected in weights.items():
            torch.testing.assert_close(outcome.weights[name], expected, rtol=1e-12, atol=1e-12)


def test_who_else_is_trained_does_not_matter() -> None:
    workload = tiny(torch.float64)
    adam = recipe("adam")
    alone = Member(adam, adam.resolve({"lr": 1e-3}), 0)
    company = [Member(recipe(n), recipe(n).resolve({}), s) for n in ("sgd", "rmsprop", "adabound") for s in (0, 1)]
    a = train_all(workload, [alone], execution="population")[0]
    b = train_all(workload, [*company, alone], execution="population")[-1]
    assert [e.train_loss for e in a.curve] == pytest.approx([e.train_loss for e in b.curve], rel=1e-10)


def test_validation_and_test_metrics_are_those_of_the_final_weights() -> None:
    workload = tiny(torch.float64)
    adam = recipe("adam")
    outcome = train_all(
        workload, [Member(adam, adam.resolve({"lr": 1e-2}), 0)], execution="population", test=True, keep_weights=True
    )[0]
    model = workload.model()
    model.load_state_dict(outcome.weights)
    model.eval()
    for split, got in (
        (workload.validation, outcome.curve[-1].validation_metric),
        (workload.test, outcome.test_metric),
        (workload.train, outcome.train_metric),
    ):
        accuracy = (model(split.inputs[0]).argmax(1) == split.targets).double().mean().item()
        assert got == pytest.approx(accuracy, abs=1e-12)


def test_a_mean_of_unequal_batches_is_weighted_by_samples() -> None:
    """The short last batch counts by its samples; learning rate 0 makes the mean exact."""
    workload = replace(tiny(torch.float64), epochs=1)
    sgd = recipe("sgd")
    outcome = train_all(workload, [Member(sgd, sgd.resolve({"lr": 0.0}), 0)], execution="population")[0]
    torch.manual_seed(0)
    model = workload.model()
    whole = nn.functional.cross_entropy(model(workload.train.inputs[0]), workload.train.targets).item()
    assert len(workload.train) % workload.batch_size != 0
    assert outcome.curve[0].train_loss == pytest.approx(whole, rel=1e-12)


def test_progress_counts_every_run_and_epoch() -> None:
    workload = tiny(torch.float32)
    sgd = recipe("sgd")
    members = [Member(sgd, sgd.resolve({"lr": 0.01 * (i + 1)}), i % 2) for i in range(20)]
    progress, outcomes = finished(workload, members)
    assert progress == len(members) * workload.epochs
    assert sorted(outcomes) == list(range(len(members)))
