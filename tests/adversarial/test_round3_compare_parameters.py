"""Round 3, parameters: how a model's own code reaches them, and methods of nn.Module that it overrides."""

import argparse
import weakref
from collections import UserList
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import SINGLE, held, problem
from round3 import alike, lower
from torch import Tensor, nn

from thalweg.errors import InputError

X = torch.randn(60, 60, generator=torch.Generator().manual_seed(0))
Y = 4 * X[:, :5].sum(1, keepdim=True)
FEW: dict[str, Any] = {
    "train": (X[:40], Y[:40]), "validation": (X[40:], Y[40:]), "loss": lambda o, t: F.mse_loss(o[0], t) + o[1],
    "metric": lower(lambda o, t: F.mse_loss(o[0], t)),
}  # fmt: skip
"""In float32, where the check before training lets a thousandth pass; a small penalty shows at the end."""


class Penalized(nn.Module):
    """Its weight is reached by a way of its own for a small penalty."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.out = nn.Linear(60, 1, bias=False)
        weight = self.out.weight
        self.way: Any = {
            "values of a dictionary": lambda: dict(self.out.named_parameters()).values(),
            "a weak reference": lambda: weakref.ref(weight),
            "a namespace": lambda: argparse.Namespace(weights=[weight]),
            "a list of the user's": lambda: UserList([weight]),
            "a module in a list": lambda: [self.out],
        }[way]()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        held = self.way
        if isinstance(held, weakref.ref):
            held = [held()]
        elif isinstance(held, argparse.Namespace):
            held = held.weights
        weights = [h.weight if isinstance(h, nn.Module) else h for h in held]
        return self.out(x), 0.005 * sum(w.square().sum() for w in weights)


@pytest.mark.parametrize(
    "way",
    ["values of a dictionary", "a weak reference", "a namespace", "a list of the user's", "a module in a list"],
)
def test_a_small_penalty_on_a_weight_reached_by(way: str) -> None:
    workload = problem(lambda: Penalized(way), own=True, **FEW, epochs=200)
    held(workload, optimizers=["sgd"], close=SINGLE, options={"learning_rates": [1e-2]})


READING: dict[str, Callable[[nn.Module], list[Tensor]]] = {
    "those that require a gradient": lambda m: [p for p in m.parameters() if p.requires_grad],
    "those that are Parameters": lambda m: [p for p in m.parameters() if isinstance(p, nn.Parameter)],
    "those that are marked": lambda m: [p for p in m.parameters() if getattr(p, "decays", False)],
    "those that were noted": lambda m: [p for p in m.parameters() if id(p) in m.noted],
    "leaves": lambda m: [p for p in m.parameters() if p.is_leaf],
    "of a dtype": lambda m: [p for p in m.parameters() if p.dtype == torch.float32],
    "weights of linear layers": lambda m: [x.weight for x in m.modules() if isinstance(x, nn.Linear)],
    "all as a vector": lambda m: [nn.utils.parameters_to_vector(m.parameters())],
    "state": lambda m: [*m.state_dict(keep_vars=True).values()],
    "one by name": lambda m: [m.get_parameter("out.weight")],
}  # fmt: skip
DROPPED = {
    "those that require a gradient", "those that are Parameters", "those that are marked", "those that were noted",
}  # fmt: skip


class Decays(nn.Module):
    """It adds a small penalty on its parameters, chosen as its code does."""

    def __init__(self, read: Callable[[nn.Module], list[Tensor]]) -> None:
        super().__init__()
        self.out, self.read = nn.Linear(60, 1, bias=False), read
        self.out.weight.decays = True  # type: ignore[attr-defined]
        self.noted = {id(p) for p in self.parameters()}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.out(x), 0.005 * sum((w.square().sum() for w in self.read(self)), torch.zeros(()))


@pytest.mark.parametrize(
    "name",
    READING,
)
def test_a_small_penalty_on(name: str) -> None:
    workload = problem(lambda: Decays(READING[name]), own=True, **FEW, epochs=200)
    held(workload, optimizers=["sgd"], close=SINGLE, options={"learning_rates": [1e-2]})


class OnlyHead(nn.Module):
    """Its parameters() are those to train, as a wrapper around a backbone may say."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 1)

    def parameters(self, recurse: bool = True) -> Any:
        return self.head.parameters()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x)))


class Listed(nn.Module):
    """Layers in a plain list, which its parameters() name."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.scale = [nn.Linear(4, 3).double(), nn.Linear(3, 1).double()], nn.Parameter(torch.ones(()))

    def parameters(self, recurse: bool = True) -> Any:
        yield self.scale
        yield from (p for layer in self.layers for p in layer.parameters())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[1](torch.tanh(self.layers[0](x))) * self.scale


@pytest.mark.parametrize("model", [OnlyHead, Listed])
def test_a_model_that_says_which_parameters_it_has_is_refused(model: Callable[[], nn.Module]) -> None:
    with pytest.raises(InputError, match="must give the same: register what is trained"):
        held(lambda: model().double(), own=True)


class NoReturn(nn.Sequential):
    """Batch norm stays frozen; train() returns nothing, as in many a detector's code."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)
        self[1].eval()


class NoMove(nn.Linear):
    def to(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        super().to(*args, **kwargs)


class OldZero(nn.Linear):
    def zero_grad(self) -> None:  # type: ignore[override]
        for p in self.parameters():
            p.grad = None


FORMS: dict[str, Callable[[], nn.Module]] = {
    "train() that returns nothing": lambda: NoReturn(
        *(m.double() for m in (nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 1)))
    ),
    "to() that returns nothing": lambda: NoMove(4, 1, dtype=torch.float64),
    "zero_grad() without arguments": lambda: OldZero(4, 1, dtype=torch.float64),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_model_with(name: str) -> None:
    alike(problem(FORMS[name], own=True))
