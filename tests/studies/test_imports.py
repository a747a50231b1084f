"""Classes of other libraries in comparisons: tried on the model's own parameters, and stepped as they ask to be."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import thalweg
from thalweg.recipes.imported import Imported

X = torch.randn(80, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
QUICK: dict[str, Any] = {"learning_rates": [0.1], "seeds": 1, "confirm_seeds": 0, "progress": False}


class Watched(torch.optim.SGD):
    """Evaluates twice a step; says what it saw."""

    seen: ClassVar[list[tuple[float, float, float]]] = []

    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        first = closure()
        again = closure()
        group = [p for of in self.param_groups for p in of["params"] if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in group]))
        Watched.seen.append((float(first), float(again), float(norm)))
        super().step()
        return first


class Aware(torch.optim.SGD):
    """Sharpness-aware: its closure is an option that it insists on."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is not None, "a closure is needed"
        closure()
        super().step()


class Forgetful(torch.optim.SGD):
    def step(self, closure: Callable[[], Tensor]) -> None:  # type: ignore[override]
        super().step()


class Kernels(torch.optim.SGD):
    """Takes one parameter of four dimensions alone."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.1) -> None:
        params = list(params)
        if any(p.ndim != 4 for p in params):
            raise ValueError("kernels only")
        super().__init__(params, lr=lr)


class Hooked(torch.optim.SGD):
    """Steps in the backward pass, by hooks that its constructor leaves on the parameters."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        for p in self.param_groups[0]["params"]:
            assert not p._post_accumulate_grad_hooks, "another's hooks"
            p.register_post_accumulate_grad_hook(lambda p: None)


def named(cls: type) -> str:
    return f"{__name__}:{cls.__name__}"


def workload(model: Callable[[], nn.Module] = lambda: nn.Linear(6, 2, bias=False), **changes: Any) -> thalweg.Workload:
    data = {"train": (X[:64], Y[:64]), "validation": (X[64:], Y[64:])}
    return thalweg.Workload(name="w", model=model, **{"batch_size": 16, "epochs": 2, **data, **changes})


def compared(workload: thalweg.Workload, *optimizers: str, **options: Any) -> thalweg.Result:
    return thalweg.compare(workload, optimizers=list(optimizers), **{**QUICK, **options})


def by_hand(factory: Callable[[], nn.Module], make: Callable[..., torch.optim.Optimizer]) -> float:
    """The same training written out, by a closure. Returns the validation loss."""
    torch.manual_seed(0)
    model, order = factory(), torch.Generator().manual_seed(0)
    optimizer = make(model.parameters())
    for _ in range(2):
        for index in torch.randperm(64, generator=order).split(16):

            def closure(index: Tensor = index) -> Tensor:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(X[:64][index]), Y[:64][index])
                loss.backward()
                return loss

            optimizer.step(closure)
    with torch.no_grad():
        return F.cross_entropy(model.eval()(X[64:]), Y[64:]).item()


def test_matrices_only() -> None:
    result = compared(workload(), "torch.optim:Muon", learning_rates=[1e-2])
    expected = by_hand(lambda: nn.Linear(6, 2, bias=False), lambda p: torch.optim.Muon(p, lr=1e-2))
    assert result.runs[0].curve[-1].validation_loss == pytest.approx(expected, rel=1e-6)


def test_kernels_only() -> None:
    model = lambda: nn.Sequential(nn.Conv2d(1, 2, 2, bias=False), nn.Flatten())  # noqa: E731
    small = workload(
        model, train=(X[:64, :4].reshape(-1, 1, 2, 2), Y[:64]), validation=(X[64:, :4].reshape(-1, 1, 2, 2), Y[64:])
    )
    assert not compared(small, named(Kernels)).runs[0].failure


@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("torch.optim:Muon", r"torch.optim:Muon, for 'w', does not take lr=0.1: Muon only supports 2D .*\[2\]"),
        (named(Kernels), "Kernels, for 'w', does not take lr=0.1: kernels only"),
        (named(Aware), r"Aware needs a closure \(AssertionError: a closure is needed .*`closure` has a default"),
        ("torch.optim:Muon(momentum=-1)", "does not take momentum=-1, lr=.*: momentum should be"),
        ("torch.optim:LBFGS(max_iter='a')", "LBFGS.* does not take max_iter='a'"),
    ],
)  # fmt: skip
def test_a_class_that_does_not_fit_is_refused_before_anything_trains(optimizer: str, message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(workload(lambda: nn.Linear(6, 2)), "sgd", optimizer)


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        ("torch.optim:SparseAdam", "RuntimeError: SparseAdam does not support dense gradients"),
        (named(Forgetful), "RuntimeError: its step takes a closure and does not call it"),
    ],
)
def test_a_step_that_always_fails_ends_its_own_runs_and_is_named(optimizer: str, reason: str) -> None:
    result = compared(workload(), "sgd", optimizer)
    assert result.verdict.startswith("Use sgd")
    assert f"No run of {optimizer} finished: {reason}" in result.verdict


def test_hooks_that_a_constructor_leaves_are_not_another_ones() -> None:
    result = compared(workload(), named(Hooked), learning_rates=[0.1, 0.2, 0.3])
    assert not any(run.failure for run in result.runs)


def test_which_need_a_closure() -> None:
    needing = {"torch.optim:LBFGS": True, "torch.optim:SGD": False, named(Watched): True, named(Aware): False}
    assert {path: Imported(path).needs_closure for path in needing} == needing


@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}, {"max_iter": 3}])
def test_lbfgs_is_trained_with_a_closure(options: dict[str, Any]) -> None:
    arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
    result = compared(
        workload(lambda: nn.Linear(6, 2)), f"torch.optim:LBFGS({arguments})" if options else "torch.optim:LBFGS"
    )
    expected = by_hand(lambda: nn.Linear(6, 2), lambda p: torch.optim.LBFGS(p, lr=0.1, **options))
    assert result.runs[0].curve[-1].validation_loss == pytest.approx(expected, rel=1e-6)
    assert "evaluates a batch several times in a step" in result.study.notes[0]


def test_every_evaluation_of_a_step_sees_the_same_batch_and_dropout() -> None:
    Watched.seen.clear()
    dropping = lambda: nn.Sequential(nn.Linear(6, 64), nn.Dropout(0.5), nn.Linear(64, 2))  # noqa: E731
    (run,) = compared(workload(dropping), named(Watched)).runs
    assert len(Watched.seen) >= 8
    assert all(first == again for first, again, _ in Watched.seen)
    assert len({first for first, _, _ in Watched.seen}) >= 8
    assert run.initial_loss == pytest.approx(Watched.seen[-8][0], rel=1e-6)
    assert run.curve[-1].train_loss == pytest.approx(sum(first for first, _, _ in Watched.seen[-4:]) / 4, rel=1e-6)


def test_gradients_are_clipped_in_every_evaluation() -> None:
    Watched.seen.clear()
    compared(workload(lambda: nn.Linear(6, 2)), named(Watched), clip_norm=0.01)
    assert all(norm == pytest.approx(0.01, rel=1e-3) for _, _, norm in Watched.seen[-8:])


def test_a_run_that_is_not_finite_ends() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs * 1e30, targets) * 1e30

    (run,) = compared(workload(lambda: nn.Linear(6, 2), loss=loss), "torch.optim:LBFGS").runs
    assert run.diverged


def test_frozen_parameters_are_left_to_none() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 2), nn.Linear(6, 2).requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)

    assert not compared(workload(Half), "torch.optim:LBFGS").runs[0].failure


def test_it_stands_beside_others_on_the_leaderboard(tmp_path: Path) -> None:
    result = compared(workload(), "torch.optim:LBFGS", "sgd", confirm_seeds=2, out=tmp_path)
    assert {row.contender for row in result.rows if row.whole} == {"torch.optim:LBFGS", "sgd"}
    assert thalweg.stored(tmp_path).runs == result.runs
