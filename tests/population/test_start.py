"""Where training starts, and which runs ended worse: against the same by hand, and runs whose answer is known."""

import math
import statistics
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from problems import tiny, train_all
from records_fixture import RUN
from thalweg.population.training.start import batches
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.records.types import Measurement, RunRecord
from thalweg.workloads.workload import Workload

X = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)
EXECUTIONS = pytest.mark.parametrize("execution", ["population", "loop"])


def linear(**changes: Any) -> Workload:
    data = {"train": (X[:480], Y[:480]), "validation": (X[480:], Y[480:])}
    whole = {"model": lambda: nn.Linear(8, 1), "loss": F.mse_loss, "metric": "mse", "epochs": 4, **data}
    return Workload(name="sum", **{**whole, **changes})


def trained(workload: Workload, *rates: float, seeds: int = 3, name: str = "sgd", **options: Any) -> list[Trained]:
    members = [Member(recipe(name), recipe(name).resolve({"lr": r}), s) for r in rates for s in range(seeds)]
    return train_all(workload, members, **options)


def judged(outcome: Trained) -> RunRecord:
    """Its record, as far as it is judged by."""
    names = ("curve", "initial_loss", "initial_validation_loss", "loss_spread", "diverged_at")
    return replace(RUN, **{name: getattr(outcome, name) for name in names})


def initial(workload: Workload, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return workload.model().eval()


@EXECUTIONS
def test_the_start_is_the_initial_models_loss_on_the_validation_split(execution: str) -> None:
    workload = tiny(torch.float64)
    for seed, outcome in enumerate(trained(workload, 0.1, 0.2, execution=execution)):
        model = initial(workload, seed % 3)
        with torch.no_grad():
            whole = workload.validation
            expected = F.cross_entropy(model(*whole.inputs), whole.targets).item()
            parts = [F.cross_entropy(model(*part.inputs), part.targets).item() for part in batches(workload)]
        assert outcome.initial_validation_loss == pytest.approx(expected, rel=1e-12)
        assert outcome.loss_spread == pytest.approx(statistics.stdev(parts), rel=1e-12)


@pytest.mark.parametrize(
    ("samples", "count", "size"), [(90, 5, 16), (16, 2, 8), (17, 2, 8), (3, 3, 1), (2, 2, 1), (1, 1, 1), (600, 16, 16)]
)
def test_batches_are_of_one_size_and_share_no_sample(samples: int, count: int, size: int) -> None:
    workload = linear(validation=(X[:samples], Y[:samples]), batch_size=16)
    parts = batches(workload)
    assert [len(part) for part in parts] == [size] * count
    assert len(torch.unique(torch.cat([part.inputs[0] for part in parts]), dim=0)) == count * size


def test_two_halves_of_a_small_split_tell_of_whole_batches() -> None:
    """The spread of means of 60 samples, made that of means of 240."""
    (outcome,) = trained(linear(batch_size=240), 0.01, seeds=1)
    workload = linear(batch_size=240)
    model = initial(workload, 0)
    with torch.no_grad():
        halves = [F.mse_loss(model(*part.inputs), part.targets).item() for part in batches(workload)]
    assert outcome.loss_spread == pytest.approx(statistics.stdev(halves) / 2, rel=1e-6)


@EXECUTIONS
@pytest.mark.parametrize("rate", [1e-6, 1e-5, 1e-4, 1e-12])
def test_runs_that_improve_are_not_called_diverged(execution: str, rate: float) -> None:
    """At 1e-12 nothing moves: the losses before and after are equal but for rounding."""
    outcomes = trained(linear(), rate, seeds=6, execution=execution)
    assert any(o.curve[-1].train_loss > o.initial_loss for o in outcomes)  # type: ignore[operator]
    assert not any(judged(o).diverged for o in outcomes)


def test_an_easy_first_batch_does_not_make_a_run_worse() -> None:
    """The first batch of seed 0 is at 0 from the start, all others are not."""
    easy = torch.randperm(480, generator=torch.Generator().manual_seed(0))[:32]
    x = X.clone()
    x[easy] = 0
    y = x.sum(1, keepdim=True)
    workload = linear(
        model=lambda: nn.Linear(8, 1, bias=False), train=(x[:480], y[:480]), validation=(x[480:], y[480:])
    )
    (outcome,) = trained(workload, 1e-4, seeds=1)
    assert outcome.initial_loss == 0.0
    assert outcome.curve[-1].train_loss > 5  # type: ignore[operator]
    assert not judged(outcome).diverged


@EXECUTIONS
def test_a_run_that_worsens_is_called_diverged(execution: str) -> None:
    """Beyond the rate at which gradient descent is stable, the loss grows and stays finite."""
    for outcome in trained(linear(steps=12, evaluate_every=4), 1.5, execution=execution):
        assert outcome.diverged_at is None
        assert math.isfinite(outcome.curve[-1].validation_loss)  # type: ignore[arg-type]
        assert judged(outcome).worsened


def test_one_that_blew_up_at_first_and_recovers_a_little_is_called_diverged() -> None:
    workload = linear(loss=F.l1_loss, epochs=6)
    outcomes = trained(workload, 1e6, seeds=3)
    assert all(judged(o).worsened for o in outcomes)


def test_not_a_number_is_diverged_at_its_step() -> None:
    (outcome,) = trained(linear(loss=lambda o, t: F.mse_loss(o, t) * float("nan")), 0.1, seeds=1)
    assert (outcome.diverged_at, outcome.initial_validation_loss) == (1, None)
    assert judged(outcome).diverged
    assert not judged(outcome).worsened


def test_a_model_that_overfits_has_not_diverged() -> None:
    """Random labels: the training loss falls to nothing, and the validation loss rises far above its start."""
    draw = torch.Generator().manual_seed(3)
    x, y = torch.randn(64, 20, generator=draw), torch.randint(0, 2, (64,), generator=draw)
    workload = Workload(
        name="noise",
        model=lambda: nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2)),
        train=(x[:32], y[:32]),
        validation=(x[32:], y[32:]),
        batch_size=8,
        epochs=60,
    )
    (outcome,) = trained(workload, 0.02, seeds=1, name="adam")
    assert outcome.curve[-1].validation_loss > 2 * outcome.initial_validation_loss  # type: ignore[operator]
    assert outcome.curve[-1].train_loss < 0.01  # type: ignore[operator]
    assert not judged(outcome).diverged


@EXECUTIONS
def test_a_model_that_draws_and_one_that_normalizes_keep_their_randomness(execution: str) -> None:
    """Measuring the start draws nothing from training, and leaves the statistics of batch norm."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 1))

    for seed, outcome in enumerate(trained(linear(model=model), 1e-6, execution=execution, keep_weights=True)):
        assert outcome.weights["1.num_batches_tracked"].item() == 4 * 15
        assert not judged(outcome).diverged
        with torch.no_grad():
            expected = F.mse_loss(initial(linear(model=model), seed)(X[480:]), Y[480:]).item()
        assert outcome.initial_validation_loss == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_takes_no_fewer_samples_leaves_the_start_unknown() -> None:
    """So does a split of one sample; then a run is never said to have worsened."""

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if len(outputs) not in (32, 40):
            raise ValueError("so many only")
        return F.mse_loss(outputs, targets)

    few, one = (X[560:], Y[560:]), (X[599:], Y[599:])
    for workload in (linear(loss=loss, validation=few, metric="mae"), linear(validation=one)):
        (outcome,) = trained(replace(workload, steps=12, epochs=1), 1.5, seeds=1)
        assert (outcome.initial_validation_loss, outcome.loss_spread) == (None, 0.0)
        assert not judged(outcome).worsened


LOSSES = st.lists(st.floats(-10, 10), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(LOSSES, LOSSES, st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 5))
def test_what_improves_at_every_measurement_never_worsened(
    training: list[float], validation: list[float], first: float, start: float, spread: float
) -> None:
    """Whichever of the two losses it is that falls, from its start on."""
    count = min(len(training), len(validation))
    for falls in ("training", "validation"):
        t = sorted([first, *training[:count]], reverse=True) if falls == "training" else [first, *training[:count]]
        v = (
            sorted([start, *validation[:count]], reverse=True)
            if falls == "validation"
            else [start, *validation[:count]]
        )
        curve = tuple(Measurement(i + 1, t[i + 1], v[i + 1], 0.5) for i in range(count))
        outcome = replace(RUN, curve=curve, initial_loss=t[0], initial_validation_loss=v[0], loss_spread=spread)
        assert not outcome.worsened


@pytest.mark.parametrize(
    ("training", "validation", "worsened"),
    [(1.21, 2.21, True), (1.19, 2.21, False), (1.21, 2.19, False), (None, 9.0, False), (9.0, None, False)],
)
def test_both_must_rise_by_two_spreads(training: float | None, validation: float | None, *, worsened: bool) -> None:
    facts = {"initial_loss": 1.0, "initial_validation_loss": 2.0, "loss_spread": 0.1}
    assert replace(RUN, curve=(Measurement(5, training, validation, 0.5),), **facts).worsened is worsened
