"""Studies that stop and go on: with the same workload they do, and with another they are refused."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, problem
from torch import Tensor, nn

import thalweg
from thalweg.api import running


def resumed(
    before: thalweg.Workload, after: thalweg.Workload, out: Path, monkeypatch: pytest.MonkeyPatch
) -> thalweg.Result:
    """A study that is stopped before its first run and goes on with a workload that may be another."""

    def stopped(*_: Any) -> None:
        raise thalweg.InputError("Stopped.")

    with monkeypatch.context() as patched:
        patched.setattr(running.Study, "run", stopped)
        with pytest.raises(thalweg.InputError, match="Stopped"):
            compared(before, ["sgd"], out=out)
    return thalweg.resume(out, workload=after, progress=False)


class Scaled(nn.Linear):
    """It holds a number that is no parameter."""

    def __init__(self, scale: float) -> None:
        super().__init__(4, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class Wraps(nn.Linear):
    """It prints a function, with its address."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(4, 1)
        self.function = function

    def extra_repr(self) -> str:
        return f"function={self.function}"

    def forward(self, x: Tensor) -> Tensor:
        return self.function(super().forward(x))


class OwnLoss:
    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.weight * F.mse_loss(outputs, targets)

    def method(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.weight * F.mse_loss(outputs, targets)


def closing_over(settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda outputs, targets: settings["weight"] * F.mse_loss(outputs, targets)


def helped(factor: float) -> Callable[[Tensor], Tensor]:
    def helper(x: Tensor) -> Tensor:
        return factor * x

    return helper


def linear() -> nn.Module:
    return nn.Linear(4, 1)


def bound(weight: list[float]) -> Any:
    return functools.partial(listed, weight=weight)


def listed(outputs: Tensor, targets: Tensor, weight: list[float]) -> Tensor:
    return weight[0] * F.mse_loss(outputs, targets)


CHANGED: dict[str, tuple[thalweg.Workload, thalweg.Workload]] = {
    "a number that the model holds": (problem(lambda: Scaled(1.0)), problem(lambda: Scaled(0.5))),
    "a function that the model holds": (problem(lambda: Wraps(torch.tanh)), problem(lambda: Wraps(torch.sigmoid))),
    "a helper that the model holds": (problem(lambda: hold(helped(1.0))), problem(lambda: hold(helped(0.5)))),
    "the delta of torch's loss": (
        problem(linear, loss=nn.HuberLoss(delta=1)), problem(linear, loss=nn.HuberLoss(delta=0.1)),
    ),
    "the reduction of torch's loss": (
        problem(linear, loss=nn.MSELoss()), problem(linear, loss=nn.MSELoss(reduction="sum")),
    ),
    "a number of a loss that is an object": (problem(linear, loss=OwnLoss(1.0)), problem(linear, loss=OwnLoss(0.5))),
    "a number of a loss that is a method": (
        problem(linear, loss=OwnLoss(1.0).method), problem(linear, loss=OwnLoss(0.5).method),
    ),
    "what a loss closes over": (
        problem(linear, loss=closing_over({"weight": 1.0})), problem(linear, loss=closing_over({"weight": 0.5})),
    ),
    "a list that a loss is given": (problem(linear, loss=bound([1.0])), problem(linear, loss=bound([0.5]))),
    "a weight that is frozen": (
        problem(linear), problem(lambda: frozen(linear())),
    ),
    "the direction of the metric": (
        problem(linear, metric=thalweg.Metric(F.mse_loss, name="m", higher_is_better=False)),
        problem(linear, metric=thalweg.Metric(F.mse_loss, name="m", higher_is_better=True)),
    ),
    "dtype of the data": (
        problem(linear), problem(lambda: nn.Linear(4, 1), own=True, train=(torch.ones(40, 4), torch.ones(40, 1)),
                                 validation=(torch.ones(20, 4), torch.ones(20, 1))),
    ),
    "the size of a batch": (problem(linear), problem(linear, batch_size=10)),
    "a dropped last batch": (problem(linear, batch_size=12), problem(linear, batch_size=12, drop_last=True)),
}  # fmt: skip


def hold(function: Callable[[Tensor], Tensor]) -> nn.Module:
    made = Scaled(1.0)
    made.scale = 1.0
    made.helper = function
    made.register_forward_hook(lambda m, i, o: m.helper(o))
    return made


def frozen(model: nn.Module) -> nn.Module:
    model.bias.requires_grad_(False)
    return model


@pytest.mark.parametrize("name", [*CHANGED])
def test_another_workload_is_refused_by(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = CHANGED[name]
    try:
        resumed(before, after, tmp_path, monkeypatch)
    except thalweg.InputError as error:
        assert "chang" in str(error) or "other" in str(error), str(error)  # noqa: PT017
    else:
        pytest.fail("it went on with another workload")


def test_a_model_that_prints_an_address_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process the same function lies elsewhere, as one made anew does here."""
    keep = []

    def model() -> nn.Module:
        keep.append(helped(0.5))
        return Wraps(keep[-1])

    assert len(resumed(problem(model), problem(model), tmp_path, monkeypatch).runs) == 2
