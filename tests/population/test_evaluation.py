"""Evaluation in pieces: the same numbers however many runs there are, and however a split is cut."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from problems import points, tiny, train_all
from thalweg.population.planning.inspection import inspect
from thalweg.population.program.models import build, stack, state
from thalweg.population.training import evaluation
from thalweg.population.training.evaluation import Evaluator, evaluation_bytes
from thalweg.population.training.job import Job
from thalweg.population.training.pieces import piecewise
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.metrics import Metric
from thalweg.workloads.workload import Workload

CPU = torch.device("cpu")
SGD = recipe("sgd")
LARGE = {"validation": points(700, 2, torch.float64), "test": None}  # two chunks and a part


def measured(workload: Workload, seeds: int = 3) -> list[tuple[float, float]]:
    """(metric, loss) of some seeds' models at once, and that each alone gives the same."""
    job, _ = inspect(Job(workload, CPU, frozenset()), 0)
    models = {seed: build(workload, seed, CPU) for seed in range(seeds)}
    stacked = stack(models, list(models), set(job.trained))
    evaluator = Evaluator(job, build(workload, 0, CPU))
    metrics, losses, details = evaluator.together(stacked, workload.validation, list(models), 1, loss=True)
    for seed, model in models.items():
        for alone in (
            evaluator.alone(state(model), workload.validation, seed, 1, loss=True),
            Evaluator(job, model, live=True).alone(None, workload.validation, seed, 1, loss=True),
        ):
            assert (metrics[seed], losses[seed]) == pytest.approx((*alone.metrics, *alone.losses), rel=1e-12)
            assert {name: values[seed] for name, values in details.items()} == pytest.approx(alone.of(0), rel=1e-12)
        assert model.training
    return list(zip(metrics, losses, strict=True))


def ignored(targets: Tensor) -> Tensor:
    """A tenth of the labels are passed over, all of them among the first."""
    return torch.where(torch.arange(len(targets)) < len(targets) // 10, -100, targets)


def right(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.argmax(1) == targets).double().mean())


x, y = points(700, 2, torch.float64)
WEIGHT = torch.tensor([1.0, 5.0, 0.1], dtype=torch.float64)
CASES: dict[str, tuple[bool, dict[str, Any]]] = {
    "cross entropy": (True, {}),
    "smoothed": (True, {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}),
    "weights of classes": (False, {"loss": nn.CrossEntropyLoss(weight=WEIGHT)}),
    "a sum": (False, {"loss": lambda o, t: nn.CrossEntropyLoss(reduction="sum")(o, t) / len(t)}),
    "a metric of one's own": (False, {"metric": Metric(right, higher_is_better=True)}),
    "a loss of one's own": (False, {"loss": lambda o, t: F.cross_entropy(o, t) + o.std()}),
    "a vectorized metric": (
        False, {"metric": Metric("right", lambda o, t: (o.argmax(-1) == t).double().std(), True, vectorized=True)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pieces", "changes"), CASES.values(), ids=CASES)
def test_a_split_in_chunks_gives_what_all_of_it_does(pieces: bool, changes: dict[str, Any]) -> None:
    workload = tiny(torch.float64, **LARGE, **changes)
    assert (piecewise(workload) is not None) == pieces
    found = measured(workload)
    for seed, (metric, loss) in enumerate(found):
        outputs = build(workload, seed, CPU).eval()(x).detach()
        assert metric == pytest.approx(float(workload.metric.function(outputs, y)), rel=1e-12)
        assert loss == pytest.approx(float(workload.loss(outputs, y)), rel=1e-12)


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(ignore_index=1)])
def test_labels_that_a_loss_passes_over_are_not_cut(loss: Any) -> None:
    labels = ignored(y) if loss is F.cross_entropy else y
    metric = Metric("mean", lambda o, t: float(o.mean()), True) if labels is not y else "accuracy"
    changes = {"validation": (x, labels), "test": None, "metric": metric}
    workload = tiny(torch.float64, loss=loss, **changes)
    for seed, (_, value) in enumerate(measured(workload)):
        assert value == pytest.approx(float(loss(build(workload, seed, CPU).eval()(x).detach(), labels)), rel=1e-12)


@pytest.mark.parametrize("metric", ["mse", "mae"])
def test_errors_over_several_outputs(metric: str) -> None:
    data = {"train": points(330, 1, torch.float64), "validation": (x, x[:, :2]), "test": None}
    data["train"] = (data["train"][0], data["train"][0][:, :2])
    workload = tiny(torch.float64, model=lambda: nn.Linear(6, 2).double(), loss=F.mse_loss, metric=metric, **data)
    outputs = build(workload, 0, CPU)(x).detach()
    assert measured(workload)[0][0] == pytest.approx(float(workload.metric.function(outputs, x[:, :2])), rel=1e-12)


class OfTheBatch(nn.Module):
    """Batch norm without running statistics: an answer depends on who else is in the chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8, track_running_stats=False)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(self.hidden(x))))


class Centred(nn.Linear):
    """Outputs about the mean of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        return out - out.mean(0)


@pytest.mark.parametrize("model", [OfTheBatch, lambda: Centred(6, 3)])
def test_evaluation_does_not_depend_on_how_many_runs_train_at_once(model: Callable[[], nn.Module]) -> None:
    workload = tiny(torch.float64, model=lambda: model().double(), epochs=1, **LARGE)

    def losses(count: int, execution: Any) -> list[Any]:
        chosen = [Member(SGD, SGD.resolve({"lr": 0.01 * (i + 1)}), 0) for i in range(count)]
        return [outcome.curve[-1].validation_loss for outcome in train_all(workload, chosen, execution=execution)]

    wide, narrow, loop = losses(40, "population"), losses(2, "population"), losses(2, "loop")
    assert wide[:2] == pytest.approx(narrow, rel=1e-9)
    assert narrow == pytest.approx(loop, rel=1e-9)


def wide(**changes: Any) -> Workload:
    """800 outputs of two inputs."""
    train, validation = ((torch.randn(n, 2), torch.arange(n) % 800) for n in (64, 600))
    given: dict[str, Any] = {"model": lambda: nn.Linear(2, 800), "train": train, "validation": validation}
    return tiny(**{**given, "test": None, "target": None, "epochs": 1, **changes})


@pytest.mark.parametrize(
    "metric", ["accuracy", Metric(right, higher_is_better=True)], ids=["in pieces", "of all outputs"]
)
def test_outputs_are_held_for_as_many_members_as_fit(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a chunk where loss and metric go by pieces, else of the whole split; one member at least, as is counted."""
    monkeypatch.setattr(evaluation, "OUTPUTS", 4_000_000)
    workload, held = wide(metric=metric), []
    job, _ = inspect(Job(workload, CPU, frozenset()), 0)
    assert job.output_bytes == 3200
    one = 3200 * (256 if metric == "accuracy" else 600)
    assert evaluation_bytes(job, 1) == 5 * one
    assert evaluation_bytes(job, 64) == 5 * 4_000_000
    real = evaluation.measured

    def noted(workload: Any, outputs: Tensor, *rest: Any, **options: Any) -> Any:
        held.append(outputs.numel() * outputs.element_size())
        return real(workload, outputs, *rest, **options)

    monkeypatch.setattr(evaluation, "measured", noted)
    monkeypatch.setattr("thalweg.population.training.pieces.measured", noted)
    models = {0: build(workload, 0, CPU)}
    stacked = stack(models, [0] * 10, set(job.trained))
    Evaluator(job, build(workload, 0, CPU)).together(stacked, workload.validation, [0] * 10, 1, loss=True)
    assert one <= max(held) <= 4_000_000


def test_a_plan_counts_the_outputs_of_evaluation() -> None:
    from thalweg.population.planning.planned_job import plan_job

    planned_job = plan_job(
        wide(metric=Metric(right, higher_is_better=True)), 0, device=CPU, workers=2, execution="population"
    )
    assert planned_job.plan.evaluation >= 5 * 600 * 3200
    assert planned_job.plan.memory(1) == planned_job.plan.member + planned_job.plan.evaluation
    assert planned_job.plan.describe()["bytes_evaluating"] == planned_job.plan.evaluation
