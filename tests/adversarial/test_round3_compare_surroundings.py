"""Round 3, surroundings: what is set around a comparison in the calling thread, imported optimizers, odd exceptions."""

import contextlib
import contextvars
import itertools
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, held, problem
from round3 import plain
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import thalweg
from thalweg.analysis import intervals, ties


def linear() -> nn.Module:
    return nn.Linear(4, 1)


# ---------------------------------------------------------------- contexts of the calling thread


STRENGTH: contextvars.ContextVar[float] = contextvars.ContextVar("strength", default=1.0)


class ByContext(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * STRENGTH.get()


class Halves(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        return found * 0.5 if function is F.linear else found


class HalvesBelow(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        return found * 0.5 if function is torch.ops.aten.addmm.default else found


@contextlib.contextmanager
def by_context() -> Iterator[None]:
    token = STRENGTH.set(0.5)
    try:
        yield
    finally:
        STRENGTH.reset(token)


def lossy() -> Any:
    return torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t * 0.5)


@contextlib.contextmanager
def gradients_off() -> Iterator[None]:
    torch.set_grad_enabled(False)
    try:
        yield
    finally:
        torch.set_grad_enabled(True)


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))


AROUND: dict[str, tuple[Callable[[], Any], Callable[[], nn.Module]]] = {
    "a context variable": (by_context, lambda: ByContext(4, 1)),
    "a mode of functions": (Halves, linear), "a mode of operations": (HalvesBelow, linear),
    "hooks on what is saved": (lossy, two_layers),
}  # fmt: skip


@pytest.mark.parametrize("name", AROUND)
def test_what_the_calling_thread_has_around_it(name: str) -> None:
    """By hand within it, the model computes otherwise: so do the runs, or it is refused, as autocast is."""
    context, model = AROUND[name]
    with context():
        try:
            held(model)
        except thalweg.InputError as error:
            assert "around" in str(error) or "thread" in str(error)  # noqa: PT017


def test_gradients_that_are_off_around_it_are_on_in_training() -> None:
    workload = problem(linear)
    expected = [run.curve for run in compared(workload).runs]
    with gradients_off():
        assert [run.curve for run in compared(workload).runs] == expected


def test_numpys_errors_raised() -> None:
    for module in (intervals, ties):  # quantiles are remembered, from whichever test needed them first
        for function in vars(module).values():
            getattr(function, "cache_clear", lambda: None)()
    with np.errstate(all="raise"):
        compared(problem(linear), learning_rates=[0.02, 1e12], seeds=2, confirm_seeds=2)


def test_warnings_as_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held(linear, options={"learning_rates": [0.02], "seeds": 2, "confirm_seeds": 2})


def test_hooks_on_all_modules() -> None:
    def halved(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        return output * 0.9 if isinstance(module, nn.Linear) else None

    hook = nn.modules.module.register_module_forward_hook(halved)
    try:
        held(two_layers)
    finally:
        hook.remove()


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_hooks_on_all_modules_gradients() -> None:
    def halved(module: nn.Module, inputs: Any, outputs: Any) -> Any:
        return tuple(None if g is None else g * 0.5 for g in inputs)

    hook = nn.modules.module.register_module_full_backward_hook(halved)
    try:
        held(two_layers)
    finally:
        hook.remove()


# ---------------------------------------------------------------- operations of a higher order, exceptions


class UntoldError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Raises(nn.Linear):
    def __init__(self, error: BaseException, late: int) -> None:
        super().__init__(4, 1)
        self.error, self.left = error, late

    def forward(self, x: Tensor) -> Tensor:
        self.left -= self.training
        if self.left < 0:
            raise self.error
        return super().forward(x)


@pytest.mark.parametrize(
    ("error", "late"),
    [
        pytest.param(UntoldError(), 0, id="untold"),
        pytest.param(UntoldError(), 8, id="untold, late"), (StopIteration(), 0), (StopIteration(), 8),
        (SystemExit(3), 8),
        (GeneratorExit(), 8), (RecursionError("deep"), 8), (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), 0),
    ],
)  # fmt: skip
def test_a_model_that_raises(error: BaseException, late: int) -> None:
    try:
        result = compared(problem(lambda: Raises(error, late)), ["sgd"])
    except thalweg.InputError as said:
        assert "\n" not in str(said)  # noqa: PT017
    else:
        assert all(run.failure for run in result.runs)


def test_a_factory_that_has_no_more_models() -> None:
    left = itertools.count()

    def model() -> nn.Module:
        if next(left) > 3:
            raise ValueError("out of models")
        return nn.Linear(4, 1)

    with pytest.raises(thalweg.InputError, match="out of models"):
        compared(problem(model), ["sgd"])


# ---------------------------------------------------------------- optimizers of others


class Accumulates(torch.optim.SGD):
    """It steps at every other batch, by the gradients of two: its zero_grad() is for that."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.calls = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.calls % 2 == 0:
            super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> Any:
        self.calls += 1
        return super().step(closure) if self.calls % 2 == 0 else None


class Langevin(torch.optim.SGD):
    """Noise in every step."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.add_(torch.randn_like(p), alpha=0.1)
        return super().step(closure)


class Scheduled(torch.optim.SGD):
    """A schedule of its own."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.schedule = torch.optim.lr_scheduler.StepLR(self, 3, 0.5)

    def step(self, closure: Any = None) -> Any:
        found = super().step(closure)
        self.schedule.step()
        return found


class Hooked(torch.optim.SGD):
    """Gradients are clipped by a hook on the step."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.register_step_pre_hook(self.clip)

    @staticmethod
    def clip(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad.clamp_(-0.5, 0.5)


class Signs(torch.optim.SGD):
    """It puts other gradients in place of those that it is given."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = p.grad.sign()
        return super().step(closure)


class Modes(torch.optim.SGD):
    """It notes how many modes follow its operations."""

    seen: ClassVar[set[int]] = set()

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)

    def step(self, closure: Any = None) -> Any:
        self.seen.add(torch._C._len_torch_dispatch_stack())
        return super().step(closure)


def test_dropout_in_the_model_is_no_reason_to_follow_an_optimizers_step() -> None:
    """A mode that seeds random numbers costs every operation a visit to Python, and a drop-in its compiled pass."""
    model = lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.Linear(3, 1))  # noqa: E731
    result = compared(problem(model), ["test_round3_compare_surroundings:Modes"], learning_rates=[0.02])
    assert not result.runs[0].failure
    seen = sys.modules["test_round3_compare_surroundings"].Modes.seen | Modes.seen
    assert seen == {0}


OWN = {c.__name__: c for c in (Accumulates, Scheduled, Hooked, Signs)}


@pytest.mark.parametrize(
    "name",
    OWN,
)
def test_an_optimizer_steps_as_by_hand(name: str) -> None:
    workload = problem(linear)
    result = compared(workload, [f"test_round3_compare_surroundings:{name}"], learning_rates=[0.02], seeds=2)
    for run in result.runs:
        assert not run.failure
        expected = plain(workload, OWN[name], 0.02, run.seed)
        assert [m.validation_loss for m in run.curve] == pytest.approx(expected, rel=1e-9)


def test_an_optimizer_that_draws_finds_the_same_again() -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        result = compared(problem(linear), ["test_round3_compare_surroundings:Langevin"], learning_rates=[0.02])
        found.append([run.curve for run in result.runs])
    assert found[0] == found[1] or result.study.notes


@pytest.mark.parametrize("spec", ["Adam(amsgrad=True)", "SGD(momentum=0.9, nesterov=True)", "NAdam", "Rprop", "RAdam"])
def test_a_class_of_torch_with_options(spec: str) -> None:
    name, _, options = spec.partition("(")
    given = {k: eval(v) for k, v in (pair.split("=") for pair in options.rstrip(")").split(", ") if pair)}

    def make(params: Any, lr: float) -> torch.optim.Optimizer:
        return getattr(torch.optim, name)(params, lr=lr, **given)

    workload = problem(linear)
    result = compared(workload, [f"torch.optim:{spec}"], learning_rates=[0.02])
    assert [m.validation_loss for m in result.runs[0].curve] == pytest.approx(plain(workload, make, 0.02, 0), rel=1e-9)


# ---------------------------------------------------------------- names and places


def test_names_in_html_are_text(tmp_path: Path) -> None:
    odd = "<script>alert(1)</script>&\"'"
    metric = thalweg.Metric(lambda o, t: F.mse_loss(o, t), name="</script><b>", higher_is_better=False)
    result = compared(problem(linear, name=odd, metric=metric, epochs=1), ["a<i>=sgd"])
    place = tmp_path / "ö ä" / "ü%20?#.html"
    place.parent.mkdir()
    result.save_report(place)
    text = place.read_text()
    assert not any(tag in text for tag in ("<script>alert", "</script><b>", "a<i>"))


@pytest.mark.parametrize("name", ["a\nb", "", "x" * 5000, "\x00", "\ud800", 3, None])
def test_a_name_that_is_none(name: Any) -> None:
    with pytest.raises(thalweg.InputError, match="name must be"):
        problem(linear, name=name)


@pytest.mark.parametrize("broken", ["a file of other bytes", "a directory", "a report that is a directory"])
def test_a_place_that_cannot_be_written(broken: str, tmp_path: Path) -> None:
    if broken == "a file of other bytes":
        (tmp_path / "study.sqlite").write_bytes(b"not a database" * 99)
    else:
        (tmp_path / ("study.sqlite" if broken == "a directory" else "report.html")).mkdir()
    with pytest.raises(thalweg.InputError, match=r"Cannot open|cannot be written"):
        compared(problem(linear, epochs=1), ["sgd"], out=tmp_path)


def test_three_studies_at_once_in_one_directory(tmp_path: Path) -> None:
    found = dict[int, Any]()

    def study(i: int) -> None:
        found[i] = compared(problem(linear, epochs=1), ["sgd"], out=tmp_path / "ö ' %", seeds=2).runs

    threads = [threading.Thread(target=study, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[r.curve for r in found[i]] for i in range(3)] == [[r.curve for r in found[0]]] * 3
