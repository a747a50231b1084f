"""Metrics beside the one that decides, parts of a step's loss, and single numbers among a model's outputs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import thalweg
from problems import points
from stopping import outcomes
from thalweg.errors import InputError
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.training.pieces import piecewise
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

TRAIN, HELD, TEST = (points(n, n, torch.float64) for n in (90, 700, 60))  # validated in three chunks


class Net(nn.Module):
    """Classes, and a penalty that is a mean over its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 16, dtype=torch.float64), nn.Linear(16, 3, dtype=torch.float64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.first(x).relu()
        return self.last(hidden), hidden.square().mean()


class Plain(Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x)[0]


def workload_of(model: Any = Plain, **given: Any) -> Workload:
    options = {"train": TRAIN, "validation": HELD, "test": TEST, "batch_size": 30, "epochs": 2, **given}
    return Workload(name="details", model=model, **options)


def trained(workload: Workload, execution: Any, **more: Any) -> tuple[Trained, Any]:
    """A run, and its model."""
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution, **more)
    adam = recipe("adam")
    job = replace(planned.job, keep_weights=True, test=True)
    run = outcomes(replace(planned, job=job), [Member(adam, adam.resolve({"lr": 0.02}), s) for s in (0, 1)])[0]
    net = workload.model()
    net.load_state_dict(dict(run.weights))
    return run, net.eval()


@pytest.mark.parametrize("also", [["top2", "f1"], ["top2"]], ids=["whole", "in chunks"])
@pytest.mark.parametrize("execution", ["loop", "population", "native"])
def test_further_metrics_are_those_of_the_final_weights(execution: str, also: list[str]) -> None:
    workload = workload_of(metric=["accuracy", *also])
    assert (piecewise(workload) is not None) is (also == ["top2"])
    assert [workload.metric.name, *(m.name for m in workload.also)] == ["accuracy", *also]
    native = execution == "native"
    run, net = trained(workload, "auto" if native else execution, native=native)
    for (x, y), found in ((HELD, run.curve[-1].details), (TEST, run.test_details)):
        with torch.no_grad():
            outputs = net(x)
        expected = {
            "top2": float((outputs.topk(2).indices == y[:, None]).any(1).double().mean()),
            "f1": f1_score(y, outputs.argmax(1), average="macro"),
        }
        assert dict(found) == pytest.approx({name: expected[name] for name in also}, rel=1e-9)
    assert all(m.details.keys() == {*also} for m in run.curve)


@pytest.mark.parametrize("execution", ["loop", "population"])
def test_parts_of_a_steps_loss(execution: str) -> None:
    def step(model: Any, batch: Any) -> dict[str, Tensor]:
        outputs, penalty = model(batch[0])
        return {"fit": cross_entropy(outputs, batch[1]), "penalty": 0.1 * penalty}

    workload = workload_of(Net, step=step)
    run, net = trained(workload, execution)
    with torch.no_grad():
        outputs, penalty = net(HELD[0])
    expected = {"fit": float(cross_entropy(outputs, HELD[1])), "penalty": 0.1 * float(penalty)}
    assert dict(run.curve[-1].details) == pytest.approx(expected, rel=1e-9)
    assert run.curve[-1].validation_loss == pytest.approx(sum(expected.values()), rel=1e-9)


def right(outputs: Any, targets: Tensor) -> float:
    return float((outputs[0].argmax(1) == targets).double().mean())


@pytest.mark.parametrize("execution", ["loop", "population"])
def test_single_numbers_among_outputs_are_averaged_over_samples(execution: str) -> None:
    workload = workload_of(
        Net,
        loss=lambda outputs, targets: cross_entropy(outputs[0], targets) + outputs[1],
        metric=thalweg.Metric(right, higher_is_better=True),
        also=thalweg.Metric("penalty", lambda outputs, targets: outputs[1]),
    )
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1)
    assert not planned.job.whole_outputs
    run, net = trained(workload, execution)
    with torch.no_grad():
        outputs, penalty = net(HELD[0])
    assert run.curve[-1].details["penalty"] == pytest.approx(float(penalty), rel=1e-9)
    assert run.curve[-1].validation_loss == pytest.approx(float(cross_entropy(outputs, HELD[1]) + penalty), rel=1e-9)
    assert run.curve[-1].validation_metric == pytest.approx(right((outputs,), HELD[1]), rel=1e-12)


def test_early_stopping_gives_the_details_of_the_best_weights(tmp_path: Path) -> None:
    result = thalweg.compare(
        replace(workload_of(metric=["accuracy", "loss"]), epochs=30), "adam", [0.3], seeds=1, confirm_seeds=2,
        early_stopping="patience=2", progress=False,
    )  # fmt: skip
    for run in result.runs:
        final = run.final
        assert final is not None
        assert final.details["loss"] == pytest.approx(final.validation_loss, rel=1e-9)
    (row,) = result.rows
    tests = [run.test_details["loss"] for run in result.runs if run.role == "confirmation"]
    assert row.details["loss"].mean == pytest.approx(sum(tests) / 2, rel=1e-12)
    facts = result.facts()["leaderboard"][0]["details"]
    assert facts["loss"]["mean"] == row.details["loss"].mean
    result.save_report(tmp_path / "report.html")
    assert "Also measured" in (tmp_path / "report.html").read_text("utf-8")


def test_names_are_their_own() -> None:
    with pytest.raises(InputError, match="Two metrics are named 'f1'"):
        workload_of(metric=["f1", "accuracy"], also="f1")
    with pytest.raises(InputError, match=r"Unknown metric 'acuracy'.*accuracy"):
        workload_of(also=["acuracy"])
    with pytest.raises(InputError, match="takes the largest of several outputs"):
        plan_job(
            workload_of(lambda: nn.Linear(6, 1).double(), loss=lambda o, t: (o[:, 0] - t).square().mean(),
                        metric="loss", also="f1"), 0, device=torch.device("cpu"), workers=1,
        )  # fmt: skip

    def step(model: Any, batch: Any) -> dict[str, Tensor]:
        return {"f1": cross_entropy(model(batch[0]), batch[1])}

    twice = workload_of(step=step, predict=lambda model, batch: model(batch[0]), metric=["accuracy", "f1"])
    with pytest.raises(InputError, match="A metric and a loss of the step are both named 'f1'"):
        plan_job(twice, 0, device=torch.device("cpu"), workers=1)
