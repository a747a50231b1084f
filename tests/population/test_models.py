"""The models that users bring: several inputs, batch norm, dropout, and those that cannot be vectorized."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from problems import points, tiny, train_all
from thalweg.errors import InputError
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

CPU = torch.device("cpu")


def members(count: int, name: str = "adam", seeds: int = 1) -> list[Member]:
    r = recipe(name)
    return [Member(r, r.resolve({"lr": 1e-3 * (i + 1)}), s) for i in range(count) for s in range(seeds)]


def agree(workload: Workload, tolerance: float, chosen: list[Member]) -> None:
    """The population and the loop give the same curves, metrics and buffers."""
    together = train_all(workload, chosen, execution="population", test=True, keep_weights=True)
    alone = train_all(workload, chosen, execution="loop", test=True, keep_weights=True)
    for a, b in zip(together, alone, strict=True):
        assert len(a.curve) == len(b.curve) == workload.epochs
        for ours, theirs in zip(a.curve, b.curve, strict=True):
            assert ours.train_loss == pytest.approx(theirs.train_loss, rel=tolerance)
            assert ours.validation_loss == pytest.approx(theirs.validation_loss, rel=tolerance)
        assert a.weights.keys() == b.weights.keys()
        for name in a.weights:
            torch.testing.assert_close(a.weights[name], b.weights[name], rtol=tolerance, atol=tolerance)


class TwoInputs(nn.Module):
    """Joins two inputs, with batch norm between."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(6, 8), nn.Linear(6, 8)
        self.norm, self.out = nn.BatchNorm1d(16), nn.Linear(16, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(torch.cat([self.left(a), self.right(b)], 1))))


def two_inputs() -> Workload:
    def split(n: int, seed: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        a, y = points(n, seed, torch.float64)
        return (a, a.flip(1)), y

    return Workload(
        name="two inputs",
        model=lambda: TwoInputs().double(),
        train=split(205, 1),
        validation=split(50, 2),
        test=split(50, 3),
        batch_size=20,
        epochs=4,
    )


def test_two_inputs_batch_norm_and_an_odd_last_batch() -> None:
    """205 samples in batches of 20: the last batch of every epoch holds 5."""
    agree(two_inputs(), 1e-8, members(3, seeds=2))


def test_batch_norm_statistics_are_each_members_own() -> None:
    outcomes = train_all(two_inputs(), members(2), execution="population", keep_weights=True)
    means = [outcome.weights["norm.running_mean"] for outcome in outcomes]
    assert not torch.equal(means[0], means[1])
    assert outcomes[0].weights["norm.num_batches_tracked"].item() == 4 * 11


class Dropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.drop, self.out = nn.Linear(6, 16), nn.Dropout(0.4), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        noise = 0.01 * torch.randn_like(x)
        return self.out(self.drop(torch.relu(self.hidden(x + noise))))


def test_dropout_draws_the_same_whoever_else_is_trained() -> None:
    workload = tiny(torch.float64, model=lambda: Dropout().double())
    agree(workload, 1e-8, members(3, seeds=2))
    alone = train_all(workload, members(1))
    company = train_all(workload, members(4, seeds=2))
    assert [e.train_loss for e in alone[0].curve] == pytest.approx([e.train_loss for e in company[0].curve], rel=1e-9)


def test_dropout_masks_differ_between_seeds_and_steps() -> None:
    workload = tiny(torch.float64, model=lambda: Dropout().double())
    a, b = train_all(workload, members(1, seeds=2), execution="population")
    assert a.curve[0].train_loss != b.curve[0].train_loss


class Counter(nn.Module):
    """Python state that tracing would freeze."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.calls = nn.Linear(6, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.out(x) * self.calls


class Branches(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.out(x)
        return y if y.mean() > 0 else y * 2


class Recurrent(nn.Module):
    """An operation without a batching rule."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(x[:, None, :])[0][:, -1])


@pytest.mark.parametrize("model", [Counter, Branches])
def test_what_cannot_be_traced_goes_through_the_loop_and_says_why(model: Callable[[], nn.Module]) -> None:
    workload = tiny(torch.float32, model=model, epochs=1)
    planned_job = plan_job(workload, 0, device=CPU, workers=2)
    assert planned_job.plan.reason
    outcome = train_all(workload, members(2))[0]
    assert outcome.execution == f"loop: {planned_job.plan.reason}"
    assert outcome.curve[0].train_loss is not None


def test_a_recurrent_model_trains() -> None:
    outcome = train_all(tiny(torch.float32, model=Recurrent), members(2))[0]
    assert outcome.curve[-1].train_loss < outcome.curve[0].train_loss  # type: ignore[operator]


class Frozen(nn.Module):
    """One layer that is not trained, one parameter that the loss never sees."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.hidden.requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.hidden(x)))


def test_frozen_and_unused_parameters_stay() -> None:
    workload = tiny(torch.float32, model=Frozen)
    r = recipe("adamw")
    outcome = train_all(workload, [Member(r, r.resolve({"weight_decay": 0.5}), 0)] * 2, keep_weights=True)[0]
    torch.manual_seed(0)
    before = Frozen().state_dict()
    assert torch.equal(outcome.weights["hidden.weight"], before["hidden.weight"])
    assert torch.equal(outcome.weights["unused"], before["unused"])
    assert not torch.equal(outcome.weights["out.weight"], before["out.weight"])


def test_a_gradient_that_is_only_rounding_is_no_disagreement() -> None:
    """Batch norm takes out what the bias before it adds: that bias's gradient is zero but for rounding."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 3))

    assert (
        plan_job(tiny(torch.float32, model=model), 0, device=CPU, workers=1, execution="population").plan.reason == ""
    )


class Elsewhere(torch.autograd.Function):
    """The identity, whose gradient under tracing is a hundredth larger: what a wrong rule would do."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.wrong = torch._C._functorch.is_functorch_wrapped_tensor(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * (1.01 if ctx.wrong else 1)


def test_a_gradient_that_is_wrong_by_more_than_rounding_is_one() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.tanh(Elsewhere.apply(self.hidden(x))))

    reason = plan_job(tiny(torch.float32, model=Wrong), 0, device=CPU, workers=1).plan.reason
    assert reason.startswith("traced, the gradient of hidden.")


def test_a_convolution_agrees_with_the_loop() -> None:
    def model() -> nn.Module:
        layers = (nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))
        return nn.Sequential(*layers).double()

    agree(tiny(torch.float64, model=model, epochs=2), 1e-8, members(2))


class Raises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Any:
        raise RuntimeError("shapes do not fit here")


def test_a_model_that_raises_is_told_with_its_line() -> None:
    with pytest.raises(
        InputError, match=r"tiny.*RuntimeError: shapes do not fit here \(raised at .*test_models.py:\d+"
    ):
        plan_job(tiny(torch.float32, model=Raises), 0, device=CPU, workers=1)


def test_a_factory_that_returns_no_module() -> None:
    with pytest.raises(InputError, match=r"must return an nn.Module, got int"):
        plan_job(tiny(torch.float32, model=lambda: 3), 0, device=CPU, workers=1)


def test_a_metric_that_returns_no_number() -> None:
    workload = tiny(torch.float32, metric=lambda outputs, targets: "good")
    with pytest.raises(InputError, match=r"must return a number, got 'good'"):
        train_all(workload, members(1))


def test_threads_and_random_state_are_left_as_found() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train_all(tiny(torch.float32, model=Dropout), members(2, seeds=2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 2
