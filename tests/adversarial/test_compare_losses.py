"""Losses, metrics and data in unusual forms: what is measured is what the same code measures by hand."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, held, numbers, problem, trained
from torch import Tensor, nn

import thalweg

ERROR = thalweg.Metric(lambda o, t: F.mse_loss(o, t), name="error", higher_is_better=False)


def classes(samples: int, seed: int, count: int = 3) -> tuple[Tensor, Tensor]:
    x, y = numbers(samples, seed)
    return x, (y[:, 0] > 0).long() + (y[:, 0] > 1).long() * (count > 2)


CLASSES: dict[str, Any] = {"train": classes(40, 1), "validation": classes(20, 2)}
SHARE = thalweg.Metric(lambda o, t: float((o.argmax(1) == t).double().mean()), name="share", higher_is_better=True)


def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
    """Weights of samples lie beside the targets."""
    return (targets[:, 1:] * (outputs - targets[:, :1]).square()).mean()


def weights_beside(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x, y = numbers(samples, seed)
    return x, torch.cat([y, torch.linspace(0.1, 2, samples, dtype=y.dtype)[:, None]], 1)


class Learned(nn.Module):
    """A loss with a parameter of its own, which no one trains."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets) * self.scale.exp() + self.scale


def contrasted(outputs: Tensor, targets: Tensor) -> Tensor:
    """Every sample beside every other of its batch."""
    return ((outputs - outputs.t()) - (targets - targets.t())).square().mean() + 0.1 * outputs.square().mean()


LOSSES: dict[str, dict[str, Any]] = {
    "weights of classes": {"loss": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5, 0.2]).double()), **CLASSES},
    "label smoothing": {"loss": nn.CrossEntropyLoss(label_smoothing=0.2), **CLASSES},
    "label smoothing, bound": {"loss": partial(F.cross_entropy, label_smoothing=0.2), **CLASSES},
    "a class passed over": {"loss": nn.CrossEntropyLoss(ignore_index=1), **CLASSES},
    "one-hot classes": {
        "loss": F.cross_entropy, "train": (classes(40, 1)[0], F.one_hot(classes(40, 1)[1], 3).double()),
        "validation": (classes(20, 2)[0], F.one_hot(classes(20, 2)[1], 3).double()),
        "metric": thalweg.Metric(lambda o, t: F.cross_entropy(o, t), higher_is_better=False),
    },
    "weights of samples in y": {
        "loss": weighted, "train": weights_beside(40, 1), "validation": weights_beside(20, 2),
        "metric": thalweg.Metric(weighted, higher_is_better=False),
    },
    "a sum": {"loss": lambda o, t: F.mse_loss(o, t, reduction="sum") / 8},
    "a sum by a module": {"loss": nn.MSELoss(reduction="sum"), "batch": 4},
    "a parameter of its own": {"loss": Learned()},
    "pairs within a batch": {"loss": contrasted, "metric": ERROR},
    "a shape of [1, 1]": {"loss": lambda o, t: F.mse_loss(o, t)[None, None]},
    "float32 from float64": {"loss": lambda o, t: F.mse_loss(o, t).float(), "close": 1e-4},
    "the size of the batch": {"loss": lambda o, t: F.mse_loss(o, t) * len(t) / 8},
    "Huber": {"loss": nn.HuberLoss(delta=0.3)},
    "a positive weight": {
        "loss": nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0).double()),
        "train": (numbers(40, 1)[0], (numbers(40, 1)[1] > 0).double()),
        "validation": (numbers(20, 2)[0], (numbers(20, 2)[1] > 0).double()), "metric": "accuracy",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_with(name: str) -> None:
    changes = dict(LOSSES[name])
    close, rates = changes.pop("close", 1e-7), [0.02, 0.1]
    if changes.pop("batch", None):
        rates = [0.002, 0.01]
    if "train" in changes and changes["train"][1].ndim == 1:
        changes.setdefault("metric", SHARE)
    outputs = 3 if "train" in changes and changes["train"][1].shape[1:] in ((), (3,)) else 1
    held(lambda: nn.Linear(4, outputs), close=close, options={"learning_rates": rates}, **changes)


def clamping(outputs: Tensor, targets: Tensor) -> Tensor:
    """It works on what it was given."""
    return (outputs.clamp_(-1, 1) - targets).square().mean()


def test_a_metric_that_changes_the_outputs_leaves_the_loss_alone() -> None:
    """It gives the same again, and the loss is of the outputs as they were."""
    try:
        held(lambda: nn.Linear(4, 1), metric=thalweg.Metric(clamping, higher_is_better=False))
    except thalweg.InputError as error:
        assert "in place" in str(error)  # noqa: PT017


@pytest.mark.parametrize("kind", ["tensor", "numpy", "bool", "float16", "one in a list"])
def test_a_metric_that_returns(kind: str) -> None:
    make: dict[str, Callable[[Tensor], Any]] = {
        "tensor": lambda x: x[None], "numpy": lambda x: np.float32(x.item()), "bool": lambda x: bool(x > 1),
        "float16": lambda x: x.half(), "one in a list": lambda x: [x.item()],
    }  # fmt: skip
    metric = thalweg.Metric(lambda o, t: make[kind](F.mse_loss(o, t)), higher_is_better=False)
    if kind == "one in a list":
        with pytest.raises(thalweg.InputError, match="must return a number"):
            compared(problem(lambda: nn.Linear(4, 1), metric=metric))
        return
    result = held(lambda: nn.Linear(4, 1), metric=metric)
    for run in result.runs:
        last = run.curve[-1]
        expected = last.validation_loss > 1 if kind == "bool" else last.validation_loss
        assert last.validation_metric == pytest.approx(float(expected), rel=1e-3)


def test_a_metric_that_is_nan_for_some_runs() -> None:
    """It never is the best, and nothing raises."""
    metric = thalweg.Metric(
        lambda o, t: float("nan") if F.mse_loss(o, t) < 1.5 else F.mse_loss(o, t).item(), higher_is_better=False
    )
    result = held(lambda: nn.Linear(4, 1), metric=metric, options={"learning_rates": [0.001, 0.1], "seeds": 2})
    assert "0.1" not in result.verdict.split(":")[0]


DATA: dict[str, dict[str, Any]] = {
    "fewer samples than a batch": {"train": numbers(5, 1), "batch_size": 8},
    "one sample": {"train": numbers(1, 1), "validation": numbers(1, 2)},
    "a last batch of one": {"train": numbers(41, 1)},
    "every other column": {"train": (numbers(40, 1)[0].repeat_interleave(2, 1)[:, ::2], numbers(40, 1)[1])},
    "a sample that is repeated": {"train": (numbers(1, 1)[0].expand(40, 4), numbers(40, 1)[1])},
    "constant targets": {"train": (numbers(40, 1)[0], torch.ones(40, 1).double())},
    "turned": {"train": (numbers(40, 1)[0].t().contiguous().t(), numbers(40, 1)[1])},
    "data that require a gradient": {"train": (numbers(40, 1)[0].requires_grad_(), numbers(40, 1)[1])},
    "parameters": {"train": tuple(nn.Parameter(x) for x in numbers(40, 1))},
    "conjugates": {"train": (torch.complex(*[numbers(40, 1)[0]] * 2).conj().real, numbers(40, 1)[1])},
    "negatives": {"train": (torch.complex(*[numbers(40, 1)[0]] * 2).conj().imag, numbers(40, 1)[1])},
    "299 samples to validate on": {"validation": numbers(299, 2)},
}


@pytest.mark.parametrize("name", DATA)
def test_data_of(name: str) -> None:
    held(lambda: nn.Linear(4, 1), **DATA[name])


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int16, torch.bool, torch.float16], ids=["uint8", "int16", "bool", "float16"]
)
def test_inputs_that_the_model_converts(dtype: torch.dtype) -> None:
    class Converts(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.double())

    x, y = numbers(60, 1)
    x = (x.abs() * 2).to(dtype)
    held(lambda: Converts(4, 1), train=(x[:40], y[:40]), validation=(x[40:], y[40:]))


def test_inputs_of_several_kinds() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.out = nn.Embedding(7, 3), nn.Linear(7, 1)

        def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
            return self.out(torch.cat([x * mask[:, None], self.words(words)], 1))

    x, y = numbers(60, 1)
    words, mask = torch.arange(60) % 7, torch.arange(60) % 3 > 0
    held(Both, train=((x[:40], words[:40], mask[:40]), y[:40]), validation=((x[40:], words[40:], mask[40:]), y[40:]))


@pytest.mark.parametrize("samples", [300, 257])
def test_a_model_that_normalizes_by_the_split_it_is_evaluated_on(samples: int) -> None:
    """Batch norm without statistics over 300 samples: by hand all of them at once; in pieces, that has to be said."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU(), nn.Linear(6, 1))

    result = compared(problem(model, validation=numbers(samples, 2), epochs=1))
    assert any("256 at a time" in note for note in result.study.notes)


class Outlier(nn.Module):
    """It looks at its batch by NumPy, and answers otherwise where one sample is far out: the last of all."""

    def __init__(self, look: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.out, self.look = nn.Linear(4, 1), look

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) * (0.1 if self.look(x) else 1.0)


LOOKS: dict[str, Callable[[Tensor], bool]] = {
    "numpy": lambda x: bool(x.numpy().max() > 50),
    "detached, by numpy": lambda x: bool(x.detach().cpu().numpy().max() > 50),
    "item": lambda x: x.max().item() > 50,
    "a list": lambda x: max(x[:, 0].tolist()) > 50,
    "any": lambda x: bool((x > 50).any()),
    "how many": lambda x: len(x[x > 50]) > 0,
    "nonzero": lambda x: x.gt(50).nonzero().shape[0] > 0,
    "unique": lambda x: len(torch.unique(x > 50)) > 1,
    "equal": lambda x: not torch.equal(x, x.clamp(max=50)),
    "its text": lambda x: "e+02" in repr(x),
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_model_that_looks_at_its_batch_by(name: str) -> None:
    """The last of 15 batches in the data's order holds the outlier: no batch that is compared need hold it."""
    x, y = numbers(121, 1)
    x[115, 0] = 100.0
    held(lambda: Outlier(LOOKS[name]), train=(x, y), optimizers=["adam"])


def of_some(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over the samples that are labelled, counted by the shape of what is left."""
    kept = targets < 50
    return (outputs - targets).square().masked_fill(~kept, 0).sum() / len(targets[kept])


def test_a_loss_that_counts_its_labelled_samples() -> None:
    x, y = numbers(121, 1)
    y[100:108] = 100.0
    held(lambda: nn.Linear(4, 1), train=(x, y), loss=of_some, metric=ERROR)


def test_a_frozen_backbone_that_all_models_share() -> None:
    """Batch norm in it counts all that passes through: every run would change the others."""
    shared = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)).double().requires_grad_(False)
    start = {name: tensor.clone() for name, tensor in shared.state_dict().items()}

    def model() -> nn.Module:
        return nn.Sequential(shared, nn.Linear(6, 1).double())

    workload = problem(model, own=True)
    try:
        result = compared(workload, ["sgd"])
    except thalweg.InputError as error:
        assert "same" in str(error) or "share" in str(error)  # noqa: PT017
        return
    if any("share" in note for note in result.study.notes):
        return
    for run in result.runs:
        shared.load_state_dict(start)
        losses, _ = trained(workload, "sgd", run.learning_rate, 0)
        assert [m.validation_loss for m in run.curve] == pytest.approx(losses, rel=1e-7)


def test_data_are_left_alone_by_a_model_that_asks_for_a_gradient_of_its_inputs() -> None:
    class Asks(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.requires_grad_() if x.is_leaf else x)

    workload = problem(lambda: Asks(4, 1))
    compared(workload)
    assert not any(x.requires_grad for x in (*workload.train.inputs, *workload.validation.inputs))
    held(workload)
