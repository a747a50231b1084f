"""Batches by name, several targets and steps of a user's own: members equal the plain loop, written out here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import thalweg
from stopping import outcomes
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.program.randomness import SeededRandomness
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

GENERATOR = torch.Generator().manual_seed(0)
A, B = (torch.randn(96, 4, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
LABELS, NUMBERS = (A[:, 0] + B[:, 0] > 0).long(), (A - B).sum(1, keepdim=True)


class Two(nn.Module):
    """Two inputs, two heads; its parts are called by themselves in steps."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(4, 8), nn.Linear(4, 8), nn.Dropout(0.2)
        self.classes, self.number = nn.Linear(8, 2), nn.Linear(8, 1)
        self.double()

    def hidden(self, a: Tensor, b: Tensor) -> Tensor:
        return self.drop(torch.tanh(self.a(a) + self.b(b)))

    def forward(self, a: Tensor, b: Tensor) -> Any:
        hidden = self.hidden(a, b)
        return self.classes(hidden), self.number(hidden)


class One(Two):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.classes(self.hidden(a, b))


@dataclass
class Points:
    a: Tensor
    b: Tensor
    y: Tensor


def both(outputs: Any, targets: Any) -> Tensor:
    labels, numbers = targets.values() if isinstance(targets, Mapping) else targets
    return F.cross_entropy(outputs[0], labels) + 0.5 * F.mse_loss(outputs[1], numbers)


def share(outputs: Any, targets: Any) -> Tensor:
    labels = targets["labels"] if isinstance(targets, Mapping) else targets[0]
    return (outputs[0].argmax(1) == labels).double().mean()


def noisy(model: Any, batch: Any) -> dict[str, Tensor]:
    """As of a variational autoencoder: parts of the model, random numbers, several losses."""
    a = batch["a"]
    hidden = model.hidden(a, torch.zeros_like(a))
    z = hidden + 0.1 * torch.randn_like(hidden)
    return {"numbers": F.mse_loss(model.number(z), batch["n"]), "size": 0.01 * hidden.square().sum(1).mean()}


def annealed(model: Any, batch: Any, progress: Any) -> Tensor:
    """A penalty that grows with training, and a term of the step's own number."""
    (a, b), numbers = batch
    outputs = model(a, b)[1]
    return (
        F.mse_loss(outputs, numbers) + progress.share * outputs.square().mean() + 1e-3 * progress.step * outputs.mean()
    )


def of_points(model: Any, batch: Points) -> Tensor:
    return F.cross_entropy(model(batch.a, batch.b), batch.y)


def answers(model: Any, batch: Points) -> Tensor:
    return model(batch.a, batch.b)


def contrast(model: Any, a: Tensor) -> Tensor:
    """Of one tensor without targets."""
    return model.a(a).square().mean() + (model.b(a) - a.sum(1, keepdim=True)).square().mean()


CASES: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Any]]] = {
    "inputs by name": (One, ({"b": B, "a": A}, LABELS), {}),
    "a dict with labels": (One, {"a": A, "labels": LABELS, "b": B}, {}),
    "several targets": (
        Two,
        ((A, B), (LABELS, NUMBERS)),
        {"loss": both, "metric": thalweg.Metric(share, "share", True)},
    ),
    "targets by name": (
        Two,
        ({"a": A, "b": B}, {"labels": LABELS, "numbers": NUMBERS}),
        {"loss": both, "metric": thalweg.Metric(share, "share", True)},
    ),
    "a step": (Two, {"a": A, "n": NUMBERS}, {"step": noisy}),
    "a step with a metric": (One, Points(A, B, LABELS), {"step": of_points, "predict": answers, "metric": "accuracy"}),
    "a step without targets": (Two, A, {"step": contrast}),
    "an annealed step": (Two, ((A, B), NUMBERS), {"step": annealed}),
}


def given_by_hand(case: str, index: Tensor, step: int) -> Any:
    """The loss of a batch as a user writes it: a function of the model. step: of 9."""
    a, b, labels, numbers = (x[index] for x in (A, B, LABELS, NUMBERS))
    return {
        "inputs by name": lambda m: F.cross_entropy(m(a, b), labels),
        "a dict with labels": lambda m: F.cross_entropy(m(a, b), labels),
        "several targets": lambda m: both(m(a, b), (labels, numbers)),
        "targets by name": lambda m: both(m(a, b), (labels, numbers)),
        "a step": lambda m: sum(noisy(m, {"a": a, "n": numbers}).values()),
        "a step with a metric": lambda m: F.cross_entropy(m(a, b), labels),
        "a step without targets": lambda m: contrast(m, a),
        "an annealed step": lambda m: (
            F.mse_loss(out := m(a, b)[1], numbers) + step / 9 * out.square().mean() + 1e-3 * step * out.mean()
        ),
    }[case]


def by_hand(case: str, seed: int, lr: float, epochs: int) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of all steps, and the weights in the end; random numbers by the recipe of docs/your-own-model.md."""
    torch.manual_seed(seed)
    model = CASES[case][0]()
    adam = torch.optim.Adam(model.parameters(), lr=lr)
    order, losses = torch.Generator().manual_seed(seed), list[float]()
    for _ in range(epochs):
        for index in torch.randperm(len(A), generator=order).split(32):
            adam.zero_grad()
            with SeededRandomness(seed, len(losses) + 1):
                loss = given_by_hand(case, index, len(losses) + 1)(model)
            loss.backward()
            adam.step()
            losses.append(loss.item())
    return losses, {name: p.detach() for name, p in model.named_parameters()}


def workload(case: str, **more: Any) -> Workload:
    model, data, given = CASES[case]
    return Workload(name="own", model=model, train=data, validation=data, epochs=3, batch_size=32, **given, **more)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("how", ["native", "population", "loop"])
def test_members_equal_the_plain_loop(case: str, how: str) -> None:
    adam = recipe("adam")
    members = [Member(adam, adam.resolve({"lr": lr}), seed) for seed in (0, 1) for lr in (1e-2, 1e-3)]
    execution: Any = "loop" if how == "loop" else "population"
    planned = plan_job(
        workload(case), 0, device=torch.device("cpu"), workers=1, execution=execution, native=how == "native"
    )
    assert (planned.plan.program == NATIVE) is (how == "native"), planned.plan
    found = outcomes(replace(planned, job=replace(planned.job, keep_weights=True)), members)
    for m, trained in zip(members, found, strict=True):
        losses, weights = by_hand(case, m.seed, m.values["lr"], 3)
        means = [sum(losses[i : i + 3]) / 3 for i in range(0, 9, 3)]
        assert not trained.failure, trained.failure
        assert [p.train_loss for p in trained.curve] == pytest.approx(means, rel=1e-9)
        for name, weight in weights.items():
            if name in trained.weights:
                torch.testing.assert_close(trained.weights[name], weight, rtol=1e-9, atol=1e-9)


def test_the_loss_of_a_step_is_its_metric_unless_it_predicts() -> None:
    result = thalweg.compare(
        workload("a step without targets"), "sgd", [0.01], seeds=1, confirm_seeds=0, progress=False
    )
    run = result.runs[0]
    assert result.study.metric == "loss"
    assert [p.validation_metric for p in run.curve] == [p.validation_loss for p in run.curve]
    torch.manual_seed(run.seed)
    model = Two()
    model.eval()
    assert run.initial_validation_loss == pytest.approx(contrast(model, A).item(), rel=1e-9)


def test_evaluation_is_at_the_step_that_it_measures() -> None:
    result = thalweg.compare(workload("an annealed step"), "sgd", [1e-9], seeds=1, confirm_seeds=0, progress=False)
    run = result.runs[0]
    torch.manual_seed(run.seed)
    model = Two()
    model.eval()
    out = model(A, B)[1]
    for point in run.curve:
        loss = F.mse_loss(out, NUMBERS) + point.step / 9 * out.square().mean() + 1e-3 * point.step * out.mean()
        assert point.validation_loss == pytest.approx(loss.item(), rel=1e-6)


def test_accuracy_of_a_step() -> None:
    result = thalweg.compare(workload("a step with a metric"), "adam", [0.05], seeds=1, confirm_seeds=0, progress=False)
    last = result.runs[0].curve[-1]
    assert last.validation_metric is not None
    assert 0.5 < last.validation_metric <= 1
    assert (last.validation_metric * len(A)) == pytest.approx(round(last.validation_metric * len(A)))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"step": 3}, r"step must be a callable step\(model, batch\), got int"),
        ({"predict": answers}, r"predict belongs to step"),
        ({"step": contrast, "loss": F.mse_loss}, r"step and loss both say what is minimized"),
        ({"step": contrast, "metric": "accuracy"}, r"of a step of your own needs predict"),
        ({"step": lambda model, batch: {}}, r"returned no losses"),
        ({"step": lambda model, batch: model.a(batch)}, r"must return a real number as a tensor"),
        ({"step": lambda model, batch: model.nothing}, r"'Two' object has no attribute 'nothing'"),
    ],
)
def test_refusals(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(thalweg.InputError, match=sentence):
        thalweg.compare(
            Workload(name="w", model=Two, train=A, validation=A, epochs=1, **{"step": None, **given}),
            "sgd", [0.1], seeds=1, confirm_seeds=0, progress=False,
        ) if "step" in given else workload("inputs by name", **given)  # fmt: skip


def test_splits_are_laid_out_alike() -> None:
    with pytest.raises(thalweg.InputError, match="validation is laid out otherwise than train"):
        Workload(name="w", model=One, train=({"a": A, "b": B}, LABELS), validation=({"b": B, "a": A}, LABELS))
