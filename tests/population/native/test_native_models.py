"""Whole models equal autograd: losses, gradients, and buffers after a step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from native_programs import natively, require_equal, workload
from torch import Tensor, nn

from thalweg.population.program.failures import Disagreement
from thalweg.population.program.models import build, stack
from thalweg.workloads.source import Batch

PICTURES = torch.rand(8, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, -100, 2, 1, 1])
WORDS = torch.randint(0, 11, (4, 6), generator=torch.Generator().manual_seed(0))


class Sentences(nn.Module):
    """Embeddings, positions, two layers of a transformer, and scores by the embeddings themselves."""

    def __init__(self, activation: str, *, norm_first: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(11, 8, padding_idx=0), nn.Parameter(torch.randn(6, 8))
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=dropout, batch_first=True, activation=activation, norm_first=norm_first
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(6, dtype=self.places.dtype)
        hidden = self.layers(self.words(x) + self.places, mask=mask, is_causal=True)
        return (hidden @ self.words.weight.t()).flatten(0, 1)


class Frozen(nn.Module):
    """A parameter without gradient, a scalar one, and one that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.scale = nn.Linear(144, 5), nn.Linear(5, 5), nn.Parameter(torch.tensor(0.7))
        self.first.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.second(self.second(self.first(x.flatten(1))).relu())
        return hidden[:, :3] * self.scale


def convolutional(*inner: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *inner, nn.Flatten(), nn.LazyLinear(3))


PICTURED: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 9), nn.Tanh(), nn.Linear(9, 3)),
    "frozen": Frozen,
    "conv": lambda: convolutional(nn.ReLU()),
    "strided conv": lambda: convolutional(nn.ReLU(), nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2))),
    "batch norm": lambda: convolutional(nn.BatchNorm2d(4), nn.ReLU()),
    "plain batch norm": lambda: convolutional(nn.BatchNorm2d(4, affine=False), nn.ReLU()),
    "batch norm without statistics": lambda: convolutional(nn.BatchNorm2d(4, track_running_stats=False)),
    "max pool": lambda: convolutional(nn.MaxPool2d(2)),
    "padded max pool": lambda: convolutional(nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)),
    "average pool": lambda: convolutional(nn.AvgPool2d((2, 3), stride=2, padding=1)),
    "adaptive pool": lambda: convolutional(nn.AdaptiveAvgPool2d(3)),
    "global pool": lambda: convolutional(nn.AdaptiveAvgPool2d(1)),
    "instance norm": lambda: convolutional(nn.InstanceNorm2d(4, affine=True)),
    "group norm": lambda: convolutional(nn.GroupNorm(2, 4), nn.GELU()),
    "dropout": lambda: nn.Sequential(
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, 9), nn.Dropout(0.5), nn.Linear(9, 3)
    ),
    "dropout of channels": lambda: convolutional(nn.Dropout2d(0.4), nn.AlphaDropout(0.2)),
    "conv in one dimension": lambda: nn.Sequential(
        nn.Flatten(2), nn.Conv1d(1, 3, 5, padding=2), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(108, 3)
    ),
}


def pictured(model: Callable[[], nn.Module], loss: Any = F.cross_entropy, targets: Tensor = LABELS) -> Any:
    def made() -> nn.Module:
        whole = model().double()
        whole(PICTURES)
        return whole

    return workload(made, PICTURES, targets, loss)


@pytest.mark.parametrize("name", PICTURED)
def test_pictures(name: str) -> None:
    require_equal(pictured(PICTURED[name]))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize(("norm_first", "dropout"), [(False, 0.0), (True, 0.0), (False, 0.3)])
def test_transformers(activation: str, norm_first: bool, dropout: float) -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets.flatten(), label_smoothing=0.1)

    require_equal(
        workload(
            lambda: Sentences(activation, norm_first=norm_first, dropout=dropout).double(), WORDS, WORDS.roll(1), loss
        )
    )


NUMBERS = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
LOSSES: dict[str, tuple[Any, Tensor]] = {
    "mse": (F.mse_loss, NUMBERS),
    "l1": (F.l1_loss, NUMBERS),
    "smooth l1": (F.smooth_l1_loss, NUMBERS),
    "huber": (nn.HuberLoss(delta=0.5), NUMBERS),
    "logits": (F.binary_cross_entropy_with_logits, NUMBERS.sigmoid()),
    "weights of classes": (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)), LABELS),
    "divergence": (lambda o, y: F.kl_div(o.log_softmax(1), y.softmax(1), reduction="batchmean"), NUMBERS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    loss, targets = LOSSES[name]
    require_equal(pictured(PICTURED["mlp"], loss, targets))


def test_a_label_out_of_range_is_no_memory_error() -> None:
    of = pictured(PICTURED["mlp"])
    _, program = natively(of)
    models = {0: build(of, 0, torch.device("cpu"))}
    stacked = stack(models, [0], {name for name, _ in models[0].named_parameters()})
    for label in (3, -1, 10**12):
        with pytest.raises(Disagreement, match="an index lies outside"):
            program(stacked, Batch((PICTURES,), LABELS.where(LABELS != 2, label)), [0], 1)
    program(stacked, Batch((PICTURES,), LABELS), [0], 1)


class Sorted(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sort(1).values


class Chosen(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.bernoulli(torch.sigmoid(x))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: Sorted(144, 3), "aten.sort"),
        (lambda: nn.Sequential(nn.Linear(144, 3), nn.RReLU()), "rrelu"),
        (lambda: nn.Sequential(nn.Linear(144, 3), Chosen()), "aten.bernoulli.default draws what has no native form"),
    ],
)
def test_what_has_no_native_form_says_so(model: Callable[[], nn.Module], why: str) -> None:
    with pytest.raises(Disagreement, match=why):
        natively(pictured(lambda: nn.Sequential(nn.Flatten(), model())))
