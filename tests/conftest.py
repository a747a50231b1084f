"""What tests of several rooms share."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

from compile_once import share_compilations

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # several test processes share the cores: none may spin on them
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")  # how busy the machine is, is no test's concern
if "PYTEST_XDIST_WORKER" in os.environ:
    share_compilations()
THREADS = torch.get_num_threads  # which a test may replace
torch.set_warn_always(True)  # what torch would say once in a process is an error in each test that brings it about


def pytest_collection_finish() -> None:
    """Whoever collects garbage in a test need not look through all tests: they stay."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of the real MNIST and Fashion-MNIST files; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    directory = Path(os.environ.get("THALWEG_DATA") or beside)
    if not directory.is_dir():
        pytest.skip(f"no real data: {directory} is no directory (set THALWEG_DATA)")
    return directory


@pytest.fixture(autouse=True)
def no_log_of_another_test() -> Iterator[None]:
    """A command that a test runs writes its log to that test's standard error, which is closed after it."""
    yield
    for handler in [h for h in logging.root.handlers if type(h) is logging.StreamHandler]:
        logging.root.removeHandler(handler)


@pytest.fixture(autouse=True)
def no_timing_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes of timings is not kept for others, nor for the user of this machine."""
    monkeypatch.setattr("thalweg.population.planning.timings.folder", lambda: None)


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    """A test that leaves torch with other threads changes how the next one's populations are divided."""
    before = THREADS()
    yield
    after = THREADS()
    torch.set_num_threads(before)
    assert after == before


@pytest.fixture
def nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test in which a run is trained: what is refused must be refused before."""
    from thalweg.population.engine import task as training

    def trained(*_: Any, **__: Any) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr(training, "train_by_loop", trained)
    monkeypatch.setattr(training, "train_vectorized", trained)
