"""Schedules as a dimension of a comparison: each run's rate is its schedule's, in populations and in plain loops."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from problems import points
from stopping import outcomes, stopped
from thalweg import schedules
from thalweg.errors import InputError
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Trained
from thalweg.studies.contenders import Contender, contenders
from thalweg.studies.crossing import crossed
from thalweg.workloads.parameter_groups import Scaled
from thalweg.workloads.workload import Workload

SAMPLES, SIZE, EPOCHS = 90, 30, 8
STEPS = EPOCHS * SAMPLES // SIZE


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).double()


def workload_of(**given: Any) -> Workload:
    train, validation = points(SAMPLES, 1, torch.float64), points(60, 2, torch.float64)
    options = {"train": train, "validation": validation, "batch_size": SIZE, "epochs": EPOCHS, **given}
    return Workload(name="scheduled", model=model, **options)


def trained(chosen: list[Contender], execution: Any, *, native: bool = False, **given: Any) -> list[Trained]:
    workload = workload_of(**given)
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution, native=native)
    assert (planned.plan.program == NATIVE) is native
    planned = replace(planned, job=replace(planned.job, keep_weights=True))
    members = [c.member({c.recipe.rate: 0.1}, seed, workload) for c in chosen for seed in (0, 1)]
    return outcomes(planned, members)


def by_hand(name: str, rate_at: Any, momentum_at: Any = None, metric: Any = None) -> dict[str, torch.Tensor]:
    """Weights of torch's optimizer whose rate is set step by step. metric: gets the net after each epoch."""
    torch.manual_seed(0)
    net, generator = model(), torch.Generator().manual_seed(0)
    made: Any = {"sgd": torch.optim.SGD, "momentum": torch.optim.SGD, "adam": torch.optim.Adam}[name]
    given = {"momentum": 0.9} if name == "momentum" else {}
    optimizer = made(net.parameters(), lr=0.1, **given)
    x, y = points(SAMPLES, 1, torch.float64)
    step = 0
    for _ in range(EPOCHS):
        for batch in torch.randperm(SAMPLES, generator=generator).split(SIZE):
            group = optimizer.param_groups[0]
            group["lr"] = float(rate_at(step))
            if momentum_at is not None:
                group["momentum"] = float(momentum_at(step))
            optimizer.zero_grad()
            cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
            step += 1
        if metric is not None:
            metric(net)
    return {n: p.detach() for n, p in net.named_parameters()}


def require_alike(run: Trained, weights: dict[str, torch.Tensor]) -> None:
    for name, weight in weights.items():
        torch.testing.assert_close(run.weights[name], weight, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("execution", ["loop", "population", "native"])
def test_a_members_rate_is_that_of_the_formula(execution: str) -> None:
    chosen = [
        Contender("momentum", schedule="cosine(warmup=25%)"),
        Contender("adam", schedule=lambda t: 3 * min(t, 8) / (1 + t)),  # from 0, at most 8/3
        Contender("momentum", schedule="1cycle(momentum=[0.5, 0.9])", title="cycled"),
        Contender("sgd", schedule="exponential(steps=2 epochs)"),
    ]
    native = execution == "native"
    runs = trained(chosen, "auto" if native else execution, native=native)[::2]

    def cosine(t: int) -> float:
        warm, done = STEPS // 4, (t - STEPS // 4) / (STEPS - STEPS // 4)
        return 0.1 * ((t + 1) / warm if t < warm else 0.5 * (1 + math.cos(math.pi * done)))

    cycle = schedules.one_cycle(0.1, steps=STEPS, momentum=(0.5, 0.9))
    assert cycle.momentum is not None
    require_alike(runs[0], by_hand("momentum", cosine))
    require_alike(runs[1], by_hand("adam", lambda t: 0.1 * min(t, 8) / (1 + t) * 9 / 8))
    require_alike(runs[2], by_hand("momentum", cycle, cycle.momentum))
    require_alike(runs[3], by_hand("sgd", lambda t: 0.1 * 0.1 ** (t / 6)))


PLATEAU = "performance(factor=0.5, patience=1, threshold=0.05)"


def with_torchs_plateau(name: str) -> dict[str, torch.Tensor]:
    """Rates cut by torch's scheduler on the validation loss, which follows the same rule with patience 0."""
    x, y = points(60, 2, torch.float64)
    dummy = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(dummy, factor=0.5, patience=0, threshold=0.05)

    def metric(net: nn.Module) -> None:
        with torch.no_grad():
            plateau.step(float(cross_entropy(net(x), y)))

    weights = by_hand(name, lambda step: dummy.param_groups[0]["lr"], metric=metric)
    assert dummy.param_groups[0]["lr"] < 0.05  # it was cut more than once
    return weights


@pytest.mark.parametrize("execution", ["loop", "population", "native"])
def test_performance_follows_each_members_metric(execution: str) -> None:
    chosen = [Contender("momentum", schedule=PLATEAU), Contender("adam", schedule=PLATEAU), Contender("adam")]
    native = execution == "native"
    runs = trained(chosen, "auto" if native else execution, native=native, metric="loss")
    require_alike(runs[0], with_torchs_plateau("momentum"))
    require_alike(runs[2], with_torchs_plateau("adam"))
    require_alike(runs[4], by_hand("adam", lambda t: 0.1))


@pytest.mark.parametrize("execution", ["loop", "population"])
def test_a_plateau_goes_on_after_a_stop(execution: Any, tmp_path: Path) -> None:
    workload = workload_of(metric="loss")
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution)
    contender = Contender("momentum", schedule=PLATEAU)
    members = [contender.member({"lr": lr}, 0, workload) for lr in (0.1, 0.3)]
    whole = outcomes(planned, members)
    stopped(planned, members, tmp_path, after=STEPS - 4)
    again = outcomes(planned, members, checkpoints=Checkpoints(tmp_path))
    assert [run.curve for run in again] == [run.curve for run in whole]


def test_optimizers_of_others_follow_too() -> None:
    chosen = [
        Contender("torch.optim:Adam", schedule=lambda t: t / (STEPS - 1), title="from zero"),
        Contender("torch.optim:SGD", {"momentum": 0.9}, schedule="1cycle(momentum=[0.5, 0.9])"),
        Contender("torch.optim:Adam", schedule="linear"),
        Contender("torch.optim:SGD", {"momentum": 0.9}, title="plateau", schedule=PLATEAU),
    ]
    cycle = schedules.one_cycle(0.1, steps=STEPS, momentum=(0.5, 0.9))
    workload = workload_of(metric="loss")
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1)
    planned = replace(planned, job=replace(planned.job, keep_weights=True))
    runs = outcomes(planned, [c.member({**c.fixed, "lr": 0.1}, 0, workload) for c in chosen])
    require_alike(runs[0], by_hand("adam", lambda t: 0.1 * t / (STEPS - 1)))
    require_alike(runs[1], by_hand("momentum", cycle, cycle.momentum))
    require_alike(runs[2], by_hand("adam", lambda t: 0.1 * (1 - t / STEPS)))
    require_alike(runs[3], with_torchs_plateau("momentum"))


@pytest.mark.parametrize("name", ["sgd", "torch.optim:SGD"])
def test_parameters_with_values_of_their_own(name: str) -> None:
    """A number stays, a share of the others' follows them: by our rules and by torch's optimizer alike."""
    contender = Contender(name, schedule="linear")
    workload = workload_of(parameters={"0.weight": {"lr": 0.05}, "2.*": {"lr": Scaled(0.1)}})
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1)
    planned = replace(planned, job=replace(planned.job, keep_weights=True))
    (run,) = outcomes(planned, [contender.member({"lr": 0.1}, 0, workload)])
    torch.manual_seed(0)
    net, generator = model(), torch.Generator().manual_seed(0)
    x, y = points(SAMPLES, 1, torch.float64)
    for step in range(STEPS):
        if step % 3 == 0:
            batches = torch.randperm(SAMPLES, generator=generator).split(SIZE)
        index, rate = batches[step % 3], 0.1 * (1 - step / STEPS)
        net.zero_grad()
        cross_entropy(net(x[index]), y[index]).backward()
        own = {"0.weight": 0.05, "0.bias": rate, "2.weight": 0.1 * rate, "2.bias": 0.1 * rate}
        with torch.no_grad():
            for parameter, p in net.named_parameters():
                p.sub_(own[parameter] * p.grad)
    require_alike(run, {n: p.detach() for n, p in net.named_parameters()})


def test_the_notation() -> None:
    tuned = Contender("adam(lr=cosine(warmup=5%), beta2=0.9)")
    assert (tuned.fixed, str(tuned.schedule)) == ({"beta2": 0.9}, "cosine(warmup=5%)")
    assert tuned.has_own_grid
    fixed = Contender("quick = adam(lr=cosine(1e-3))")
    assert (fixed.label, fixed.fixed, fixed.has_own_grid) == ("quick", {"lr": 1e-3}, False)
    assert Contender("adam", {"lr": schedules.wsd()}).schedule == schedules.wsd()
    both = crossed(contenders("adam,sgd"), ["constant", "1cycle"])
    assert [c.label for c in both] == ["adam", "adam + 1cycle", "sgd", "sgd + 1cycle"]
    assert [c.factors.get("schedule") for c in both] == [None, "1cycle", None, "1cycle"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimizers": "adam(lr=cosin())"}, "'cosin\\(\\)' is no schedule: write one of 1cycle,"),
        ({"optimizers": "adam(beta2=cosine())"}, "'lr' may have a schedule, and 'beta2' a number"),
        ({"optimizers": "adam(lr=wsd())", "schedules": ["1cycle"]}, "has the schedule wsd of its own"),
        ({"schedules": "cosine(1e-3)"}, "cosine\\(0.001\\) has one of its own: leave out 0.001"),
        ({"schedules": "cosine,cosine()"}, "'cosine' stands twice"),
        ({"schedules": "1cycle(steps=9 epochs, rise=11 epochs)"}, "The 'rise' of one_cycle must be"),
        ({"schedules": [lambda t: 0.0]}, "a schedule must be above 0 at some step, and <lambda>.* is 0 at most in 24"),
        ({"schedules": [3]}, "A schedule must be a text such as"),
        ({"schedules": []}, "schedules must be a list"),
    ],
)
def test_what_cannot_be_scheduled(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        thalweg.compare(workload_of(), **{"optimizers": "adam,sgd", "progress": False, **given})


def test_a_study_is_kept_and_resumed_with_its_schedules(tmp_path: Path) -> None:
    given: dict[str, Any] = {"seeds": 1, "confirm_seeds": 1, "progress": False, "out": tmp_path, "budget": "30s"}
    result = thalweg.compare(workload_of(), "sgd", [0.1, 0.3], schedules=["constant", "linear", PLATEAU], **given)
    assert result.study.varied == ("schedule",)
    assert {run.factors.get("schedule") for run in result.runs} == {None, "linear", PLATEAU}
    assert {run.learning_rate for run in result.runs if run.role == "tuning"} == {0.1, 0.3}
    again = thalweg.resume(tmp_path, workload=workload_of(), progress=False)
    assert [run.curve for run in again.runs] == [run.curve for run in result.runs]
    assert again.best is not None
    again.best.train(workload=workload_of())
