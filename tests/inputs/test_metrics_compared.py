"""Metrics and labels of users in whole comparisons: the right choice, or a refusal before anything trains."""

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import thalweg
from thalweg.workloads.metrics import name_of

G = torch.Generator().manual_seed(0)
X = torch.randn(96, 6, generator=G)
Y = X[:, :1] * 2 + X[:, 1:2]
C = X[:, 0] > 0
QUICK: dict[str, Any] = {"learning_rates": [1e-5, 1e-1], "seeds": 2, "confirm_seeds": 2, "progress": False}


def regression(metric: Any, **changes: Any) -> thalweg.Workload:
    sound: dict[str, Any] = {
        "model": lambda: nn.Linear(6, 1), "train": (X[:64], Y[:64]), "validation": (X[64:80], Y[64:80]),
        "test": (X[80:], Y[80:]), "loss": F.mse_loss, "batch_size": 16, "epochs": 3,
    }  # fmt: skip
    return thalweg.Workload(name="w", metric=metric, **{**sound, **changes})


def classes(model: Callable[[], nn.Module], y: Tensor, loss: Any, **changes: Any) -> thalweg.Workload:
    data = {"train": (X[:64], y[:64]), "validation": (X[64:], y[64:])}
    return thalweg.Workload(name="w", model=model, loss=loss, batch_size=16, epochs=2, **{**data, **changes})


def compared(workload: thalweg.Workload, *optimizers: str, **options: Any) -> thalweg.Result:
    return thalweg.compare(workload, optimizers=list(optimizers) or ["sgd"], **{**QUICK, **options})


def rmse(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean().sqrt()


LOSSES = [F.mse_loss, nn.MSELoss(), F.l1_loss, nn.HuberLoss(delta=0.5), functools.partial(F.mse_loss, reduction="mean")]


@pytest.mark.parametrize("metric", LOSSES, ids=name_of)
def test_a_loss_as_the_metric_chooses_the_better_rate(metric: Any) -> None:
    result = compared(regression(metric))
    assert result.rows[0].learning_rate == 1e-1
    assert not result.study.higher_is_better


def test_the_workloads_own_loss_as_the_metric() -> None:
    assert compared(regression(rmse, loss=rmse)).rows[0].learning_rate == 1e-1


@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize(
    ("metric", "called"),
    [(rmse, "rmse"), (lambda o, t: rmse(o, t), "f"), (functools.partial(rmse), "rmse"), (F.cosine_similarity, None)],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_an_unknown_direction_is_refused_before_anything_trains(metric: Any, called: str | None) -> None:
    named = called or "is_"  # cosine similarity is one a sample, which is said first
    sentence = rf"thalweg.Metric\({named}, higher_is_better=True\), or =False" if called else "must return a number"
    with pytest.raises(thalweg.InputError, match=sentence):
        compared(regression(metric))


@pytest.mark.usefixtures("nothing_trains")
def test_a_metric_without_a_direction_is_refused_too() -> None:
    with pytest.raises(thalweg.InputError, match=r"higher or lower values of the metric 'error' .*Metric\(rmse, "):
        compared(regression(thalweg.Metric("error", rmse)))


@pytest.mark.usefixtures("nothing_trains")
def test_a_class_in_place_of_its_object() -> None:
    with pytest.raises(thalweg.InputError, match=r"MSELoss is a class: give an object, MSELoss\(\)"):
        compared(regression(nn.MSELoss))


def test_its_direction_told() -> None:
    assert compared(regression(thalweg.Metric(rmse, higher_is_better=False))).rows[0].learning_rate == 1e-1


class Mean:
    """Keeps all that it is given, as a running metric does; two threads in it at once would mix their values."""

    higher_is_better = False

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.seen.append((outputs - targets).square().mean())
        time.sleep(1e-4)
        return sum(self.seen[1:], self.seen[0]) / len(self.seen)


class Resettable(nn.Module):
    """As torchmetrics: a module with state, which counts from its last reset. It was used before."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer("total", torch.tensor(1e6))
        self.count = 1

    def reset(self) -> None:
        self.total, self.count = torch.zeros(()), 0

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.total = self.total + (outputs - targets).square().sum()
        self.count += len(targets)
        return self.total / self.count


def within(mean: Mean, outputs: Tensor, targets: Tensor) -> Tensor:
    return mean(outputs, targets)


MAKERS = [
    Mean, Resettable, lambda: functools.partial(Resettable()), lambda: functools.partial(Mean()),
    lambda: Mean().__call__, lambda: functools.partial(within, Mean()),
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_a_metric_that_keeps_state_measures_each_run_alone(make: Callable[[], Any]) -> None:
    """The values are those of "mse", and the user's object is as it was."""
    own = make()
    metric = own if hasattr(own, "higher_is_better") else thalweg.Metric(own, higher_is_better=False)
    ours, builtin = (compared(regression(m), "sgd", "adam") for m in (metric, "mse"))
    for a, b in zip(ours.runs, builtin.runs, strict=True):
        assert a.train_metric == pytest.approx(b.train_metric, rel=1e-5)
        assert [m.validation_metric for m in a.curve] == pytest.approx([m.validation_metric for m in b.curve], rel=1e-5)
    inner = own.args[0] if getattr(own, "args", ()) else getattr(own, "func", own)
    inner = getattr(inner, "__self__", inner)
    assert inner.count == 1 if isinstance(inner, Resettable) else inner.seen == []


@pytest.mark.usefixtures("nothing_trains")
def test_a_function_that_keeps_what_it_was_given_is_refused() -> None:
    seen = []

    def running(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append((outputs - targets).square().mean())
        return sum(seen[1:], seen[0]) / len(seen)

    with pytest.raises(thalweg.InputError, match=r"'running' gives .* and then .* for the same outputs and targets"):
        compared(regression(thalweg.Metric(running, higher_is_better=False)))


@pytest.mark.usefixtures("nothing_trains")
def test_an_object_that_cannot_be_copied_is_refused() -> None:
    metric = Mean()
    metric.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(thalweg.InputError, match=r"The metric 'Mean' cannot be copied \(.*lock"):
        compared(regression(metric))


def test_functions_around_one_object_take_turns() -> None:
    inside, most = 0, 0

    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(1e-3)
        inside -= 1
        return (outputs - targets).square().mean()

    compared(regression(thalweg.Metric(metric, higher_is_better=False)), "sgd", "adam")
    assert most == 1


def test_a_metric_that_draws_may() -> None:
    def sampled(outputs: Tensor, targets: Tensor) -> Tensor:
        chosen = torch.randperm(len(targets))[: max(1, len(targets) // 2)]
        return (outputs[chosen] - targets[chosen]).square().mean()

    assert compared(regression(thalweg.Metric(sampled, higher_is_better=False))).rows[0].learning_rate == 1e-1


def one() -> nn.Module:
    return nn.Linear(6, 1)


def flat() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 1), nn.Flatten(0))


def probability() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 1), nn.Sigmoid())


LOGITS = {
    "[n, 1] and float [n, 1]": (one, C.float()[:, None], F.binary_cross_entropy_with_logits, 0.0),
    "[n] and float [n]": (flat, C.float(), nn.BCEWithLogitsLoss(), 0.0),
    "probabilities": (probability, C.float()[:, None], F.binary_cross_entropy, 0.5),
}


@pytest.mark.parametrize(("model", "y", "loss", "above"), LOGITS.values(), ids=LOGITS)
def test_one_output_for_two_classes_is_trained(model: Any, y: Tensor, loss: Any, above: float) -> None:
    """Its accuracy is that of the same training by hand."""
    result = compared(classes(model, y, loss), learning_rates=[0.5], seeds=1, confirm_seeds=0)
    torch.manual_seed(0)
    trained, order = model(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.5)
    for _ in range(2):
        for index in torch.randperm(64, generator=order).split(16):
            optimizer.zero_grad()
            loss(trained(X[:64][index]), y[:64][index]).backward()
            optimizer.step()
    with torch.no_grad():
        answers = (trained(X[64:]) > above).flatten()
    assert result.runs[0].validation_metric == (answers == C[64:]).float().mean().item()


def own_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs.flatten(), targets.float())


REFUSED = {
    "[n, 1] and int [n], a loss of one's own": (one, C.long(), own_loss, "goes by its sign where the loss is .*=True"),
    "[n] and int [n], a loss of one's own": (flat, C.long(), own_loss, "goes by its sign where the loss is"),
    "one output under a loss over classes": (one, C.long(), F.cross_entropy, "of 0 to 0, .* the model an output"),
    "several outputs": (
        lambda: nn.LSTM(6, 3), C.long(), lambda o, t: F.cross_entropy(o[0], t),
        r"one tensor of outputs, and the model of 'w' returns a tuple: give metric=thalweg.Metric\(f, ",
    ),
    "several labels a sample": (
        lambda: nn.Linear(6, 2), torch.stack([C, ~C], 1).float(), F.binary_cross_entropy_with_logits,
        "of one output a sample, and the model has 2: for the share of right answers among all",
    ),
    "soft labels": (one, C.float()[:, None] * 0.8 + 0.1, nn.BCEWithLogitsLoss(), "are neither, such as 0.1"),
    "labels of -1 and 1": (one, C.float()[:, None] * 2 - 1, nn.BCEWithLogitsLoss(), "are neither, such as -1"),
    "numbers as classes": (
        lambda: nn.Linear(6, 3), Y[:, 0], lambda o, t: (o[:, 0] - t).square().mean(), "y holds numbers that are none",
    ),
    "one class": (one, torch.ones(96, 1), nn.BCEWithLogitsLoss(), "train holds one class only, 1"),
}  # fmt: skip


@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize(("model", "y", "loss", "message"), REFUSED.values(), ids=REFUSED)
def test_accuracy_of_what_has_none_is_refused_with_fitting_advice(
    model: Any, y: Tensor, loss: Any, message: str
) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(classes(model, y, loss))


def test_the_advice_for_a_loss_of_ones_own_works() -> None:
    metric = thalweg.Metric(
        lambda outputs, targets: ((outputs.flatten() > 0) == targets.flatten()).double().mean(), higher_is_better=True
    )
    for model in (one, flat):
        result = compared(classes(model, C.long(), own_loss, metric=metric))
        assert result.rows[0].learning_rate == 0.1


TOKENS = torch.randn(80, 5, 6, generator=G)
TAGS = (TOKENS[..., 0] > 0).long()


def tagged(label: int, loss: Any, **changes: Any) -> thalweg.Workload:
    y = TAGS.clone()
    y[:, 3:] = label
    data = {"train": (TOKENS[:64], y[:64]), "validation": (TOKENS[64:], y[64:])}
    options = {"batch_size": 16, "epochs": 1, **data, **changes}
    return thalweg.Workload(name="tags", model=lambda: nn.Linear(6, 2), loss=loss, **options)


def transposed(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.transpose(1, 2), targets)


class Own(nn.Module):
    ignore_index = -1

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.transpose(1, 2), targets, ignore_index=self.ignore_index)


@pytest.mark.parametrize(("label", "loss"), [(-100, transposed), (-1, Own())])
def test_labels_that_the_loss_passes_over(label: int, loss: Any) -> None:
    """The same accuracy as of the places that count alone, where every sample has as many."""
    padded = compared(tagged(label, loss)).runs
    cut = tagged(label, loss, train=(TOKENS[:64, :3], TAGS[:64, :3]), validation=(TOKENS[64:, :3], TAGS[64:, :3]))
    for a, b in zip(padded, compared(cut).runs, strict=True):
        assert a.validation_metric == pytest.approx(b.validation_metric, abs=1e-12)
        assert a.train_metric == pytest.approx(b.train_metric, abs=1e-12)


def test_a_class_that_a_loss_module_passes_over() -> None:
    """`CrossEntropyLoss(ignore_index=2)` of three classes: the third counts nowhere."""
    y = C.long()
    y[::4] = 2
    workload = classes(lambda: nn.Linear(6, 3), y, nn.CrossEntropyLoss(ignore_index=2))
    result = compared(workload, learning_rates=[0.5], confirm_seeds=0, epochs=20)
    counted = y[64:] != 2
    best = max(run.validation_metric or 0 for run in result.runs)
    assert best * int(counted.sum()) == pytest.approx(round(best * int(counted.sum())), abs=1e-9)
    assert best > 0.8  # at most 0.75 with the third class counted


PASSED_OVER = {
    "another label than the loss's": (tagged(-1, transposed), "such as -1, .* as its ignore_index"),
    "torch's label under another": (tagged(-100, Own()), "such as -100, .* as its ignore_index"),
    "nothing but it": (
        tagged(-100, transposed, validation=(TOKENS[64:], TAGS[64:] * 0 - 100)),
        "validation holds no label but -100, which the loss and accuracy pass over",
    ),
    "one class beside it": (
        tagged(-100, transposed, train=(TOKENS[:64], torch.where(TAGS[:64] > 0, -100, 0))),
        "train holds one class only, 0",
    ),
}


@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize(("workload", "message"), PASSED_OVER.values(), ids=PASSED_OVER)
def test_labels_that_leave_nothing_to_tell(workload: thalweg.Workload, message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(workload)
