"""Traces serve later plans of one workload in a process, and no workload that computes anything else."""

import gc
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from problems import points, tiny
from thalweg.population.engine.task import MembersFinished
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.program import kept_traces
from thalweg.population.program.gradients import GradientProgram
from thalweg.population.program.kept_traces import MOST, traces_of
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

CPU = torch.device("cpu")
SGD = recipe("sgd")
MEMBERS = [Member(SGD, SGD.resolve({"lr": 0.1 * (i + 1)}), seed) for seed in (0, 1) for i in range(2)]
LARGEST = 1e6  # a bound that no loss reaches: results do not show it


def activated(x: Tensor) -> Tensor:
    return torch.tanh(x)


def clipped(x: Tensor) -> Tensor:
    return torch.tanh(x).clamp(max=3.0)


class Net(nn.Module):
    factor = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("scale", torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(activated(self.hidden(x)) * self.scale) * self.factor


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The member counts of all traces."""
    found: list[int] = []
    trace = GradientProgram._trace

    def noted(self: GradientProgram, stack: Any, arguments: Any) -> Any:
        found.append(stack.members)
        return trace(self, stack, arguments)

    monkeypatch.setattr(GradientProgram, "_trace", noted)
    kept_traces._KEPT.clear()
    yield found
    kept_traces._KEPT.clear()


def planned(workload: Workload) -> PlannedJob:
    planned_job = plan_job(workload, 0, device=CPU, workers=1, execution="population")
    assert planned_job.plan.reason == ""
    return planned_job


def curves(planned_job: PlannedJob) -> list[Any]:
    outcomes: dict[int, Any] = {}
    for event in train(planned_job, MEMBERS):
        outcomes |= event.outcomes if isinstance(event, MembersFinished) else {}
    return [outcomes[i].curve for i in range(len(MEMBERS))]


def workload_of(model: Callable[[], nn.Module] = Net, **changes: Any) -> Workload:
    return tiny(model=model, epochs=2, **changes)


def counts(traced: list[int]) -> bool:
    """Whether anything was traced since the last question."""
    any_traced = bool(traced)
    traced.clear()
    return any_traced


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))


def convolving() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize("model", [Net, dropping, convolving])
def test_a_second_plan_traces_nothing_and_trains_the_same(
    model: Callable[[], nn.Module], traced: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.population.planning.timings.folder", lambda: tmp_path)  # both choose by one timing
    workload = workload_of(model)
    first = planned(workload)
    expected = curves(first)
    assert counts(traced)
    second = planned(replace(workload, epochs=1, name="again").to(CPU))
    assert second.plan == first.plan
    assert curves(replace(second, job=replace(second.job, workload=workload))) == expected
    assert set(traced) <= {1}, "a difference in float32 beside the live model is looked at in float64, each time"


def change_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a notebook reloads a function: the same object, other instructions, and results that are the same yet."""
    monkeypatch.setattr(activated, "__code__", clipped.__code__)


def change_global(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "activated", clipped)


def change_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "factor", 1.0 + 1e-6)


def change_method(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Net, x: Tensor) -> Tensor:
        return self.out(activated(self.hidden(x)) * self.scale) * self.factor + 0.0

    forward.__qualname__ = Net.forward.__qualname__
    monkeypatch.setattr(Net, "forward", forward)


def change_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No code of the user's: the results show it."""
    linear = F.linear
    monkeypatch.setattr(F, "linear", lambda x, weight, bias=None: linear(x, weight, bias) * (1 + 1e-6))


def change_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)


CHANGES = (change_code, change_global, change_class, change_method, change_torch, change_dtype)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_in_place_is_traced_anew(
    change: Callable[[pytest.MonkeyPatch], None], traced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = workload_of()
    planned(workload)
    assert counts(traced)
    change(monkeypatch)
    planned(workload)
    assert counts(traced)


def test_a_users_module_is_read_through(traced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is reached by a module's attribute, and changed there."""
    helping = types.ModuleType("helping")
    exec("def act(x):\n    return x.tanh()\n", vars(helping))
    monkeypatch.setitem(sys.modules, "helping", helping)
    monkeypatch.setitem(globals(), "helping", helping)

    class Helped(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.out(helping.act(self.hidden(x)))

    workload = workload_of(Helped)
    planned(workload)
    assert counts(traced)
    exec("def act(x):\n    return x.tanh().clamp(max=3.0)\n", vars(helping))
    planned(workload)
    assert counts(traced)


def test_values_that_code_closes_over(traced: list[int]) -> None:
    held = {"limit": 1e3}

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets).clamp(max=held["limit"])

    workload = workload_of(loss=loss)
    planned(workload)
    assert counts(traced)
    held["limit"] = 1e2
    planned(workload)
    assert counts(traced)


def test_other_factories_losses_and_shapes(traced: list[int]) -> None:
    def model() -> nn.Module:
        return Net()

    workload = workload_of()
    planned(workload)
    assert counts(traced)
    for other in (
        replace(workload, model=model),
        replace(workload, loss=nn.CrossEntropyLoss(label_smoothing=1e-6)),
        replace(workload, batch_size=8),
        replace(workload, train=points(331, 1, torch.float32)),
    ):
        planned(other)
        assert counts(traced)
    planned(workload)
    assert not counts(traced)


def test_what_cannot_be_looked_at_whole_is_not_kept(traced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.population.program.python_walk.MOST_NODES", 3)
    workload = workload_of()
    for _ in range(2):
        planned(workload)
        assert counts(traced)
    assert not kept_traces._KEPT


class Slotted:
    """No weak reference can be made to it."""

    __slots__ = ()

    def __call__(self) -> nn.Module:
        return Net()


def test_a_factory_without_weak_references(traced: list[int]) -> None:
    workload = workload_of(Slotted())
    for _ in range(2):
        planned(workload)
        assert counts(traced)
    assert not kept_traces._KEPT


def test_traces_go_with_the_factory() -> None:
    def model() -> nn.Module:
        return Net()

    workload = workload_of(model)
    planned_job = planned(workload)
    assert planned_job.programs.shared.traces is not planned_job.programs.mixed.traces
    assert len(kept_traces._KEPT) == 2
    del workload, planned_job, model
    gc.collect()
    assert not kept_traces._KEPT


def test_few_are_kept() -> None:
    factories = [lambda: Net() for _ in range(MOST)]
    keys = [kept_traces.TraceKey(factory, F.cross_entropy, b"") for factory in factories]
    first = traces_of(keys[0], True)
    for key in keys[1:]:
        traces_of(key, True)
    assert traces_of(keys[0], True) is first
    traces_of(keys[1], False)
    assert len(kept_traces._KEPT) == MOST
    assert traces_of(keys[0], True) is first
