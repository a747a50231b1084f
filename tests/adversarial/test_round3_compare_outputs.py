"""Round 3, batches, outputs, losses, metrics, data: what is read of one batch, what is joined of chunks."""

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, held, numbers, problem, trained
from round3 import ERROR, lower
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import thalweg


def linear() -> nn.Module:
    return nn.Linear(4, 1)


# ---------------------------------------------------------------- one batch unlike the others


class Tries(nn.Linear):
    """It looks at its batch where it can."""

    def forward(self, x: Tensor) -> Tensor:
        try:
            scale = 0.1 if float(x.detach().abs().max()) > 50 else 1.0
        except Exception:
            scale = 1.0
        return super().forward(x) * scale


class Mask(torch.autograd.Function):
    """By numpy, with a rule for vmap, as torch's documentation teaches."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy((np.abs(x.numpy()) < 50).astype(np.float64))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> Any:
        return Mask.apply(x), in_dims[0]


class Masked(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * Mask.apply(x))


class Looks(nn.Linear):
    def __init__(self, look: Callable[[Tensor], bool]) -> None:
        super().__init__(4, 1)
        self.look = look

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (0.1 if self.look(x) else 1.0)


SIZES: dict[str, Callable[[Tensor], bool]] = {
    "how many": lambda x: len(x[x > 50]) > 0,
    "nonzero": lambda x: x.gt(50).nonzero().shape[0] > 0,
    "unique": lambda x: len(torch.unique(x > 50)) > 1,
    "bincount": lambda x: len(torch.bincount((x[:, 0] > 50).long())) > 1,
    "masked_select": lambda x: x.masked_select(x > 50).numel() > 0,
    "repeat_interleave": lambda x: len(torch.repeat_interleave(x[:, 0], (x[:, 0] > 50).long())) > 0,
}
SEEING: dict[str, Callable[[Tensor], bool]] = {
    "allclose": lambda x: not torch.allclose(x, x.clamp(max=50)), "in": lambda x: 100.0 in x,
    "one_hot": lambda x: F.one_hot((x[:, 0] > 50).long()).shape[1] > 1, "sorted": lambda x: sorted(x[:, 0])[-1] > 50,
    "dlpack": lambda x: bool(np.from_dlpack(x).max() > 50), "rank": lambda x: int(torch.linalg.matrix_rank(x)) < 0,
}  # fmt: skip
RARE = {
    **{n: partial(Looks, look) for n, look in (SIZES | SEEING).items()},
    "try": lambda: Tries(4, 1), "numpy with a rule for vmap": lambda: Masked(4, 1),
}  # fmt: skip
ONCE = "a size or number that is read of the batch is the traced batch's; steps 4 to 9 are called but not compared"


def rare() -> int:
    """The sample that stands in the fifth batch of seed 0's first epoch, and in none of the first three in order."""
    return int(torch.randperm(121, generator=torch.Generator().manual_seed(0))[33])


@pytest.mark.parametrize(
    "name", RARE
)  # fmt: skip
def test_an_outlier_in_a_batch_that_is_not_compared(name: str) -> None:
    x, y = numbers(121, 1)
    assert rare() > 24
    x[rare(), 0] = 100.0
    held(RARE[name], train=(x, y), optimizers=["adam"])


# ---------------------------------------------------------------- outputs of a split of more than one chunk


FIRST = lower(lambda o, t: F.mse_loss(o[0], t))


class Penalty(nn.Linear):
    """It returns its penalty, a number without dimensions."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), 0.1 * self.weight.square().sum()


class Weight(nn.Linear):
    """It returns its weight, for the loss to regularize."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), self.weight


class Experts(nn.Module):
    """A mixture that returns how much each expert is used in the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 2), nn.ModuleList([nn.Linear(4, 1), nn.Linear(4, 1)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        share = self.gate(x).softmax(1)
        return sum(share[:, i : i + 1] * e(x) for i, e in enumerate(self.experts)), share.mean(0)


class Counted(nn.Linear):
    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        return super().forward(x), len(x)


class Recurrent(nn.Module):
    """It returns its last hidden state `[layers, samples, …]`, too."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(1, 3, batch_first=True), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found, last = self.cell(x[..., None])
        return self.out(found[:, -1]), last


class Similar(nn.Linear):
    """Every sample beside every other."""

    def forward(self, x: Tensor) -> Tensor:
        h = F.normalize(super().forward(x), dim=1)
        return h @ h.t()


class Loss(nn.Linear):
    """A model that returns its loss."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(super().forward(x), y)


def similarity(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, targets @ targets.t())


def with_targets(samples: int, seed: int) -> Any:
    x, y = numbers(samples, seed)
    return (x, y), y


WRONG = "outputs of chunks are joined along the samples that they do not have: the validation loss is another"
REFUSED = "outputs that are not [samples, …] cannot be joined over chunks of 256: an IndexError from inside is told"
OUTPUTS: dict[str, Any] = {
    "a penalty without dimensions": (lambda: Penalty(4, 1), lambda o, t: F.mse_loss(o[0], t) + o[1], FIRST, {}),
    "its weight": (lambda: Weight(4, 1), lambda o, t: F.mse_loss(o[0], t) + 0.1 * o[1].square().sum(), FIRST, {}),
    "the use of experts": (Experts, lambda o, t: F.mse_loss(o[0], t) + o[1].square().sum(), FIRST, {}),
    "how many samples it saw": (lambda: Counted(4, 1), lambda o, t: (o[0] - t).square().sum() / o[1], FIRST, {}),
    "a hidden state": (Recurrent, lambda o, t: F.mse_loss(o[0], t), FIRST, {}),
    "similarities": (lambda: Similar(4, 3), similarity, lower(similarity), {}),
    "its own loss": (lambda: Loss(4, 1), lambda o, t: o, lower(lambda o, t: o), {"train": with_targets(40, 1)}),
}  # fmt: skip
SILENT = {"its weight", "the use of experts", "how many samples it saw"}


@pytest.mark.parametrize("name", OUTPUTS)
def test_300_samples_to_validate_a_model_that_returns(name: str) -> None:
    model, loss, metric, changes = OUTPUTS[name]
    validation = with_targets(300, 2) if changes else numbers(300, 2)
    held(model, loss=loss, metric=metric, validation=validation, epochs=1, **changes)


@pytest.mark.parametrize("name", OUTPUTS)
def test_20_samples_to_validate_a_model_that_returns(name: str) -> None:
    model, loss, metric, changes = OUTPUTS[name]
    validation = with_targets(20, 2) if changes else numbers(20, 2)
    held(model, loss=loss, metric=metric, validation=validation, epochs=1, **changes)


class Calibrated(nn.Linear):
    """It scales its answers in evaluation where it can look at them."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if not self.training:
            with contextlib.suppress(Exception):
                y = y / float(y.abs().max())
        return y


def test_a_model_that_looks_at_its_answers_in_evaluation() -> None:
    held(lambda: Calibrated(4, 1))


class Nudged(nn.Linear):
    """Its answers are a little less in evaluation, where it can look at them."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if not self.training:
            with contextlib.suppress(Exception):
                y = y * (1 - 1e-4 * float(y.abs().max() > 0))
        return y


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_a_small_difference_in_evaluation_shows_whatever_the_scale(scale: float) -> None:
    (x, y), (x_valid, y_valid) = numbers(40, 1), numbers(20, 2)
    held(lambda: Nudged(4, 1), train=(x, scale * y), validation=(x_valid, scale * y_valid))


# ---------------------------------------------------------------- metrics


def by_numpy(outputs: Tensor, targets: Tensor) -> float:
    """It clears labels in what it was given, in place, past torch's count of versions."""
    labels = targets.numpy()
    labels[labels < 0] = 0
    return float(np.abs(outputs.numpy() - labels).mean())


def by_data(outputs: Tensor, targets: Tensor) -> Tensor:
    targets.data.clamp_(min=0)
    return F.l1_loss(outputs, targets)


@pytest.mark.parametrize("metric", [by_numpy, by_data])
def test_a_metric_that_changes_the_labels(metric: Callable[..., Any]) -> None:
    """It is refused, as one that changes them by torch is, or the data stay as they were."""
    workload = problem(linear, metric=lower(metric))
    before = workload.train.targets.clone(), workload.validation.targets.clone()
    try:
        result = compared(workload, ["sgd"], learning_rates=[0.02])
    except thalweg.InputError as error:
        assert "in place" in str(error)  # noqa: PT017
        return
    losses, _ = trained(problem(linear), "sgd", 0.02, 0)
    assert [m.validation_loss for m in result.runs[0].curve] == pytest.approx(losses, rel=1e-7)
    assert torch.equal(workload.train.targets, before[0])
    assert torch.equal(workload.validation.targets, before[1])


WHOLE: dict[str, tuple[Callable[..., Any], bool]] = {
    "rmse": (lambda o, t: F.mse_loss(o, t).sqrt(), False), "median": (lambda o, t: (o - t).abs().median(), False),
    "r2": (lambda o, t: 1 - (o - t).square().sum() / (t - t.mean()).square().sum(), True),
    "largest": (lambda o, t: (o - t).abs().max(), False),
    "correlation": (lambda o, t: torch.corrcoef(torch.cat([o, t], 1).T)[0, 1], True),
}  # fmt: skip


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_a_metric_of_a_whole_split(name: str, vectorized: bool) -> None:
    function, higher = WHOLE[name]
    metric = thalweg.Metric(function, name=name, higher_is_better=higher, vectorized=vectorized)
    workload = problem(linear, metric=metric, validation=numbers(300, 2), test=numbers(515, 3), epochs=1)
    result = compared(workload, ["sgd"], seeds=2, confirm_seeds=1)
    for run in result.runs:
        _, model = trained(workload, "sgd", run.learning_rate, run.seed)
        with torch.no_grad():
            found = {
                split: float(function(model.eval()(*getattr(workload, split).inputs), getattr(workload, split).targets))
                for split in ("train", "validation", "test")
            }
        assert run.curve[-1].validation_metric == pytest.approx(found["validation"], rel=1e-7)
        assert run.train_metric == pytest.approx(found["train"], rel=1e-7)
        assert run.role == "tuning" or run.test_metric == pytest.approx(found["test"], rel=1e-7)


OVERFLOW = "squares of metrics beyond 1e154, or sums beyond 1e308, come out of the analysis as an OverflowError"
LARGE: dict[str, Any] = {
    "metrics of 1e200": {"metric": lower(lambda o, t: F.mse_loss(o, t) * 1e200)},
    "metrics of both signs, 1e308": {"metric": lower(lambda o, t: -1e308 if F.mse_loss(o, t) > 1 else 1e308)},
    "rates that are too high": {"epochs": 70},
    "targets of 1e100": {"train": (numbers(40, 1)[0], numbers(40, 1)[1] * 1e100)},
}  # fmt: skip
SMALL: dict[str, Any] = {
    "metrics of 1e-320": {"metric": lower(lambda o, t: F.mse_loss(o, t) * 1e-320)},
    "losses of 1e300": {"loss": lambda o, t: F.mse_loss(o, t) * 1e300, "metric": ERROR},
    "a constant": {"metric": lower(lambda o, t: 0.0)}, "not a number": {"metric": lower(lambda o, t: float("nan"))},
    "infinity": {"metric": lower(lambda o, t: float("inf") if F.mse_loss(o, t) > 1 else 1.0)},
    "negative infinity": {"metric": lower(lambda o, t: float("-inf"))},
}  # fmt: skip


@pytest.mark.parametrize("name", [*LARGE, *SMALL])
def test_a_study_of_odd_numbers_reaches_its_end(name: str, tmp_path: Path) -> None:
    rates = [1.0, 1.1] if "rates" in name else [0.02, 0.1]
    workload = problem(linear, test=numbers(20, 3), **(LARGE | SMALL)[name])
    result = compared(workload, learning_rates=rates, seeds=3, confirm_seeds=3)
    json.dumps(result.facts(), allow_nan=False)
    assert result.verdict
    assert result.leaderboard() is not None
    result.save_report(tmp_path / "report.html")


@pytest.mark.parametrize("value", [None, 1j, "0.5", (1,), {"a": 1}, np.array([1.0, 2.0]), torch.zeros(2), 10**400])
def test_a_metric_that_gives_no_number_is_refused(value: Any) -> None:
    with pytest.raises(thalweg.InputError, match="must return a number"):
        compared(problem(linear, metric=lower(lambda o, t: value)), ["sgd"])


# ---------------------------------------------------------------- losses and data


def matched(outputs: Tensor, targets: Tensor) -> Tensor:
    """Pairs by the Hungarian method, as DETR's loss makes them."""
    cost = (outputs.detach() - targets.t()).square() + (outputs.detach() * targets.t()).sin()
    rows, columns = linear_sum_assignment(cost.numpy())
    return F.mse_loss(outputs[torch.as_tensor(rows)], targets[torch.as_tensor(columns)])


@torch.compile(backend="eager")
def compiled(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


def one_by_one(outputs: Tensor, targets: Tensor) -> Tensor:
    return sum(F.mse_loss(o, t) for o, t in zip(outputs, targets, strict=True)) / len(targets)


@pytest.mark.parametrize("loss", [matched, compiled, one_by_one], ids=["matched", "compiled", "one by one"])
def test_a_loss_that_is(loss: Any) -> None:
    held(linear, loss=loss, metric=ERROR, options={"learning_rates": [0.002, 0.02]})


def test_a_batch_without_a_label() -> None:
    """Cross entropy over no label is 0/0: a loss that is not finite ends a run, as anywhere."""
    x, y = numbers(120, 1)
    classes, order = (y[:, 0] > 0).long(), torch.randperm(120, generator=torch.Generator().manual_seed(0))
    classes[order[32:40]] = -100
    validation = numbers(20, 2)
    workload = problem(
        lambda: nn.Linear(4, 2), train=(x, classes), validation=(validation[0], (validation[1][:, 0] > 0).long()),
        loss=nn.CrossEntropyLoss(), metric="accuracy",
    )  # fmt: skip
    result = compared(workload, ["sgd"])
    assert [run.diverged_at for run in result.runs] == [5, 5]


class Abs(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.abs().double())


@pytest.mark.parametrize("kind", ["complex", "uint16", "uint32", "a subclass"])
def test_inputs_of_kind(kind: str) -> None:
    class Image(Tensor):
        pass

    x, y = numbers(60, 1)
    made: dict[str, Callable[[Tensor], Any]] = {
        "complex": lambda x: torch.complex(x, -x), "uint16": lambda x: (x.abs() * 9).numpy().astype(np.uint16),
        "uint32": lambda x: (x.abs() * 9).numpy().astype(np.uint32), "a subclass": lambda x: x.as_subclass(Image),
    }  # fmt: skip
    x = made[kind](x)
    model = Abs if kind in ("complex", "a subclass") else Converts
    held(lambda: model(4, 1), train=(x[:40], y[:40]), validation=(x[40:], y[40:]))


class Converts(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


PAIRS = TensorDataset(*numbers(40, 1))


@pytest.mark.parametrize(
    "data",
    [iter(PAIRS), [*PAIRS], [PAIRS[0], PAIRS[1]], {"x": 1}, "data.csv", (1, 2), ([], [])],
    ids=lambda data: type(data).__name__,
)
def test_data_that_are_no_pair_of_tensors_are_refused(data: Any) -> None:
    with pytest.raises(thalweg.InputError, match="train"):
        problem(linear, train=data)
