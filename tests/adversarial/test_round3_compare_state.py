"""Round 3, state: what models and losses keep out of sight, and what resuming loses."""

import ctypes
import os
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, executions, held, problem
from round3 import ERROR
from torch import Tensor, nn

import thalweg
from thalweg.population.engine.task import MembersFinished, MembersMeasured
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.stop import StopTraining, TrainingControl
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe

# ---------------------------------------------------------------- state out of sight


LATE = 12


class Counts(nn.Linear):
    """A tenth as strong from a late call on, by a count that is its own."""

    def __init__(self, kind: str) -> None:
        super().__init__(4, 1)
        self.kind = kind
        self.held: Any = {
            "pandas": lambda: pd.DataFrame({"n": [0]}), "an array of C": lambda: (ctypes.c_int * 1)(0),
            "a view of memory": lambda: memoryview(bytearray(1)), "a deque": lambda: [0],
        }[kind]()  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        place = self.held.loc[0] if self.kind == "pandas" else self.held
        key: Any = "n" if self.kind == "pandas" else 0
        if self.training and self.kind == "pandas":
            self.held.loc[0, "n"] += 1
        elif self.training:
            self.held[0] += 1
        count = self.held.loc[0, "n"] if self.kind == "pandas" else place[key]
        return super().forward(x) * (1.0 if count <= LATE else 0.1)


class Scripted(nn.Module):
    n: int

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.n += 1
        return x * 0.1 if self.n > 12 else x


UNSEEN = "a count that no fingerprint sees takes effect after the first epoch and is frozen"


@pytest.mark.parametrize(
    "kind",
    ["pandas", "an array of C", "a view of memory", "a deque"],
)
def test_a_late_count_in(kind: str) -> None:
    held(lambda: Counts(kind))


def test_a_late_count_in_a_scripted_part() -> None:
    def model() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nn.Sequential(nn.Linear(4, 1), torch.jit.script(Scripted())).double()

    held(model, own=True)


STATE = {"n": 0}


def strength(n: int) -> float:
    return 1.0 if n < 10**6 else 0.1


class ByProperty(nn.Linear):
    @property
    def strength(self) -> float:
        STATE["n"] += 1
        return strength(STATE["n"])

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.strength


class ByEnvironment(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        os.environ["THALWEG_TEST"] = str(int(os.environ.get("THALWEG_TEST", "0")) + 1)
        return super().forward(x) * strength(int(os.environ["THALWEG_TEST"]))


class Helper:
    calls = 0

    def strength(self) -> float:
        Helper.calls += 1
        return strength(Helper.calls)


class ByHelper(nn.Linear):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.helper = Helper()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.helper.strength()


class Annealed(nn.Module):
    """A loss whose count is its class's, as annealing of a KL term is often written."""

    calls = 0

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        Annealed.calls += 1
        return F.mse_loss(outputs, targets) * strength(Annealed.calls)


class AnnealedByGlobal(nn.Module):
    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        STATE["n"] += 1
        return F.mse_loss(outputs, targets) * strength(STATE["n"])


SHARED = "state that all runs share is not seen, so nothing is said of it and a population freezes it"
SHARING: dict[str, Any] = {
    "a property that counts": (lambda: ByProperty(4, 1), None),
    "the environment": (lambda: ByEnvironment(4, 1), None),
    "a loss that is a module, counting in its class": (lambda: nn.Linear(4, 1), Annealed()),
    "a loss that is a module, counting in a global": (lambda: nn.Linear(4, 1), AnnealedByGlobal()),
    "a helper that counts in its class": (lambda: ByHelper(4, 1), None),
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in SHARING if "helper" not in n])
def test_that_runs_share_is_said_of(name: str) -> None:
    model, loss = SHARING[name]
    result = held(model, loss=loss or F.mse_loss)
    assert any("share state" in note for note in result.study.notes)


def test_that_runs_share_a_helpers_class_is_said() -> None:
    result = held(SHARING["a helper that counts in its class"][0])
    assert any("share state" in note for note in result.study.notes)
    assert executions(result) == {"loop"}


HOLDER: dict[str, nn.Module] = {}


def remembered() -> nn.Module:
    HOLDER["net"] = nn.Linear(4, 1).double()
    return HOLDER["net"]


def regularized(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, targets) + 0.05 * sum(p.square().sum() for p in HOLDER["net"].parameters())


def test_a_loss_that_regularizes_the_model_last_built() -> None:
    """As scripts do: `net = Net()`, and a loss that closes over `net`. By hand one net is trained at a time."""
    with pytest.raises(thalweg.InputError, match="reaches parameters of another model"):
        compared(problem(remembered, own=True, loss=regularized, metric=ERROR, epochs=20), ["sgd"], seeds=4)


# ---------------------------------------------------------------- what resuming loses


class Bank(nn.Module):
    """A memory of what it saw, a buffer that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)
        self.register_buffer("bank", torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.out(x + 0.1 * self.bank.mean(0))
        if self.training:
            self.bank = torch.cat([self.bank, x.detach()])[-64:]
        return y


class Begins(nn.Module):
    """A buffer that is None until there is something to hold."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)
        self.register_buffer("last", None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.out(x if self.last is None else x + 0.1 * self.last)
        if self.training:
            self.last = x.detach().mean(0)
        return y


class Thaws(nn.Module):
    """Its first layer is frozen for some steps, by a count in a buffer; set when it changes, as schedules do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(4, 3), nn.Linear(3, 1)
        self.register_buffer("count", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.count += int(self.training)
        if self.training and int(self.count) in (5, 12):
            self.first.requires_grad_(int(self.count) == 12)
        return self.out(torch.tanh(self.first(x)))


class Moving(nn.Module):
    """Data that its code replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.out.weight.data = self.out.weight.data.clamp(-0.3, 0.3)
        return self.out(x)


def outcome(workload: thalweg.Workload, folder: Path | None, after: int | None = None) -> Any:
    """What a run of sgd by the loop finds, from a checkpoint where there is one; told to stop after some steps."""
    rule = recipe("sgd")
    planned_job = plan_job(workload, 0, device=torch.device("cpu"), workers=1)
    member, found, steps, check = Member(rule, rule.resolve({"lr": 0.02}), 0), [], 0, TrainingControl.check

    def counting(self: TrainingControl, state: Any) -> None:
        nonlocal steps
        steps += 1
        if after is not None and steps > after:
            self.stop.set()
        try:
            check(self, state)
        except StopTraining:
            self.measured(-1, [None])  # tells the loop below
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingControl, "check", counting)
        for event in train(planned_job, [member], checkpoints=Checkpoints(folder)):
            found += event.outcomes.values() if isinstance(event, MembersFinished) else []
            if event == MembersMeasured(-1, {0: None}):
                raise thalweg.InputError("stopped")
    return found[0]


LOST = "a checkpoint holds neither which parameters require a gradient, nor buffers that were None or of other sizes"


@pytest.mark.parametrize("model", [Bank, Begins, Thaws, Moving])
def test_a_run_that_is_resumed_ends_as_one_that_was_not(model: Any, tmp_path: Path) -> None:
    workload = problem(model)
    whole = outcome(workload, None)
    with pytest.raises(thalweg.InputError, match="stopped"):
        outcome(workload, tmp_path, after=7)
    again = outcome(workload, tmp_path)
    assert not again.failure
    assert again.curve == whole.curve
