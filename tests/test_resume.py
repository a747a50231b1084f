"""A study that stopped goes on to what it would have found, and never with something else than it began with."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import thalweg
from old_stores import TO_VERSION_6, WITHOUT_RATE, written
from problems import points, tiny
from scope import THOROUGH, conformance_only
from thalweg.errors import Interrupted
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.records.types import RunRecord
from thalweg.studies.contenders import Contender

ASKED: dict[str, Any] = {"optimizers": ["sgd", "adam(beta1=0.8)"], "seeds": 2, "confirm_seeds": 2, "progress": False}


@pytest.fixture(autouse=True)
def held_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one measurement that a plan depends on."""
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)


@pytest.fixture
def adds(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often runs may be added before Ctrl-C comes; none where below 0."""
    left, add = {"count": -1}, Store.add

    def counting(self: Store, *args: Any) -> None:
        if left["count"] == 0:
            raise KeyboardInterrupt
        left["count"] -= 1
        add(self, *args)

    monkeypatch.setattr(Store, "add", counting)
    return left


def numbers(result: thalweg.Result) -> list[RunRecord]:
    """Runs without what a clock says of them."""
    return [replace(run, seconds=0.0) for run in result.runs]


def stop_after(adds: dict[str, int], count: int, out: Path, **asked: Any) -> Interrupted:
    adds["count"] = count
    with pytest.raises(Interrupted) as stop:
        thalweg.compare(tiny(epochs=1), out=out, **{**ASKED, **asked})
    adds["count"] = -1
    return stop.value


def test_another_librarys_optimizer_with_a_pair_of_numbers(adds: dict[str, int], tmp_path: Path) -> None:
    """JSON has no tuples; the configurations are told apart by their values all the same."""
    asked: dict[str, Any] = {"optimizers": ["torch.optim:Adam(betas=(0.8, 0.9))"], "seeds": 1, "confirm_seeds": 1}
    whole = thalweg.compare(tiny(epochs=1), learning_rates=[0.1, 0.01], out=tmp_path / "whole", progress=False, **asked)
    stop_after(adds, 1, tmp_path / "out", learning_rates=[0.1, 0.01], **asked)
    assert thalweg.stored(tmp_path / "out").runs[0].hyperparameters["betas"] == (0.8, 0.9)
    result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
    assert numbers(result) == numbers(whole)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> thalweg.Result:
    """The study that nothing stops."""
    return thalweg.compare(tiny(epochs=1), out=tmp_path_factory.mktemp("whole") / "out", **ASKED)


@pytest.mark.parametrize("count", [0, 1, 2, 3] if THOROUGH else [0])
def test_it_finds_what_it_would_have_found(
    count: int, whole: thalweg.Result, adds: dict[str, int], tmp_path: Path
) -> None:
    """Stopped at the beginning, within the coarse round, between rounds, before the confirmation.

    The last three only in thorough runs: `test_stopped_again_and_again` stops at each of them.
    """
    stop = stop_after(adds, count, tmp_path / "out")
    assert stop.study == 1
    assert (stop.runs == 0) == (count == 0)
    so_far = thalweg.stored(tmp_path / "out")
    assert len(so_far.runs) == stop.runs
    assert "not finished" in so_far.verdict
    result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
    assert numbers(result) == numbers(whole)
    assert result.verdict == whole.verdict
    assert replace(result.study, plan={}) == replace(whole.study, plan={})
    assert not (tmp_path / "out" / "in-progress").exists()
    again = thalweg.resume(tmp_path / "out", progress=False)
    assert (again.runs, again.verdict) == (result.runs, result.verdict)


def test_stopped_again_and_again(whole: thalweg.Result, adds: dict[str, int], tmp_path: Path) -> None:
    stop_after(adds, 1, tmp_path / "out")
    for _ in range(20):
        adds["count"] = 1
        try:
            result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
            break
        except Interrupted:
            continue
    assert numbers(result) == numbers(whole)


def test_a_search_goes_the_same_way(adds: dict[str, int], tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    asked = {"tune": ["lr", "beta1"], "trials": 34, "optimizers": ["adam"], "seeds": 1, "confirm_seeds": 1}
    whole = thalweg.compare(tiny(epochs=1), out=tmp_path / "whole", progress=False, **asked)
    stop_after(adds, 3, tmp_path / "out", **asked)
    result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
    assert numbers(result) == numbers(whole)


@pytest.mark.parametrize("searched", [True, False])
def test_a_study_begun_by_schema_6_goes_on(searched: bool, adds: dict[str, int], tmp_path: Path) -> None:
    """Its runs neither had factors, nor did those of a search list a learning rate that was not searched."""
    asked: dict[str, Any] = {"optimizers": ["fast = adam(convention='keras')", "sgd"], "seeds": 1, "confirm_seeds": 1}
    if searched:
        pytest.importorskip("optuna")
        asked |= {"tune": ["beta1"], "trials": 20}
    whole = thalweg.compare(tiny(epochs=1), out=tmp_path / "whole", progress=False, **asked)
    stop_after(adds, 1, tmp_path / "out", **asked)
    written(tmp_path / "out", TO_VERSION_6 + WITHOUT_RATE)
    result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
    assert numbers(result) == numbers(whole)
    assert result.study.factors == whole.study.factors
    assert result.study.varied == ("optimizer", "convention")
    assert thalweg.stored(tmp_path / "out").study.factors == whole.study.factors


def test_under_a_budget_the_clock_says_what_it_said(adds: dict[str, int], tmp_path: Path) -> None:
    """Its answers are repeated; and the time that was spent counts."""
    stop_after(adds, 2, tmp_path / "out", budget=300)
    store = Store(tmp_path / "out")
    before = store.clock_log(1)
    store.log_clock(1, [0] * len(before))  # as if there had been no time for what came
    store.close()
    result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
    store = Store(tmp_path / "out")
    assert before
    assert store.clock_log(1)[: len(before)] == [0] * len(before)
    assert "did not allow" in " ".join(result.study.notes)
    store.close()


def test_time_spent_is_added_up(adds: dict[str, int], tmp_path: Path) -> None:
    stop_after(adds, 2, tmp_path / "out", budget=300)
    store = Store(tmp_path / "out")
    store.advance(1, replace(store.progress(1), seconds=1e6))
    store.close()
    result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
    assert "did not allow" in " ".join(result.study.notes)


class Other(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x)


CHANGED: list[tuple[dict[str, Any], str]] = [
    ({"train": points(330, 7, torch.float32)}, "data"),
    ({"validation": points(91, 2, torch.float32)}, "data"),
    ({"model": Other}, "model"),
    (
        {"loss": lambda outputs, targets: nn.functional.cross_entropy(outputs, targets, reduction="mean")},
        "loss, step, metrics or augmentation",
    ),
    ({"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, "loss, step, metrics or augmentation"),
]


def test_another_workload_is_refused(adds: dict[str, int], tmp_path: Path) -> None:
    """After all refusals the study goes on."""
    stop_after(adds, 1, tmp_path)
    for changes, what in CHANGED:
        with pytest.raises(thalweg.InputError, match=f"The {what} of the workload 'tiny' changed since"):
            thalweg.resume(tmp_path, workload=tiny(epochs=1, **changes), progress=False)
    thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False)


def test_other_optimizers_are_refused(adds: dict[str, int], tmp_path: Path) -> None:
    stop_after(adds, 1, tmp_path)
    with pytest.raises(thalweg.InputError, match="The study compares sgd, adam"):
        thalweg.resume(tmp_path, workload=tiny(epochs=1), optimizers=["sgd"], progress=False)


def test_a_workload_of_ones_own_must_be_given_again(adds: dict[str, int], tmp_path: Path) -> None:
    stop_after(adds, 1, tmp_path)
    with pytest.raises(thalweg.InputError, match="'tiny' is your own"):
        thalweg.resume(tmp_path, progress=False)


def test_another_protocol_is_refused(adds: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(adds, 1, tmp_path)
    monkeypatch.setattr("thalweg.studies.settings.PROTOCOL", 99)
    with pytest.raises(thalweg.InputError, match="this Thalweg 99; begin it anew"):
        thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False)


@conformance_only
def test_other_versions_are_noted(adds: dict[str, int], tmp_path: Path) -> None:
    stop_after(adds, 1, tmp_path)
    with sqlite3.connect(tmp_path / "study.sqlite") as db:
        db.execute("UPDATE studies SET record = json_set(record, '$.environment.torch', '2.7.0')")
    result = thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False)
    assert f"under torch {torch.__version__}, after 2.7.0" in " ".join(result.study.notes)


def test_a_study_that_is_running_is_left_alone(adds: dict[str, int], tmp_path: Path) -> None:
    stop_after(adds, 1, tmp_path)
    lock = Lock(folder(tmp_path, 1), 1)
    with pytest.raises(thalweg.InputError, match="Study 1 is running already"):
        thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False)
    lock.close()
    thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False)


@conformance_only
def test_an_error_says_how_to_go_on(
    whole: thalweg.Result, adds: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up: what finished before is there, and the rest follows once there is room.

    The workload is an object, which a command cannot name.
    """
    with monkeypatch.context() as patch:
        add, kept = Store.add, list[int]()

        def full(self: Store, study: int, runs: Any) -> None:
            self._db.execute(f"PRAGMA max_page_count = {1 if kept else 10**6}")
            add(self, study, runs)
            kept.append(len(runs))

        patch.setattr(Store, "add", full)
        advice = r"the disk is full.*resume with thalweg\.resume\('.*out', 1, workload=…\) in Python\."
        with pytest.raises(thalweg.InputError, match=advice):
            thalweg.compare(tiny(epochs=1), out=tmp_path / "out", **ASKED)
    assert len(thalweg.stored(tmp_path / "out").runs) == sum(kept) > 0
    result = thalweg.resume(tmp_path / "out", workload=tiny(epochs=1), progress=False)
    assert numbers(result) == numbers(whole)


def warming(length: int) -> Any:
    def warm(step: int) -> float:
        return min(1.0, (1 + step) / length)

    return warm


def making(momentum: float) -> Any:
    def make(parameters: Any, lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum)

    return make


@pytest.mark.parametrize("name", ["schedule", "optimizer"])
def test_what_is_the_users_own_in_a_contender(name: str, adds: dict[str, int], tmp_path: Path) -> None:
    """Given again as it was, the study goes on; another one, of the same name, is refused."""

    def of(value: Any) -> Any:
        own = Contender("sgd", schedule=warming(value), title="mine") if name == "schedule" else making(value)
        return {"optimizers": [own, "adam"]}

    stop_after(adds, 3, tmp_path, learning_rates=[0.1, 0.2], **of(0.5 if name == "optimizer" else 5))
    with pytest.raises(thalweg.InputError, match="has an optimizer or a schedule of your own: go on in Python"):
        thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False)
    with pytest.raises(thalweg.InputError, match=r"(mine|make), which has an optimizer or a schedule of your own, ch"):
        thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False, **of(0.25 if name == "optimizer" else 7))
    same = of(0.5 if name == "optimizer" else 5)
    found = thalweg.resume(tmp_path, workload=tiny(epochs=1), progress=False, **same)
    assert numbers(found) == numbers(thalweg.compare(tiny(epochs=1), **{**ASKED, **same}, learning_rates=[0.1, 0.2]))
    told = "The learning rate of mine is the largest of a run: the function is scaled by it."
    assert (told in found.study.notes) == (name == "schedule")


def test_the_time_worked_is_that_of_all_sessions_and_not_the_time_between(adds: dict[str, int], tmp_path: Path) -> None:
    """The first session is said to have worked for 100 seconds, six years ago."""
    stop_after(adds, 1, tmp_path)
    store = Store(tmp_path)
    store.advance(1, replace(store.progress(1), seconds=100.0))
    store.close()
    with sqlite3.connect(tmp_path / "study.sqlite") as db:
        db.execute("UPDATE studies SET started = '2020-01-01T00:00:00+00:00'")
    assert thalweg.stored(tmp_path, 1).study.seconds == 100
    result = thalweg.resume(tmp_path, 1, workload=tiny(epochs=1), progress=False)
    assert result.study.seconds is not None
    assert 100 < result.study.seconds < 100 + 86_400
    assert thalweg.stored(tmp_path, 1).study.seconds == result.study.seconds == result.facts()["seconds"]
    assert "wall time</dt><dd>1 min" in (tmp_path / "report.html").read_text()
    assert thalweg.compare(tiny(epochs=1), **ASKED).study.seconds is not None, "without a store, too"
