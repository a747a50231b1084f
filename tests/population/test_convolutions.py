"""Convolutions of a population: unfolded they are torch's, and the quickest way is the one taken."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from problems import tiny, train_all
from scope import THOROUGH
from thalweg.errors import InputError
from thalweg.population.planning import backend, programs
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.program.convolutions import Unfolded, has_convolutions
from thalweg.population.program.gradients import GradientProgram
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's, of its own copy


def results(function: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The output, and the gradient of each tensor for one direction."""
    leaves = [t.clone().requires_grad_() for t in tensors]
    output = function(*leaves)
    direction = torch.randn(output.shape, dtype=output.dtype, generator=torch.Generator().manual_seed(3))
    return output.detach(), *torch.autograd.grad(output, leaves, direction)


def same(function: Any, *tensors: Tensor) -> None:
    """`function` gives the same output and gradients within the context as outside."""

    def unfolded(*leaves: Tensor) -> Tensor:
        with Unfolded():
            return function(*leaves)

    for ours, theirs in zip(results(unfolded, *tensors), results(function, *tensors), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dilation", [1, 2, (2, 1)])
@pytest.mark.parametrize(
    ("stride", "padding"),
    [(1, 0), (2, 1), ((2, 3), (1, 2)), ([3, 1], [2]), (1, "same"), (2, "valid"), ((1,), "valid")],
)
def test_two_directions(stride: Any, padding: Any, dilation: Any, bias: bool) -> None:
    """A kernel of 2 by 3 on 8 by 9: 'same' is uneven, and strides leave a rest."""

    def convolution(x: Tensor, weight: Tensor, *rest: Tensor) -> Tensor:
        return F.conv2d(x, weight, *rest, stride=stride, padding=padding, dilation=dilation)

    same(convolution, normal(3, 2, 8, 9), normal(4, 2, 2, 3), *([normal(4)] if bias else []))


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (3, 2), (1, "same"), ((2,), (1,))])
def test_one_direction(stride: Any, padding: Any, dilation: Any) -> None:
    def convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv1d(x, weight, bias, stride, padding, dilation)

    same(convolution, normal(3, 2, 11), normal(4, 2, 4), normal(4))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"), (3, 2, 6, 5)),
        (nn.Conv2d(2, 4, 3, groups=2), (3, 2, 6, 5)),
        (nn.Conv2d(2, 4, 3), (2, 6, 5)),  # one sample
        (nn.ConvTranspose2d(2, 4, 3), (3, 2, 6, 5)),
        (nn.Conv3d(2, 4, 2), (3, 2, 4, 3, 3)),
    ],
    ids=str,
)
def test_layers_and_what_is_left_to_torch(layer: nn.Module, shape: tuple[int, ...]) -> None:
    same(layer.double(), normal(*shape))


@pytest.mark.parametrize(("shape", "options"), [((3, 5, 6, 5), {}), ((3, 2, 6, 5), {"stride": 2, "padding": "same"})])
def test_what_torch_refuses_is_refused(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError) as theirs:
        F.conv2d(normal(*shape), normal(4, 2, 3, 3), **options)
    with Unfolded(), pytest.raises(RuntimeError) as ours:
        F.conv2d(normal(*shape), normal(4, 2, 3, 3), **options)
    assert str(ours.value) == str(theirs.value)


def test_outside_the_context_torch_is_as_it_was() -> None:
    calls = []

    class Counted(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            calls.append(func)
            return func(*args, **(kwargs or {}))

    with Counted():
        with Unfolded():
            F.conv2d(normal(3, 2, 8, 9), normal(4, 2, 2, 3))
        within = torch.conv2d in calls
        F.conv2d(normal(3, 2, 8, 9), normal(4, 2, 2, 3))
    assert (within, torch.conv2d in calls) == (False, True)


@cache
def convolving(dtype: torch.dtype = torch.float64) -> Workload:
    """Six inputs as pictures of 2 by 3; two convolutions, batch norm and pooling between."""

    def model() -> nn.Module:
        first = (nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2, padding=1), nn.ReLU(), nn.BatchNorm2d(4))
        second = (nn.MaxPool2d(2), nn.Conv2d(4, 5, (1, 2), padding="same"), nn.BatchNorm2d(5))
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(10, 3)).to(dtype)

    return tiny(dtype, model=model, epochs=2)


def members(count: int, seeds: int) -> list[Member]:
    adam = recipe("adam")
    return [Member(adam, adam.resolve({"lr": 1e-3 * (i + 1)}), s) for i in range(count) for s in range(seeds)]


def times(monkeypatch: pytest.MonkeyPatch, alone: float, grouped: float, unfolded: float) -> None:
    """Sets what the clock shows: seconds of each way per run and step."""

    def together(job: Any, program: GradientProgram, *_: Any) -> float:
        return unfolded if program._unfolded else grouped

    monkeypatch.setattr(backend, "time_together", together)
    monkeypatch.setattr(backend, "time_alone", lambda *_: alone)


@pytest.mark.parametrize(
    ("way", "seeds"),
    [("grouped", 1), ("unfolded", 2), *([("grouped", 2), ("unfolded", 1)] if THOROUGH else [])],
    ids=lambda of: {1: "one batch", 2: "each its own"}.get(of, of),
)
def test_a_population_with_batch_norm_is_the_loop(way: str, seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    times(monkeypatch, 1.0, grouped=way != "grouped", unfolded=way != "unfolded")
    chosen, options = members(3, seeds), {"test": True, "keep_weights": True}
    together = train_all(convolving(), chosen, execution="population", **options)
    alone = train_all(convolving(), chosen, execution="loop", **options)
    for ours, theirs in zip(together, alone, strict=True):
        losses = [[(e.train_loss, e.validation_loss) for e in outcome.curve] for outcome in (ours, theirs)]
        torch.testing.assert_close(*map(torch.tensor, losses), rtol=1e-8, atol=0)
        for name, weight in ours.weights.items():
            torch.testing.assert_close(weight, theirs.weights[name], rtol=1e-8, atol=1e-8)


def test_unfolded_programs_hold_no_convolution() -> None:
    found = plan_job(convolving(), 0, device=CPU, workers=1)
    assert found.models is not None
    for unfolded in (False, True):
        shared = programs.programs_of(found.job, found.models.tracing, "unfolded" if unfolded else "grouped").shared
        backend.verified(found.job, {"": shared}, found.models, 0)
        code = "".join(graph.code for graph, *_ in shared.traces.graphs.values())
        assert code
        assert ("convolution" in code) is not unfolded


def planned(
    monkeypatch: pytest.MonkeyPatch, workload: Workload, *seconds: float, execution: Any = "auto"
) -> PlannedJob:
    times(monkeypatch, *seconds)
    return plan_job(workload, 0, device=CPU, workers=1, execution=execution)


@pytest.mark.parametrize(
    ("seconds", "way"),
    [((3e-4, 2e-4, 1e-4), "unfolded"), ((3e-4, 1e-4, 2e-4), "grouped"), ((2e-4, 2e-4, 3e-4), "grouped")],
)
def test_the_quickest_way_is_taken_and_recorded(
    seconds: tuple[float, ...], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = planned(monkeypatch, convolving(), *seconds)
    assert (found.plan.describe()["execution"], found.plan.describe()["program"]) == ("population", way)
    assert {found.programs.shared._unfolded, found.programs.mixed._unfolded} == {way == "unfolded"}


def test_the_loop_is_taken_where_neither_way_is_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned(monkeypatch, convolving(), 1e-4, 1.2e-4, 1.1e-4)
    assert found.plan.reason == "it is faster here, 100 against 120 (grouped) and 110 (unfolded) µs per run and step"
    assert found.plan.describe()["execution"] == "loop"
    assert "program" not in found.plan.describe()


def test_a_population_that_is_asked_for_takes_the_quicker_of_its_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned(monkeypatch, convolving(), 1e-4, 3e-4, 2e-4, execution="population")
    assert found.plan.describe()["program"] == "unfolded"


def test_a_way_that_disagrees_with_the_loop_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "disagreement", lambda job, program, *_: "wrong" if program._unfolded else "")
    assert planned(monkeypatch, convolving(), 3e-4, 2e-4, 1e-4).plan.describe()["program"] == "grouped"
    monkeypatch.setattr(backend, "disagreement", lambda *_: "wrong")
    assert planned(monkeypatch, convolving(), 3e-4, 2e-4, 1e-4).plan.reason == "wrong"
    with pytest.raises(InputError, match="cannot train as a population: wrong"):
        planned(monkeypatch, convolving(), 3e-4, 2e-4, 1e-4, execution="population")


def test_convolutions_are_timed_at_four_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members say little about how a grouped convolution does when there are many."""
    widths = []
    monkeypatch.setattr(backend, "time_together", lambda *of: widths.append(of[-1]) or 0.0)
    plan_job(convolving(), 0, device=CPU, workers=1)
    plan_job(tiny(), 0, device=CPU, workers=1)
    assert widths == [4, 4, 2]


def test_a_model_without_convolutions_has_no_way_to_record(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned(monkeypatch, tiny(), 1e-4, 1.4e-4, 0.0)
    assert (found.plan.reason, found.plan.program) == ("", "")
    assert "program" not in found.plan.describe()
    assert planned(monkeypatch, tiny(), 1e-4, 1.6e-4, 0.0).plan.reason.endswith("100 against 160 µs per run and step")
    assert not has_convolutions(tiny().model())
