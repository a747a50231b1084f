"""How often a comparison calls the user's `model()`, and that what is reused in its place is what it would return."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import thalweg
from problems import points, tiny
from scope import conformance_only, in_turns
from thalweg.population.planning import memory
from thalweg.population.planning.inspection import inspect
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.planning.trial import rehearsal
from thalweg.population.program.models import build, state
from thalweg.population.program.trial_models import replica
from thalweg.population.training.job import Job
from thalweg.studies import training

CPU = torch.device("cpu")
MOST = 3  # two of one seed, which must agree, and one of another
MEASURED: dict[str, dict[str, Any]] = {"unmeasured": {}, "budget": {"budget": 60.0}, "memory": {"memory": 8e9}}


class Counting(nn.Linear):
    """It counts its calls in Python: only the loop can train it."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(x) * (1 + 0.01 * self.calls)


class Asking(nn.Linear):
    """It reads its parameters in a step, for which the program is compared in float64 too."""

    def __init__(self) -> None:
        super().__init__(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.0 * sum(p.sum() for p in self.parameters())


class Closing(nn.Module):
    """A closure over the module itself, which a replica shares with the original."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)
        self.call = lambda x: self.out(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 3))


def convolving() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x[:, None])[0][:, 0])


MODELS = {"plain": lambda: nn.Linear(6, 3), "normed": normed, "convolving": convolving, "asking": Asking,
          "counting": Counting, "recurrent": Recurrent}  # fmt: skip


class Calls:
    """A factory that counts its calls, in all and before the first stage of training."""

    def __init__(self, make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
        self._make, self.count, self.before = make, 0, -1
        trained = training.train

        def train(*args: Any, **options: Any) -> Any:
            self.before = self.count if self.before < 0 else self.before
            return trained(*args, **options)

        monkeypatch.setattr(training, "train", train)

    def __call__(self) -> nn.Module:
        self.count += 1
        return self._make()


@pytest.fixture(autouse=True)
def populations_wherever_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)


@pytest.mark.parametrize(("name", "measured"), in_turns(MODELS, MEASURED))
def test_three_calls_before_training(name: str, measured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(MODELS[name], monkeypatch)
    thalweg.compare(
        tiny(model=calls, epochs=1), optimizers=["sgd", "adam"], learning_rates=[0.01, 0.1], seeds=2, confirm_seeds=0,
        progress=False, **MEASURED[measured],
    )  # fmt: skip
    assert calls.before == MOST


@conformance_only
def test_three_calls_before_optimizers_of_others_train(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(normed, monkeypatch)
    names = ["torch.optim:RAdam", "torch.optim:LBFGS"]
    thalweg.compare(
        tiny(model=calls, epochs=1), optimizers=names, learning_rates=[0.01, 0.1], seeds=1, confirm_seeds=0,
        progress=False,
    )  # fmt: skip
    assert calls.before == MOST


def test_a_population_calls_it_once_for_each_of_its_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """And once for the model that it is compared with as it begins."""
    calls, threads = Calls(MODELS["plain"], monkeypatch), torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    thalweg.compare(
        tiny(model=calls, epochs=1), optimizers=["sgd"], learning_rates=[0.01, 0.1], seeds=3, confirm_seeds=0,
        progress=False,
    )  # fmt: skip
    torch.set_num_threads(threads)  # which the call took for 1
    assert calls.count == MOST + 3 + 1


@pytest.mark.parametrize("name", ["plain", "normed", "convolving", "asking", "recurrent"])
def test_the_models_of_the_checks_are_put_back(name: str) -> None:
    """Whatever was done to them, in training, evaluation or float64: tensors, memory, dtypes and names."""
    torch.manual_seed(0)
    job, models = inspect(Job(tiny(model=MODELS[name]), CPU, frozenset()), 0)
    expected = state(build(job.workload, 0, CPU))
    places = {n: t.data_ptr() for n, t in state(models.first).items()}
    for model in (models.first, models.second, models.tracing):
        model.double().eval()
        for tensor in state(model).values():
            tensor.add_(1)
        model.register_buffer("later", torch.ones(2))
    for model in models.reset():
        assert model.training
        assert state(model).keys() == expected.keys()
        for n, tensor in state(model).items():
            assert torch.equal(tensor, expected[n])
            assert tensor.dtype == expected[n].dtype
        assert all(p.grad is None for p in model.parameters())
    assert places == {n: t.data_ptr() for n, t in state(models.first).items()}


@pytest.mark.parametrize("name", MODELS)
def test_a_replica_has_tensors_of_its_own(name: str) -> None:
    model = MODELS[name]()
    before = copy.deepcopy(state(model))
    copied, x = replica(model), points(16, 1, torch.float32)[0]
    torch.manual_seed(0)
    expected = copy.deepcopy(model)(x)
    torch.manual_seed(0)
    assert torch.equal(copied(x), expected)
    F.mse_loss(copied(x), torch.zeros(16, 3)).backward()
    with torch.no_grad():
        for p in copied.parameters():
            assert p.grad is not None
            p.sub_(p.grad)
    assert all(torch.equal(t, before[n]) for n, t in state(model).items())
    assert all(p.grad is None for p in model.parameters())


def test_tied_weights_are_tied_in_a_replica() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    copied = replica(model)
    assert copied[1].weight is copied[0].weight
    assert copied[0].weight is not model[0].weight


def test_code_that_holds_on_to_the_original_is_tried_on_new_models() -> None:
    calls = 0

    def model() -> nn.Module:
        nonlocal calls
        calls += 1
        return Closing()

    job, models = inspect(Job(tiny(model=model), CPU, frozenset()), 0)
    assert calls == MOST
    rehearsal(job, models, 0).workload.model()
    assert calls == MOST + 1
    assert all(p.grad is None for p in models.reset()[0].parameters())


def test_what_is_timed_on_a_few_samples_is_not_the_start_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace of a large model is measured on a part of the validation split; its runs begin on all of it."""
    monkeypatch.setattr("thalweg.population.training.job.LARGE_BYTES", 10)
    workload = tiny(epochs=1)
    options: dict[str, Any] = {"optimizers": ["sgd"], "learning_rates": [0.1], "seeds": 1, "confirm_seeds": 0}
    run = thalweg.compare(workload, **options, progress=False, budget=60.0).runs[0]
    model, (x, y) = build(workload, 0, CPU).eval(), (workload.validation.inputs[0], workload.validation.targets)
    assert run.initial_validation_loss == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-5)


def test_a_large_model_that_is_asked_to_train_as_a_population_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.population.training.job.LARGE_BYTES", 10)
    assert plan_job(tiny(), 0, device=CPU, workers=1, execution="population").plan.reason == ""
    large = plan_job(tiny(), 0, device=CPU, workers=1)
    assert large.plan.reason == large.job.large
    assert large.models is not None
    assert large.models.bytes == 2 * large.job.model_bytes, "a large model is not held twice"


def test_what_is_freed_before_training_is_room_for_runs() -> None:
    job, models = inspect(Job(tiny(), CPU, frozenset()), 0)
    assert models.bytes == 5 * job.model_bytes
    limit = memory.held() + (1 << 30)
    widths = [memory.width(job, 1, 40 << 20, limit, freed) for freed in (0, 200 << 20)]
    assert widths[0] < widths[1] <= widths[0] + 6
