"""Where `compare` is called: modes, defaults and threads around it, and that all is as it was afterwards."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, held, numbers, problem
from torch import nn

import thalweg
from thalweg.population.training import verification


def surroundings() -> dict[str, Any]:
    """All that a library may leave changed behind it."""
    return {
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradient": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "errors of numpy": np.geterr(),
        "warnings": list(warnings.filters),
        "directory": Path.cwd(),
        "environment": dict(os.environ),
        "print": torch._tensor_str.PRINT_OPTS,
        "fallback": torch._C._functorch._is_vmap_fallback_enabled(),
    }


def dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))


def fails() -> nn.Module:
    return nn.Linear(5, 1)


@pytest.mark.parametrize("model", [dropout, fails], ids=["that trains", "that fails"])
def test_all_is_as_found_after_a_model(model: Callable[[], nn.Module], tmp_path: Path) -> None:
    compared(problem(lambda: nn.Linear(4, 1)), out=tmp_path)  # what other libraries do when they are imported
    before = surroundings()
    with contextlib.suppress(thalweg.InputError):
        compared(problem(model), confirm_seeds=1, out=tmp_path)
    assert surroundings() == before


@contextlib.contextmanager
def default_dtype() -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic() -> Any:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


AROUND: dict[str, Callable[[], Any]] = {
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "float64 by default": default_dtype,
    "deterministic algorithms": deterministic,
    "the CPU by default": lambda: torch.device("cpu"),
    "no device by default": lambda: torch.device("meta"),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "saved tensors elsewhere": lambda: torch.autograd.graph.save_on_cpu(),
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("name", [*AROUND])
def test_within(name: str) -> None:
    """The runs are those that are trained outside of it, or it is refused in a sentence that says what is around."""
    workload = problem(lambda: nn.Linear(4, 1, dtype=torch.float64), own=True)
    expected = losses(curves(compared(workload)))
    try:
        with AROUND[name]():
            assert losses(curves(compared(workload))) == pytest.approx(expected, rel=1e-7)
    except thalweg.InputError as error:
        assert name in ("inference mode", "no device by default", "saved tensors elsewhere")
        assert any(word in str(error) for word in ("inference", "meta", "saved tensors"))  # noqa: PT017


def curves(result: thalweg.Result) -> list[Any]:
    return [run.curve for run in result.runs]


def test_within_autocast() -> None:
    """By hand within it, the model computes in bfloat16: so do the runs, or it is said or refused that they do not."""
    single = {"train": numbers(40, 1, torch.float32), "validation": numbers(20, 2, torch.float32)}
    workload = problem(lambda: nn.Linear(4, 1), own=True, loss=lambda o, t: F.mse_loss(o.float(), t), **single)
    outside = curves(compared(workload, ["sgd"]))
    try:
        with torch.autocast("cpu", torch.bfloat16):
            result = held(workload, optimizers=["sgd"], close=1e-5)
    except thalweg.InputError as error:
        assert "autocast" in str(error)  # noqa: PT017
    except AssertionError:
        result = compared(workload, ["sgd"])
        assert curves(result) == outside
        with torch.autocast("cpu", torch.bfloat16):
            assert any("autocast" in note for note in compared(workload, ["sgd"]).study.notes)


def test_data_made_in_inference_mode() -> None:
    """Features that a pretrained model gave under `torch.inference_mode()`, the recommended way to compute them."""
    with torch.inference_mode():
        (x, y), (x_val, y_val) = numbers(40, 1), numbers(20, 2)
        train, validation = (x * 1, y * 1), (x_val * 1, y_val * 1)
    held(lambda: nn.Linear(4, 1), train=train, validation=validation)


def test_a_model_whose_weights_were_made_in_inference_mode() -> None:
    """By hand: "Inplace update to inference tensor outside InferenceMode is not allowed"."""

    def model() -> nn.Module:
        with torch.inference_mode():
            return nn.Linear(4, 1)

    with pytest.raises(thalweg.InputError, match=r"[Ii]nference"):
        compared(
            problem(model, own=True, train=numbers(40, 1, torch.float32), validation=numbers(20, 2, torch.float32))
        )


RATES = [0.005, 0.01]
"""So low that nothing grows, and rounding with it."""


def test_two_comparisons_at_once() -> None:
    """From two threads: each finds what it finds alone."""
    workloads = [problem(dropout), problem(lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 1)))]
    expected = [curves(compared(workload, seeds=2, learning_rates=RATES)) for workload in workloads]
    found = dict[int, Any]()

    def work(i: int) -> None:
        found[i] = curves(compared(workloads[i], seeds=2, learning_rates=RATES))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        assert losses(found[i]) == pytest.approx(losses(expected[i]), rel=1e-7)


def test_two_checks_at_once_leave_the_filters_of_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins before the first has ended, and ends after it."""
    begun, ended = threading.Event(), threading.Event()

    def compares(job: Any, program: Any, models: Any, seed: int, keep: Any) -> str:
        if seed == 0:
            begun.wait(5)
        else:
            begun.set()
            ended.wait(5)
        return ""

    def first() -> None:
        verification.disagreement(None, None, SimpleNamespace(reset=tuple), 0)  # type: ignore[arg-type]
        ended.set()

    monkeypatch.setattr(verification, "_compare", compares)
    with warnings.catch_warnings():
        before = list(warnings.filters)
        threads = [threading.Thread(target=first)]
        threads += [
            threading.Thread(target=verification.disagreement, args=(None, None, SimpleNamespace(reset=tuple), 1))
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        assert list(warnings.filters) == before


def losses(curves: list[Any]) -> list[float]:
    return [m.validation_loss for curve in curves for m in curve]


NESTED = """
import thalweg, torch
from torch import nn
data = torch.ones(8, 4) * torch.arange(8)[:, None], torch.arange(8.0)[:, None]
options = dict(optimizers=["sgd"], learning_rates=[1e-3], seeds=1, confirm_seeds=0, progress=False)
def problem(model):
    return thalweg.Workload(name="w", model=model, train=data, validation=data, loss=nn.functional.mse_loss,
                            metric="mse", epochs=1)
def model():
    thalweg.compare(problem(lambda: nn.Linear(4, 1)), **options)
    return nn.Linear(4, 1)
thalweg.compare(problem(model), **options)
"""


def test_a_comparison_within_a_models_factory_is_refused() -> None:
    """Its workers would wait for the one that builds the model."""
    done = subprocess.run([sys.executable, "-c", NESTED], check=False, timeout=60, capture_output=True, text=True)
    assert "A comparison cannot be called within model()" in done.stderr


def test_a_thread_count_of_one() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        held(dropout_free, options={"seeds": 2, "confirm_seeds": 1})
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def dropout_free() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def test_a_factory_that_leaves_the_default_dtype_changed_trains_what_it_made() -> None:
    def model() -> nn.Module:
        torch.set_default_dtype(torch.float64)
        return nn.Linear(4, 1)

    try:
        held(problem(model, own=True))
    finally:
        torch.set_default_dtype(torch.float32)
