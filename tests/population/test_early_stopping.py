"""Early stopping of members: as a plain PyTorch loop does it, each for itself, restored, resumed, given back."""

import copy
import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from test_checkpoints import assert_same, outcomes, stopped
from torch import nn

from oracles.early_stopping import ending
from problems import tiny
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.training import training_loop
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.vectorized import Vectorized
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.recipes.imported import Imported
from thalweg.regularization.stopping import EarlyStopping
from thalweg.workloads.metrics import Metric
from thalweg.workloads.workload import Workload

LOSS = Metric(nn.functional.cross_entropy, higher_is_better=False, name="loss")
RULE = EarlyStopping(2, 1e-3)


@cache
def workload(metric: Any = LOSS) -> Workload:
    """Few, noisy samples: the validation loss soon rises, at large rates sooner."""
    whole = tiny(torch.float64)
    (x,), y = whole.train.inputs, whole.train.targets
    noisy = torch.where(torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.3, (y + 1) % 3, y)
    return replace(whole, train=(x[:60], noisy[:60]), metric=metric, epochs=30)


@cache
def planned(problem: Workload, execution: Any, rule: EarlyStopping = RULE) -> PlannedJob:
    planned_job = plan_job(
        problem, 0, device=torch.device("cpu"), workers=1, execution=execution, test=True, early_stopping=rule
    )
    return replace(planned_job, job=replace(planned_job.job, keep_weights=True))


def members(rates: Any = (0.02, 0.1, 0.5, 1.5), **values: Any) -> list[Member]:
    return [
        Member(recipe("momentum"), recipe("momentum").resolve({"lr": lr, **values}), seed)
        for lr, seed in itertools.product(rates, (0, 1))
    ]


def value(problem: Workload, model: nn.Module, split: Any) -> float:
    (x,), y = split.inputs, split.targets
    with torch.no_grad():
        outputs = model.eval()(x)
        correct = (outputs.argmax(1) == y).double().mean()
        return float(problem.loss(outputs, y) if problem.metric.name == "loss" else correct)


def by_hand(problem: Workload, member: Member, rule: EarlyStopping) -> dict[str, Any]:
    """What a user would write: train all epochs, keep every epoch's model, and cut afterwards."""
    torch.manual_seed(member.seed)
    model = problem.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=member.values["lr"], momentum=0.9)
    order = torch.Generator().manual_seed(member.seed)
    (x,), y = problem.train.inputs, problem.train.targets
    models = []
    for _ in range(problem.epochs):
        for index in torch.randperm(len(y), generator=order).split(problem.batch_size):
            optimizer.zero_grad()
            problem.loss(model(x[index]), y[index]).backward()
            optimizer.step()
        models.append(copy.deepcopy(model))
    metrics = [value(problem, m, problem.validation) for m in models]
    made, best = ending(
        metrics, rule.patience, rule.least_improvement, higher_is_better=problem.metric.higher_is_better
    )
    assert best is not None
    steps = problem.steps_per_epoch
    return {
        "metrics": metrics[:made],
        "stopped_at": made * steps if made < problem.epochs else None,
        "restored_from": (best + 1) * steps,
        "test": value(problem, models[best], problem.test),
        "train": value(problem, models[best], problem.train),
        "weights": models[best].state_dict(),
    }


def assert_as_by_hand(problem: Workload, chosen: list[Member], found: list[Trained], rule: EarlyStopping) -> None:
    for member, ours in zip(chosen, found, strict=True):
        expected = by_hand(problem, member, rule)
        assert [m.validation_metric for m in ours.curve] == pytest.approx(expected["metrics"], rel=1e-9)
        assert (ours.stopped_at, ours.restored_from) == (expected["stopped_at"], expected["restored_from"])
        assert ours.test_metric == ours.best_test_metric == pytest.approx(expected["test"], rel=1e-9)
        assert ours.train_metric == pytest.approx(expected["train"], rel=1e-9)
        for name, tensor in expected["weights"].items():
            torch.testing.assert_close(ours.weights[name], tensor, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize("metric", [LOSS, "accuracy"], ids=["loss", "accuracy"])
def test_it_is_that_of_a_plain_loop(execution: str, metric: Any) -> None:
    problem, chosen = workload(metric), members()
    found = outcomes(planned(problem, execution), chosen)
    assert_as_by_hand(problem, chosen, found, RULE)
    assert len({run.stopped_at for run in found}) > 2, "members end at steps of their own"


def test_an_imported_optimizer_stops_too() -> None:
    sgd, problem = Imported("torch.optim:SGD"), workload()
    chosen = [Member(sgd, {"lr": lr, "momentum": 0.9}, 0) for lr in (0.1, 0.5)]
    found = outcomes(planned(problem, "auto"), chosen)
    assert all(run.stopped_at for run in found)
    assert_as_by_hand(problem, chosen, found, RULE)


def test_one_that_never_waits_so_long_trains_to_its_end_and_is_restored() -> None:
    problem, rule = workload(), EarlyStopping(30)
    chosen = members((0.5,))
    found = outcomes(planned(problem, "population", rule), chosen)
    assert all(run.stopped_at is None and len(run.curve) == 30 for run in found)
    assert all(run.restored_from is not None and run.restored_from < problem.total_steps for run in found)
    assert_as_by_hand(problem, chosen, found, rule)


def test_the_weights_kept_are_those_that_are_evaluated() -> None:
    """With averages of weights: the averages of the best measurement."""
    problem = workload()
    alone, together = (
        outcomes(planned(problem, how), members((0.1, 0.5), ema_decay=0.9)) for how in ("loop", "population")
    )
    for a, b in zip(alone, together, strict=True):
        assert (a.stopped_at, a.restored_from) == (b.stopped_at, b.restored_from)
        model = problem.model()
        model.load_state_dict(b.weights)
        assert b.test_metric == pytest.approx(value(problem, model, problem.test), rel=1e-9)
        assert a.test_metric == pytest.approx(b.test_metric, rel=1e-9)


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize("after", [9, 45])
def test_it_goes_on_bit_for_bit(execution: str, after: int, tmp_path: Path) -> None:
    planned_job, chosen = planned(workload(), execution), members()
    whole = outcomes(planned_job, chosen)
    stopped(planned_job, chosen, tmp_path, after)
    again = outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path))
    assert_same(again, whole)
    assert [(r.stopped_at, r.restored_from) for r in again] == [(r.stopped_at, r.restored_from) for r in whole]


def test_its_time_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members that stopped leave the stack, and a stack without members takes no further step."""
    held: list[int] = []
    step = Vectorized._step

    def counted(self: Vectorized, *given: Any) -> Any:
        held.append(len(self._seeds))
        return step(self, *given)

    monkeypatch.setattr(Vectorized, "_step", counted)
    problem, chosen = workload(), members()
    found = outcomes(planned(problem, "population"), chosen)
    ends = [run.stopped_at or problem.total_steps for run in found]
    assert len(held) == max(ends)
    assert held == sorted(held, reverse=True)
    assert sum(held) < 1.35 * sum(ends), "they leave once they are a quarter of the stack"


def test_a_run_that_diverges_has_no_final_weights() -> None:
    problem = replace(workload(), model=lambda: nn.Sequential(nn.Linear(6, 3), Cube()).double())
    found = outcomes(planned(problem, "population"), members((1e-3, 1e9)))
    for run in found[2:]:
        assert run.diverged_at is not None
        assert (run.stopped_at, run.restored_from, run.test_metric, run.train_metric) == (None, None, None, None)
    assert all(run.test_metric is not None for run in found[:2])


class Cube(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x**3


class Held(nn.Module):
    """Reaches its parameters by an attribute of its own, past their names."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(6, 16), nn.Linear(16, 3)
        self.held = [self.out.weight, self.out.bias]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(torch.tanh(self.hidden(x)), *self.held)


class Annealed(Held):
    """Keeps a temperature in Python that grows with every step."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.temperature *= 1.01 if self.training else 1.0
        return super().forward(x) * self.temperature


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
@pytest.mark.parametrize("patience", [2, 50])
@pytest.mark.parametrize("model", [Held, Annealed, lambda: torch.jit.script(nn.Sequential(nn.Linear(6, 3)))])
def test_the_training_metric_is_that_of_the_model_that_is_kept(model: Any, patience: int) -> None:
    problem = replace(workload(), model=lambda: model().double(), epochs=10)
    chosen = members((0.5,))
    found = outcomes(planned(problem, "auto", EarlyStopping(patience)), chosen)
    for member, ours in zip(chosen, found, strict=True):
        expected = by_hand(problem, member, EarlyStopping(patience))
        assert ours.train_metric == pytest.approx(expected["train"], rel=1e-9)
        assert ours.test_metric == pytest.approx(expected["test"], rel=1e-9)


def test_averages_are_what_a_model_evaluates_however_it_reaches_them() -> None:
    """The same net by names and by an attribute of its own."""
    problem = replace(workload(), epochs=4)
    ends = []
    for model in (lambda: nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)), Held):
        planned_job = plan_job(
            replace(problem, model=lambda of=model: of().double()), 0, device=torch.device("cpu"), workers=1
        )
        ends.append(outcomes(planned_job, members((0.3,), ema_decay=0.9)))
    for by_name, held in zip(*ends, strict=True):
        expected = [m.validation_metric for m in by_name.curve]
        assert [m.validation_metric for m in held.curve] == pytest.approx(expected, rel=1e-9)


def test_time_is_charged_to_the_members_that_train_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by 1 a step: each step is shared by those that were in training as its interval began."""
    problem, chosen, clock = workload(), members(), itertools.count()
    step, now = Vectorized._step, [0.0]

    def counted(self: Vectorized, *given: Any) -> Any:
        now[0] = float(next(clock) + 1)
        return step(self, *given)

    planned_job = planned(problem, "population")
    monkeypatch.setattr(Vectorized, "_step", counted)
    monkeypatch.setattr(training_loop.time, "perf_counter", lambda: now[0])
    found = outcomes(planned_job, chosen)
    ends = [run.stopped_at or problem.total_steps for run in found]
    assert len(set(ends)) > 2
    for run, end in zip(found, ends, strict=True):
        shares = [1 / sum(other >= t for other in ends) for t in range(1, end + 1)]
        assert run.seconds == pytest.approx(sum(shares), rel=1e-9)


class Growing(Held):
    """Replaces a buffer by a longer one at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen = torch.cat([self.seen, x.detach().mean().reshape(1)])
        return super().forward(x)


def test_buffers_that_grow_are_those_of_the_best_measurement() -> None:
    problem = replace(workload(), model=lambda: Growing().double())
    for run in outcomes(planned(problem, "auto"), members((0.5,))):
        assert not run.failure
        assert run.restored_from is not None
        assert len(run.weights["seen"]) == run.restored_from + 1
