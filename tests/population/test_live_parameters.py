"""Models whose own code replaces, ties, frees or freezes parameters train as they do by hand."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import thalweg

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(120, 8, generator=GENERATOR, dtype=torch.float64)
Y = X.sum(1, keepdim=True)
EPOCHS, BATCH, RATE = 3, 16, 0.02


class Clamped(nn.Module):
    """Its weights are limited by another tensor in their place, as in a Wasserstein critic."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 1).double()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.a.weight.data = self.a.weight.data.clamp(-0.5, 0.5)
        return self.a(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8).double(), nn.Linear(8, 8).double(), nn.Linear(8, 1).double()
        self.b.weight.data = self.a.weight.data

    def forward(self, x: Tensor) -> Tensor:
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def tied_by_assignment() -> nn.Module:
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1)).double()
    model[2].weight = model[0].weight
    model.load_state_dict(model.state_dict(), assign=True)
    assert len([*model.parameters()]) == 6
    return model


class InABuffer(nn.Module):
    """A parameter that is a view of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("whole", torch.linspace(-1, 1, 16, dtype=torch.float64).view(2, 8))
        self.weight = nn.Parameter(self.whole[:1])

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight) + F.linear(x, self.whole[:1])


class Unfrozen(nn.Module):
    """Its first layer is trained from the sixth call on."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(8, 8).double(), nn.Linear(8, 1).double(), 0
        self.a.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == 6:
            self.a.requires_grad_(True)
        return self.b(torch.tanh(self.a(x)))


class Frozen(Unfrozen):
    """The other way round: trained at first."""

    def __init__(self) -> None:
        super().__init__()
        self.a.requires_grad_(True)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        self.a.requires_grad_(self.calls <= 6)
        return self.b(torch.tanh(self.a(x)))


class Replaced(nn.Module):
    """The layer's parameter is another object from the sixth call on: an optimizer made before does not know it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(8, 8).double(), nn.Linear(8, 1).double(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == 6:
            self.a.weight = nn.Parameter(self.a.weight.detach().clone())
        return self.b(torch.tanh(self.a(x)))


MODELS = [Clamped, Tied, tied_by_assignment, InABuffer, Unfrozen, Frozen, Replaced]


def by_hand(factory: Callable[[], nn.Module], optimizer: type[torch.optim.Optimizer]) -> float:
    torch.manual_seed(0)
    model, order = factory(), torch.Generator().manual_seed(0)
    made = optimizer(model.parameters(), lr=RATE)  # type: ignore[call-arg]
    for _ in range(EPOCHS):
        for index in torch.randperm(96, generator=order).split(BATCH):
            made.zero_grad()
            F.mse_loss(model(X[:96][index]), Y[:96][index]).backward()
            made.step()
    with torch.no_grad():
        return F.mse_loss(model.eval()(X[96:]), Y[96:]).item()


def workload(factory: Callable[[], nn.Module]) -> thalweg.Workload:
    return thalweg.Workload(
        name="own", model=factory, train=(X[:96], Y[:96]), validation=(X[96:], Y[96:]), loss=F.mse_loss, metric="mse",
        batch_size=BATCH, epochs=EPOCHS,
    )  # fmt: skip


def compared(factory: Callable[[], nn.Module], optimizer: str) -> thalweg.Result:
    return thalweg.compare(
        workload(factory), optimizers=[optimizer], learning_rates=[RATE], seeds=1, confirm_seeds=0, progress=False
    )


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "torch.optim:Adam"])
@pytest.mark.parametrize("factory", MODELS, ids=lambda factory: factory.__name__)
def test_as_by_hand(factory: Callable[[], nn.Module], optimizer: str) -> None:
    (run,) = compared(factory, optimizer).runs
    if factory is Unfrozen and ":" in optimizer:
        assert "required no gradient" in run.failure
        return
    expected = by_hand(factory, torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam)
    assert run.execution.startswith("loop")
    assert run.validation_metric == pytest.approx(expected, rel=1e-9)


class Cut(Clamped):
    """The number of its inputs falls."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.a.weight.data = self.a.weight.data[:, : max(4, self.a.weight.shape[1] - 1)].clone()
        return self.a(x[:, : self.a.weight.shape[1]])


def test_a_parameter_that_is_cut_is_told() -> None:
    with pytest.raises(
        thalweg.InputError, match=r"replaces the parameter 'a.weight', \[1, 8\], by one of shape \[1, 7\]"
    ):
        compared(Cut, "adam")
