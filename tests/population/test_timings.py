"""The choice between population and loop comes from timings that are kept, and from new ones where none can be used."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from problems import points, tiny
from thalweg.population.planning import backend, timings
from thalweg.population.planning.inspection import inspect
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.training.job import Job

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(timings, "folder", lambda: tmp_path)
    return tmp_path / "timings.json"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was timed; the loop is twice as fast."""
    found: list[str] = []
    monkeypatch.setattr(backend, "time_together", lambda *_: found.append("population") or 2e-4)
    monkeypatch.setattr(backend, "time_alone", lambda *_: found.append("loop") or 1e-4)
    return found


def two_layers(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(6, width), nn.Linear(width, 3))


def planned(model: Callable[[], nn.Module] | None = None, **changes: Any) -> PlannedJob:
    changes |= {} if model is None else {"model": model}
    return plan_job(tiny(**changes), 0, device=CPU, workers=1)


def test_the_second_plan_measures_nothing(measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = planned()
    assert measured == ["population", "loop"]
    monkeypatch.setattr(backend, "time_alone", lambda *_: 1.0)
    second = planned()
    assert first.plan.reason == second.plan.reason == "it is faster here, 100 against 200 µs per run and step"
    assert measured == ["population", "loop"]


BROKEN = {
    "no JSON": "{",
    "empty": "",
    "a list": "[]",
    "another format": json.dumps({"format": 0, "timings": {}}),
    "no timings": json.dumps({"format": 1}),
    "a number": json.dumps({"format": 1, "timings": {"key": 3}}),
    "bytes": b"\xff\xfe",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_replaced(text: str | bytes, file: Path, measured: list[str]) -> None:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    planned()
    assert len(measured) == 2
    planned()
    assert len(measured) == 2
    assert json.loads(file.read_text())["format"] == timings.FORMAT
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "change",
    [
        {"at": lambda: time.time() - timings.OLDEST - 1},
        {"at": lambda: time.time() + 3600},
        {"seconds": lambda: {"": 1e-4}},
        {"seconds": lambda: {"": 1e-4, "loop": -1.0}},
        {"seconds": lambda: {"": 1e-4, "loop": float("nan")}},
        {"seconds": lambda: {"": "fast", "loop": 1e-4}},
    ],
)
def test_an_entry_that_cannot_be_used_is_measured_anew(
    change: dict[str, Callable[[], Any]], file: Path, measured: list[str]
) -> None:
    planned()
    whole = json.loads(file.read_text())
    (entry,) = whole["timings"].values()
    entry.update({name: value() for name, value in change.items()})
    file.write_text(json.dumps(whole))
    planned()
    assert len(measured) == 4


def test_without_a_folder_every_plan_measures(measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timings, "folder", lambda: None)
    planned()
    planned()
    assert len(measured) == 4


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "taken"))
    assert timings.folder() is None
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "new"))
    assert timings.folder() == tmp_path / "new" / "thalweg"


def key(members: int = 2, **changes: Any) -> str:
    job, models = inspect(Job(tiny(**changes), CPU, frozenset()), 0)
    return timings.key_of(job, models.tracing, members)


def test_what_a_timing_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        key(),
        key(3),
        key(batch_size=8),
        key(model=lambda: nn.Linear(6, 3)),
        key(model=lambda: nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))),
        key(model=lambda: nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3))),
    ]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 17)
    keys.append(key())
    monkeypatch.setattr(torch, "__version__", "0")
    keys.append(key())
    assert len(set(keys)) == len(keys)
    assert keys[-1] == key(train=points(250, 1, torch.float32), epochs=7)


def test_the_oldest_entries_go(file: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timings, "MOST", 2)
    for width in (4, 5, 6):
        planned(partial(two_layers, width))
    assert len(json.loads(file.read_text())["timings"]) == 2
    planned(partial(two_layers, 4))
    assert len(measured) == 8


def test_what_is_kept_is_what_was_measured(file: Path) -> None:
    assert planned().plan.describe()["execution"] in ("population", "loop")
    (entry,) = json.loads(file.read_text())["timings"].values()
    assert set(entry["seconds"]) == {"", "loop"}
    assert all(0 < seconds < 10 for seconds in entry["seconds"].values())
