"""What a study tells while it trains: its runs beforehand, and the leaders that its store keeps for who watches."""

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import thalweg
from problems import tiny
from scope import few
from thalweg.api import comparison
from thalweg.records.events import Event, Finished, Measured, PlannedRun, StageBegan
from thalweg.records.store import Store
from thalweg.records.types import Progress
from thalweg.reports.progress import Live

ASKED: dict[str, Any] = {"learning_rates": [0.01, 0.1], "seeds": 2, "confirm_seeds": 2}


class Heard:
    """A display that keeps every event."""

    on_terminal = False

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


def heard(
    monkeypatch: pytest.MonkeyPatch, workload: thalweg.Workload, names: Sequence[str], **asked: Any
) -> list[Event]:
    show = Heard()
    monkeypatch.setattr(comparison, "display", lambda *, progress: show)
    thalweg.compare(workload, names, **ASKED)
    return show.events


def test_runs_are_told_before_they_train(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["sgd", "torch.optim:Adam"]
    planned: dict[int, PlannedRun] = {}
    ended: set[int] = set()
    for event in heard(monkeypatch, tiny(epochs=1), names):
        if isinstance(event, StageBegan):
            assert len(event.planned) == event.runs
            planned |= {event.first + i: run for i, run in enumerate(event.planned)}
        if isinstance(event, Measured):
            assert set(event.curves) <= set(planned)
        if isinstance(event, Finished):
            for position, run in event.runs.items():
                of = planned[position]
                assert (of.contender, of.hyperparameters, of.rate, of.seed, of.role, of.round) == (
                    run.contender, run.hyperparameters, run.rate, run.seed, run.role, run.round,
                )  # fmt: skip
                assert of.alone is (run.contender == "torch.optim:Adam")
            ended |= set(event.runs)
    assert ended == set(planned)


@pytest.fixture
def one_worker() -> Iterator[None]:
    """All runs of a stage at once: none ends while another has not begun."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_worker")
def test_a_store_says_who_leads_before_a_run_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.studies.persistence.HEARTBEAT", 0.0)
    kept: list[Progress] = []
    advance = Store.advance

    def advanced(store: Store, study: int, progress: Progress) -> None:
        advance(store, study, progress)
        kept.append(store.progress(study))

    monkeypatch.setattr(Store, "advance", advanced)
    result = thalweg.compare(tiny(), ["sgd", "adam"], **ASKED, out=tmp_path, progress=False)
    before = [progress for progress in kept if progress.leaders]
    assert {leader.contender for progress in before for leader in progress.leaders} == {"sgd", "adam"}
    assert all(leader.kind == "training" for progress in before for leader in progress.leaders)
    assert {progress.stage for progress in before} == {"tuning, coarse"}, "runs that ended say it later"
    assert next(progress.first for progress in kept if progress.stage == "confirmation") == 8
    assert max(progress.study_done for progress in kept) == pytest.approx(len(result.runs))
    assert all(progress.left is None or progress.left >= 0 for progress in kept)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def not_a_number(output: torch.Tensor, target: torch.Tensor) -> float:
    return math.nan


@pytest.mark.parametrize(
    ("changed", "told"),
    few(
        [
            ({}, "so far (provisional"),
            ({"metric": ["accuracy", "f1"]}, "so far (provisional"),
            ({"metric": "loss"}, "so far (provisional"),
            ({"metric": thalweg.Metric(not_a_number, higher_is_better=True)}, ""),
        ]
    ),
)
def test_a_terminal_through_whole_studies(changed: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rate at which every optimizer diverges, and one in the plain loop."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    show, frames = Live(), list[str]()
    monkeypatch.setattr(comparison, "display", lambda *, progress: show)
    call = Live.__call__

    def called(self: Live, event: Event) -> None:
        call(self, event)
        self._screen.refresh()
        frames.append(terminal.getvalue())

    monkeypatch.setattr(Live, "__call__", called)
    asked = {**ASKED, "learning_rates": [0.1, 1e38]}
    result = thalweg.compare(tiny(**changed), ["sgd", "torch.optim:SGD"], **asked)
    assert sum(run.broke for run in result.runs) >= 4
    assert (told in terminal.getvalue()) if told else ("so far" not in terminal.getvalue())
    assert "at 1e38" not in terminal.getvalue(), "what broke off never leads once it has ended"
    assert "nan" not in terminal.getvalue()
