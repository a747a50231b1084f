"""Layers and ways to hold parameters that models have: what is compared is what the same code gives by hand."""

import pytest
import torch
from by_hand import SINGLE, compared, executions, held, numbers, problem
from layers import MODELS, OWN
from torch import Tensor, nn


@pytest.mark.parametrize("name", MODELS)
def test_it_trains_as_by_hand(name: str) -> None:
    close = 1e-5 if name == "parameters of two dtypes" else 1e-7
    held(problem(MODELS[name], own=name in OWN), close=close)


def test_a_frozen_backbone_with_batch_norm_keeps_its_statistics_moving() -> None:
    """By hand its statistics follow the batches: `requires_grad` is no evaluation mode."""

    def model() -> nn.Module:
        backbone = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)).requires_grad_(False)
        return nn.Sequential(backbone, nn.Linear(6, 1))

    held(model)


def test_layers_in_evaluation_mode_from_the_factory_on() -> None:
    """Batch norm frozen by `.eval()` in the factory: model.train() undoes that in any loop, and it is noted."""

    def model() -> nn.Module:
        made = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 1))
        made[1].eval()
        return made

    result = compared(problem(model, epochs=1))
    assert any("evaluation mode" in note for note in result.study.notes)


def test_batch_norm_that_train_leaves_in_evaluation_mode() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(mode)
            self[1].eval()
            return self

    assert executions(held(lambda: Frozen(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 1)).train())) <= {
        "population", "loop",
    }  # fmt: skip


class Words(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.bag = kind == "bag"
        self.words = nn.EmbeddingBag(9, 3) if self.bag else nn.Embedding(9, 3, **OF_WORDS[kind])
        self.out = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = self.words(x)
        return self.out(torch.tanh(found if self.bag else found.mean(1)))


OF_WORDS = {"padding": {"padding_idx": 0}, "norm": {"max_norm": 0.5}, "frequency": {"scale_grad_by_freq": True}}


@pytest.mark.parametrize("kind", ["padding", "norm", "frequency", "bag"])
def test_words_train_as_by_hand(kind: str) -> None:
    words = torch.randint(0, 9, (60, 5), generator=torch.Generator().manual_seed(3))
    y = words.double().mean(1, keepdim=True)
    held(lambda: Words(kind), train=(words[:40], y[:40]), validation=(words[40:], y[40:]))


def test_a_model_of_half_precision_trains_about_as_by_hand() -> None:
    model = problem(
        lambda: nn.Linear(4, 1, dtype=torch.bfloat16), own=True, train=numbers(40, 1, torch.bfloat16),
        validation=numbers(20, 2, torch.bfloat16),
    )  # fmt: skip
    held(model, optimizers=["sgd"], close=0.03, options={"learning_rates": [0.05]})


def test_autocast_inside_of_the_model() -> None:
    class Cast(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(x).float()

    single = {"train": numbers(40, 1, torch.float32), "validation": numbers(20, 2, torch.float32)}
    held(problem(lambda: Cast(4, 1), own=True, **single), optimizers=["sgd"], close=10 * SINGLE)
