"""Parts of workloads that are wrong in one way each, and how to compare on what is built of them."""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import thalweg

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3
QUICK: dict[str, Any] = {
    "optimizers": ["sgd"], "learning_rates": [0.1], "seeds": 1, "confirm_seeds": 1, "progress": False,
}  # fmt: skip


class Net(nn.Module):
    """A linear layer inside of what a test does around it."""

    def __init__(self, forward: Callable[["Net", Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.calls, self._forward = nn.Linear(4, 3), 0, forward

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return self._forward(self, x)


def net(forward: Callable[[Net, Tensor], Any]) -> Callable[[], nn.Module]:
    return lambda: Net(forward)


def workload(**changes: Any) -> thalweg.Workload:
    """A sound workload of 24 samples in 3 classes, but for what is changed."""
    sound: dict[str, Any] = {
        "name": "hostile", "model": lambda: nn.Linear(4, 3), "train": (X, Y), "validation": (X[:9], Y[:9]),
        "test": (X[:9], Y[:9]), "batch_size": 8, "epochs": 1,
    }  # fmt: skip
    return thalweg.Workload(**{**sound, **changes})


def compared(changes: dict[str, Any] | None = None, **options: Any) -> thalweg.Result:
    return thalweg.compare(workload(**(changes or {})), **{**QUICK, **options})


def with_value(data: Tensor, index: Any, value: float) -> Tensor:
    """A copy of the data with one value changed."""
    changed = data.clone()
    changed[index] = value
    return changed


def raises_in_evaluation(model: Net, x: Tensor) -> Tensor:
    if not model.training:
        raise RuntimeError("not in evaluation")
    return model.layer(x)


def raises_on(samples: int) -> Callable[[Net, Tensor], Tensor]:
    def forward(model: Net, x: Tensor) -> Tensor:
        if len(x) == samples:
            raise ValueError(f"no batches of {samples}")
        return model.layer(x)

    return forward


def later(error: BaseException, calls: int) -> Callable[[Net, Tensor], Tensor]:
    """Raises after so many calls, in a model that only the plain loop can train."""

    def forward(model: Net, x: Tensor) -> Tensor:
        if model.calls > calls:
            raise error
        return model.layer(x) * (1.0 if float(x.sum()) < 1e9 else 2.0)

    return forward


def exits(model: Net, x: Tensor) -> Tensor:
    sys.exit(3)


def warns(model: Net, x: Tensor) -> Tensor:
    warnings.warn("unsure", stacklevel=1)
    return model.layer(x)


def each(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, reduction="none")
