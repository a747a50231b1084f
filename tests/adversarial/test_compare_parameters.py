"""Models that freeze, add or change parameters while they train: as by hand, or said."""

from collections.abc import Callable

import pytest
import torch
from by_hand import compared, executions, held, problem
from torch import Tensor, nn


class Freezing(nn.Module):
    """Sets, at each call, which of its layers are trained; a subclass says how in `turn`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out, self.calls = nn.Linear(4, 6), nn.Linear(6, 1), 0

    def turn(self) -> None:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        self.turn()
        return self.out(torch.tanh(self.first(x)))


class Unfreezes(Freezing):
    """The first layer is trained from the sixth call on: gradual unfreezing."""

    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)

    def turn(self) -> None:
        self.first.requires_grad_(self.calls > 5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "torch.optim:SGD"])
def test_layers_that_are_unfrozen_in_training(optimizer: str) -> None:
    if ":" in optimizer:  # which was made for what is trained at first: its runs end, and say why
        result = compared(problem(Unfreezes), [optimizer])
        assert all("required no gradient" in run.failure for run in result.runs)
        return
    result = held(Unfreezes, optimizers=[optimizer])
    assert executions(result) == {"loop"}


def test_layers_that_are_frozen_in_training() -> None:
    class Freezes(Freezing):
        def turn(self) -> None:
            self.first.requires_grad_(self.calls <= 5)

    held(Freezes)


def test_two_parts_that_take_turns() -> None:
    class Turns(Freezing):
        def turn(self) -> None:
            self.first.requires_grad_(self.calls % 2 == 0)
            self.out.requires_grad_(self.calls % 2 == 1)

    held(Turns)


def test_a_layer_that_is_added_late_is_no_ones_to_train() -> None:
    class Grows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out, self.calls = nn.Linear(4, 1), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            if self.calls == 6 and not hasattr(self, "more"):
                self.more = nn.Linear(4, 1).double()
            return self.out(x) + (self.more(x) if hasattr(self, "more") else 0)

    result = compared(problem(Grows))
    assert executions(result) == {"loop"}
    assert not any(run.failure for run in result.runs), {run.failure for run in result.runs}


class Clamps(nn.Linear):
    """Weights held within bounds by the model itself."""

    way = "no_grad"

    def __init__(self) -> None:
        super().__init__(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "data":
            self.weight.data.clamp_(-0.4, 0.4)
        else:
            with torch.no_grad():
                self.weight.clamp_(-0.4, 0.4)
        return super().forward(x)


class ClampsData(Clamps):
    way = "data"


@pytest.mark.parametrize("model", [Clamps, ClampsData], ids=["without gradient", "by the data"])
def test_weights_that_the_forward_pass_clamps(model: Callable[[], nn.Module]) -> None:
    held(model)
