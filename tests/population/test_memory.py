"""How many members train at once, what they are expected to hold, and what happens where memory runs out."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from problems import finished, tiny, train_all
from thalweg.errors import InputError
from thalweg.population.engine import task
from thalweg.population.planning import memory
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.training.evaluation import evaluation_bytes
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe

CPU = torch.device("cpu")
PARAMETERS = 6 * 16 + 16 + 16 * 3 + 3
MODEL = 5 * 4 * PARAMETERS  # bytes of its five copies


def chosen(count: int = 6) -> list[Member]:
    adam = recipe("adam")
    return [Member(adam, adam.resolve({"lr": 1e-3 * (i + 1)}), 0) for i in range(count)]


def test_what_a_member_holds() -> None:
    """Its copies, and some of what each layer gives for a batch of 16, forward and backward."""
    plan = plan_job(tiny(), 0, device=CPU, workers=2, execution="population").plan
    layers = 2 * 4 * 16 * (16 + 3)
    assert MODEL + layers // 2 <= plan.member <= MODEL + 4 * layers + 4 * PARAMETERS
    assert plan.memory(3) == 3 * plan.member + 2 * plan.evaluation  # a worker evaluates its own
    assert plan.memory(1000) == 2 * (plan.width * plan.member + plan.evaluation)
    assert plan.describe()["bytes_per_run"] == plan.member


def test_a_limit_narrows_the_population(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "held", lambda: 1_000_000)
    monkeypatch.setattr(memory, "coming", lambda: 0)
    found = plan_job(tiny(), 0, device=CPU, workers=2, execution="population")
    member = found.plan.member
    for width in (1, 7):
        limit = 1_000_000 + 2 * (width * member + evaluation_bytes(found.job, width)) + member
        plan = plan_job(tiny(), 0, device=CPU, workers=2, execution="population", memory=limit).plan
        assert plan.width == width
        assert plan.memory(1000) <= limit - 1_000_000
        assert all(len(part) <= width for part in plan.populations(chosen(30)))


def test_a_limit_without_room_for_a_run_is_refused() -> None:
    with pytest.raises(InputError, match=r"memory must be at least [\d,]+ MB for 2 workers .* got 10 MB"):
        plan_job(tiny(), 0, device=CPU, workers=2, memory=10_000_000)


def test_this_process_holds_something() -> None:
    assert 10_000_000 < memory.held() < 1 << 40


def short_of_memory(above: int, error: Exception) -> Callable[..., Any]:
    """`train_vectorized` that fails for more members than `above`."""
    real = task.train_vectorized

    def trained(job: Any, members: Any, *rest: Any) -> Any:
        if len(members) > above:
            raise error
        return real(job, members, *rest)

    return trained


ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_where_memory_runs_out_fewer_train_at_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train_all(tiny(), chosen(), execution="population")
    monkeypatch.setattr(task, "train_vectorized", short_of_memory(2, error))
    _, outcomes = finished(tiny(), chosen(), execution="population")
    assert sorted(outcomes) == list(range(6))
    for i, outcome in outcomes.items():
        assert int(outcome.execution.removeprefix("population of ")) <= 2
        assert outcome.curve[-1].validation_loss == pytest.approx(expected[i].curve[-1].validation_loss, rel=1e-4)


def test_not_even_one_run_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "train_vectorized", short_of_memory(0, MemoryError()))
    with pytest.raises(InputError, match="not enough memory for a single run"):
        train_all(tiny(), chosen(), execution="population")


def test_the_compiler_of_the_kernels_is_counted_before_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert memory.coming() == 0
    monkeypatch.delitem(sys.modules, "numba")
    assert memory.coming() == memory.COMPILER
