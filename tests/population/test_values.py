"""Members with schedules, and with hyperparameters of single parameters: each as the drop-in in the plain loop."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_checkpoints import assert_same, outcomes, planned, stopped

import thalweg.optim
from problems import tiny, train_all
from thalweg.errors import InputError
from thalweg.optim import grouped, layerwise, undecayed
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.schedules import cosine, linear
from thalweg.workloads.parameter_groups import Scaled

CLASSES: dict[str, Any] = {
    "adamw": thalweg.optim.AdamW,
    "nadam": thalweg.optim.NAdam,  # row states
    "rprop": thalweg.optim.Rprop,  # states that begin as the rate
    "lamb": thalweg.optim.LAMB,  # reductions
}
RATES = (0.01, cosine(0.02, steps=50, warmup=5, end=1e-4), lambda t: 0.01 / (1 + 0.1 * t))
GROUPS: dict[str, Any] = {
    "none": (),
    "decay": undecayed,
    "layers": lambda model: [undecayed(model), {"hidden.*": {"lr": Scaled(0.25)}}],
    "own": {"out.weight": {"lr": linear(0.03, steps=40)}, "*.bias": {"weight_decay": 0.0}},
}


def workload(groups: str) -> Any:
    return replace(tiny(torch.float64), parameters=GROUPS[groups], epochs=2)


def times(factor: float, rate: Any) -> Any:
    return (lambda t: factor * rate(t)) if callable(rate) else factor * rate


def by_hand(of: Any, name: str, values: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Final weights of a plain loop with the drop-in and param groups."""
    torch.manual_seed(seed)
    model = of.model()
    groups = grouped(model, *of.parameters_of(model))
    for group in groups:
        if isinstance(scaled := group.get("lr"), Scaled):
            group["lr"] = times(scaled.factor, values["lr"])
    optimizer = CLASSES[name](groups, **values)
    order = torch.Generator().manual_seed(seed)
    (x,), y = of.train.inputs, of.train.targets
    for _ in range(of.epochs):
        for index in torch.randperm(len(y), generator=order).split(of.batch_size):
            optimizer.zero_grad()
            of.loss(model(x[index]), y[index]).backward()
            optimizer.step()
    return dict(model.state_dict())


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize("groups", GROUPS)
def test_every_member_equals_the_drop_in(execution: str, groups: str) -> None:
    """Members of one population with a number, a schedule and a function, of several optimizers."""
    of = workload(groups)
    each = [(name, {"lr": rate, "weight_decay": 0.1}, seed) for name in CLASSES for rate in RATES for seed in (0, 1)]
    if execution == "loop":
        each = each[::2]
    members = [Member(recipe(name), recipe(name).resolve(values), seed) for name, values, seed in each]
    for (name, values, seed), out in zip(
        each, train_all(of, members, execution=execution, keep_weights=True), strict=True
    ):
        for key, expected in by_hand(of, name, values, seed).items():
            torch.testing.assert_close(out.weights[key], expected, rtol=1e-9, atol=1e-10)


def test_layerwise_rates_are_multiples_of_the_run_s_own() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 3))
    found = layerwise(model, decay=0.5)
    assert found["0.weight"]["lr"] == Scaled(0.25)
    assert found["1.bias"]["lr"] == Scaled(0.5)


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_resumed_bitwise(tmp_path: Any, execution: str) -> None:
    of = workload("layers")
    members = [
        Member(recipe(name), recipe(name).resolve({"lr": RATES[1], "weight_decay": 0.1}), 0)
        for name in ("adamw", "nadam")
    ]
    planned_job = planned(of, execution)
    whole = outcomes(planned_job, members)
    stopped(planned_job, members, tmp_path, 17)
    assert_same(outcomes(planned_job, members, checkpoints=Checkpoints(tmp_path)), whole)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"*.weigth": {"lr": 1.0}}, "No parameter of the model is called"),
        ({"*.bias": {"beta9": 1.0}}, "adamw has no 'beta9', which parameters= gives"),
        ({"*.bias": {"lr": -1.0}}, r"'lr' of adamw for 'hidden.bias' must be a number in \[0, inf\)"),
        ({"*.bias": {"amsgrad": True}}, "'amsgrad' of 'hidden.bias' must be as for all parameters"),
        ({"*.bias": {"clip_value": 1.0}}, "'clip_value' of 'hidden.bias' must be as for all parameters"),
    ],
)
def test_refused(rules: Any, message: str) -> None:
    of = replace(tiny(), parameters=rules)
    with pytest.raises(InputError, match=message):
        train_all(of, [Member(recipe("adamw"), recipe("adamw").resolve({}), 0)], execution="population")


def test_rules_that_are_none() -> None:
    with pytest.raises(InputError, match="parameters must be rules"):
        replace(tiny(), parameters=3)
