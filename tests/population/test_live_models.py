"""Models whose code keeps state or draws numbers of its own: what trains is what the same code does by hand."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from problems import Hidden, finished, points, tiny, train_all
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.training.live import LiveModel
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

CPU = torch.device("cpu")
SGD = recipe("sgd")


def members(count: int = 2, seed: int = 0) -> list[Member]:
    return [Member(SGD, SGD.resolve({"lr": 0.1 * (i + 1)}), seed) for i in range(count)]


def problem(model: Callable[[], nn.Module], **changes: Any) -> Workload:
    return tiny(torch.float64, model=lambda: model().double(), **{"epochs": 2, "test": None, **changes})


def planned(workload: Workload) -> PlannedJob:
    return plan_job(workload, 0, device=CPU, workers=2)


def by_hand(workload: Workload, member: Member) -> list[float]:
    """The validation losses of the documented recipe, written out."""
    torch.manual_seed(member.seed)
    model, order = workload.model(), torch.Generator().manual_seed(member.seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=member.values["lr"])
    losses = []
    for _ in range(workload.epochs):
        for index in torch.randperm(len(workload.train), generator=order).split(workload.batch_size):
            optimizer.zero_grad()
            workload.loss(model(workload.train.inputs[0][index]), workload.train.targets[index]).backward()
            optimizer.step()
        with torch.no_grad():
            outputs = model.eval()(workload.validation.inputs[0])
            losses.append(float(workload.loss(outputs, workload.validation.targets)))
        model.train()
    return losses


def held_to_the_hand(workload: Workload, outcomes: list[Trained], chosen: list[Member]) -> None:
    with torch.random.fork_rng(devices=[]):
        for member, outcome in zip(chosen, outcomes, strict=True):
            losses = [m.validation_loss for m in outcome.curve]
            assert losses == pytest.approx(by_hand(workload, member), rel=1e-9)


class Switched(nn.Module):
    """A layer that is a hundredth as strong until its 20th training call."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)
        self.begin()

    def begin(self) -> None:
        """Sets what counts the calls."""

    def on(self) -> bool:
        """Counts a training call; whether there were enough."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.late = self.on()
        return self.out(x) * (1.0 if self.late else 0.01)

    late = False


class ANumber(Switched):
    def begin(self) -> None:
        self.n = 0

    def on(self) -> bool:
        self.n += 1
        return self.n > 20


class AList(Switched):
    def begin(self) -> None:
        self.calls: list[int] = []

    def on(self) -> bool:
        self.calls.append(0)
        return len(self.calls) > 20


class AnObject(Switched):
    def begin(self) -> None:
        self.out.schedule = SimpleNamespace(step={"n": 0})

    def on(self) -> bool:
        self.out.schedule.step["n"] += 1
        return bool(self.out.schedule.step["n"] > 20)


class APythonGenerator(Switched):
    def begin(self) -> None:
        self.schedule = self.counting()

    @staticmethod
    def counting() -> Iterator[int]:
        yield from range(1, 10**6)

    def on(self) -> bool:
        return next(self.schedule) > 20


class AnIterator(Switched):
    def begin(self) -> None:
        self.count = itertools.count(1)

    def on(self) -> bool:
        return next(self.count) > 20


class ATensor(Switched):
    """A tensor that is neither a parameter nor a buffer, changed in place."""

    def begin(self) -> None:
        self.n = torch.zeros(())

    def on(self) -> bool:
        self.n += 1
        return bool(self.n > 20)


class AnUnregisteredModule(Switched):
    def begin(self) -> None:
        self.others = [nn.Linear(1, 1)]

    def on(self) -> bool:
        with torch.no_grad():
            self.others[0].weight.fill_(self.others[0].weight.item() + 1 if self.others[0].weight > 1 else 2.0)
        return self.others[0].weight.item() > 20


class AGenerator(nn.Module):
    """Noise from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.source = nn.Linear(6, 3), torch.Generator().manual_seed(5)

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=self.source, dtype=x.dtype) if self.training else 0
        return self.out(x + noise)


class Hooked(nn.Module):
    """A hook that counts in what it closes over."""

    def __init__(self) -> None:
        super().__init__()
        self.out, calls = nn.Linear(6, 3), []

        def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            calls.append(0)
            return output * (1.0 if len(calls) > 20 else 0.01)

        self.out.register_forward_hook(hook)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x)


KEPT = (ANumber, AList, AnObject, APythonGenerator, AnIterator, ATensor, AnUnregisteredModule, AGenerator, Hooked)


@pytest.mark.parametrize("model", KEPT)
def test_state_in_the_code_sends_a_model_to_the_loop_and_is_told_before(model: type[nn.Module]) -> None:
    """Three equal steps show none of it; the loop trains and evaluates the live model."""
    workload, chosen = problem(model), members()
    planned_job = planned(workload)
    assert "its code keeps state between calls" in planned_job.plan.reason
    assert planned_job.plan.describe()["fallback"] == planned_job.plan.reason
    outcomes = train_all(workload, chosen)
    assert all(outcome.execution == f"loop: {planned_job.plan.reason}" for outcome in outcomes)
    held_to_the_hand(workload, outcomes, chosen)


class Stale(nn.Module):
    """`.item()` sends it to the loop; it answers differently after 20 training calls."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.n = nn.Linear(6, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.n += self.training
        x.sum().item()
        return self.out(x) * (1.0 if self.n > 20 else 0.1)


def test_the_model_that_was_trained_is_the_one_that_is_evaluated() -> None:
    workload, chosen = problem(Stale), members(1)
    held_to_the_hand(workload, train_all(workload, chosen), chosen)


def test_averaged_weights_are_evaluated_in_the_live_model() -> None:
    averaged = Member(SGD, SGD.resolve({"lr": 0.1, "ema_decay": 0.9}), 0)
    outcome = train_all(problem(Stale), [averaged], keep_weights=True)[0]
    assert outcome.curve[-1].validation_loss is not None
    model = Stale().double()
    model.load_state_dict(outcome.weights)
    model.n = 21 * 2
    x, y = points(90, 2, torch.float64)
    assert outcome.curve[-1].validation_loss == pytest.approx(F.cross_entropy(model.eval()(x), y).item(), rel=1e-9)


@pytest.mark.parametrize("calls", [2, 5])
def test_what_no_fingerprint_reaches_shows_beside_a_new_models_trace(calls: int) -> None:
    """The models that a program is compared with have been called before; the one that was traced has not."""
    assert planned(problem(lambda: Hidden(calls))).plan.reason.startswith(
        "traced, the loss differs from the plain loop's"
    )


@pytest.mark.parametrize("calls", [10, 15])
def test_what_no_fingerprint_reaches_shows_beside_the_population(calls: int) -> None:
    """It is trained again by the loop from its first step; progress is told once."""
    workload, chosen = problem(lambda: Hidden(calls)), members(3)
    assert planned(workload).plan.reason == ""
    progress, outcomes = finished(workload, chosen, execution="population")
    assert progress == 3 * workload.epochs
    assert {outcome.execution for outcome in outcomes.values()} == {
        f"loop: traced, the loss differs from the live model's at step {calls + 1}"
    }
    held_to_the_hand(workload, [outcomes[i] for i in range(3)], chosen)


def test_a_population_that_agrees_is_called_through_one_epoch_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared at every call; the populations after the first are trusted."""
    steps: list[tuple[int, bool]] = []
    call = LiveModel.call

    def noted(self: LiveModel, *given: Any) -> bool:
        due = call(self, *given)
        steps.append((given[-1], due))
        return due

    monkeypatch.setattr(LiveModel, "call", noted)
    planned_job = plan_job(tiny(), 0, device=CPU, workers=1, execution="population")
    assert not planned_job.programs.shared.trusted
    train_with(planned_job, members(10))
    assert [step for step, _ in steps] == list(range(1, 22))
    assert all(compared for _, compared in steps)
    train_with(planned_job, members(10))
    assert len(steps) == 21


@pytest.mark.parametrize(("epochs", "count", "calls"), [(1, 1, 100), (1, 20, 165), (2, 10, 165), (20, 1, 165)])
def test_how_long_the_live_model_is_called(epochs: int, count: int, calls: int) -> None:
    """For an epoch of 165 steps, or for 100 where that is more than a twentieth of all steps."""
    workload = tiny(batch_size=2, epochs=epochs)
    planned_job = plan_job(workload, 0, device=CPU, workers=1, execution="population")
    assert LiveModel(planned_job.job, planned_job.programs.shared, 0, count)._last == calls


def train_with(planned_job: PlannedJob, chosen: list[Member]) -> None:
    for _ in train(planned_job, chosen):
        pass


def test_a_gradient_that_jumps_in_float32_only_is_no_disagreement() -> None:
    """A large ReLU net through an epoch: whatever float32 makes of kinks, float64 agrees."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 3))

    outcomes = train_all(tiny(model=model, epochs=1), members(2), execution="population")
    assert {outcome.execution for outcome in outcomes} <= {"population of 1", "population of 2"}


CALLS = {"n": 0}


class InAGlobal(nn.Linear):
    """It counts in its file."""

    def forward(self, x: Tensor) -> Tensor:
        CALLS["n"] += 1
        return super().forward(x) * (1 if CALLS["n"] < 10**6 else 0)


class InItsClass(nn.Linear):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        type(self).calls += 1
        return super().forward(x)


def counting_loss() -> Callable[[Tensor, Tensor], Tensor]:
    calls = 0

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return F.cross_entropy(outputs, targets) * (2 if calls > 1000 else 1)

    return loss


SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "a global": ("class InAGlobal", {"model": lambda: InAGlobal(6, 3)}),
    "a class": ("class InItsClass", {"model": lambda: InItsClass(6, 3)}),
    "a loss": ("the loss", {"loss": counting_loss()}),
}


@pytest.mark.parametrize(("name", "changes"), SHARED.values(), ids=SHARED)
def test_state_that_all_runs_share_is_told(name: str, changes: dict[str, Any]) -> None:
    """Runs go one after the other, since each changes what the others see."""
    planned_job = planned(tiny(**changes))
    assert f"({name} changes)" in planned_job.plan.reason
    assert planned_job.plan.workers == 1
    assert any("cannot be repeated alone" in note and name in note for note in planned_job.job.notes)


class PythonNoise(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * random.uniform(0.5, 1.5) if self.training else x)


class NumpyNoise(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.from_numpy(np.random.normal(size=tuple(x.shape))).to(x) * self.training)


@pytest.mark.parametrize("model", [PythonNoise, NumpyNoise])
def test_other_random_numbers_are_seeded_for_every_run(model: type[nn.Linear]) -> None:
    workload, chosen = tiny(model=lambda: model(6, 3), epochs=2), members(3)
    before = random.getstate(), np.random.get_state()[1].tolist()
    planned_job = planned(workload)
    assert planned_job.plan.reason == "it draws from Python's or NumPy's random numbers"
    curves = [[outcome.curve for outcome in train_all(workload, chosen)] for _ in range(2)]
    assert curves[0] == curves[1]
    alone = train_all(workload, chosen[1:2])[0]
    assert alone.curve == curves[0][1]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_initial_weights_may_be_drawn_by_numpy() -> None:
    def model() -> nn.Module:
        layer = nn.Linear(6, 3)
        nn.init.constant_(layer.bias, np.random.normal() + random.random())
        return layer

    planned_job = planned(tiny(model=model))
    assert planned_job.plan.reason == ""
    assert planned_job.job.notes == ()


def test_a_model_that_cannot_be_repeated_is_said_to_be_so() -> None:
    class Fresh(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * float(np.random.default_rng().uniform(0.5, 1.5)))

    planned_job = planned(tiny(model=lambda: Fresh(6, 3)))
    assert "of equal weights, batch and seed it gives losses" in planned_job.plan.reason
    assert any(note.startswith("Runs cannot be repeated") for note in planned_job.job.notes)


def test_a_factory_that_seeds_itself_is_noted() -> None:
    def model() -> nn.Module:
        torch.manual_seed(3)
        return nn.Linear(6, 3)

    assert any("the same initial weights for every seed" in note for note in planned(tiny(model=model)).job.notes)
    assert planned(tiny()).job.notes == ()


class Locked(nn.Linear):
    """A lock cannot be copied."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.lock = threading.Lock()

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            return super().forward(x)


class Cached(nn.Linear):
    """Nor can a tensor that has a history."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.product = self.weight.sum() * 2


def weight_norm() -> nn.Module:
    return nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


@pytest.mark.parametrize("model", [Locked, Cached, weight_norm])
@pytest.mark.parametrize("execution", ["auto", "loop"])
def test_nothing_is_copied_that_the_factory_can_build(model: Callable[[], nn.Module], execution: Any) -> None:
    workload, chosen = problem(model), members(2)
    held_to_the_hand(workload, train_all(workload, chosen, execution=execution), chosen)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_the_old_weight_norm_trains() -> None:
    """It keeps the product of its parts as an attribute."""

    def model() -> nn.Module:
        return nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))

    workload, chosen = problem(model), members(1)
    held_to_the_hand(workload, train_all(workload, chosen), chosen)


class Derivative(nn.Module):
    """It takes a derivative with `torch.func`, under which saved tensors cannot be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.func.vmap(torch.func.grad(lambda row: (row**3).sum()))(x))


def test_a_model_that_uses_torchs_functional_transforms() -> None:
    workload, chosen = problem(Derivative), members()
    held_to_the_hand(workload, train_all(workload, chosen), chosen)


def test_buffers_that_change_in_training_are_no_irreproducible_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spectral norm goes on with its power iteration at every call; a large model is looked at by other calls."""

    def model() -> nn.Module:
        return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 32)), nn.Tanh(), nn.Linear(32, 3))

    assert planned(tiny(model=model)).job.notes == ()
    monkeypatch.setattr("thalweg.population.training.job.LARGE_BYTES", 10)
    planned_job = planned(tiny(model=model))
    assert planned_job.job.notes == ()
    assert "leaves runs nothing to share" in planned_job.plan.reason
