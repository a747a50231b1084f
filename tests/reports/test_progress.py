"""The displays of a running study, and how far its stages are by the events."""

import io
import logging
from typing import Any

import pytest

from records_fixture import RUN, STUDY
from thalweg.records.events import (
    Chosen,
    Event,
    Finished,
    Measured,
    Noted,
    Planned,
    StageBegan,
    StageProgress,
    stream,
)
from thalweg.records.types import Measurement
from thalweg.reports.progress import Live, Logged, display

POINT = Measurement(50, 0.5, 0.6, 0.7)


def stage(runs: int = 4, steps: int = 100) -> StageProgress:
    return StageProgress(StageBegan("tuning, coarse", 10, runs, steps))


def test_a_stage_is_as_far_as_its_runs() -> None:
    whole = stage()
    assert (whole.runs, whole.done) == (0.0, 0.0)
    whole.follow(Measured(50, {10: POINT, 11: POINT}))
    assert (whole.runs, whole.done) == (1.0, 0.25)
    whole.follow(Measured(100, {10: POINT, 11: None}))  # one had ended before
    assert (whole.runs, whole.done) == (2.0, 0.5)
    whole.follow(Finished({10: RUN, 11: RUN}))
    assert (whole.runs, whole.done) == (2.0, 0.5)
    whole.follow(Finished({12: RUN, 13: RUN}, earlier=True))
    assert (whole.runs, whole.done) == (4.0, 1.0)


def test_runs_that_begin_again_are_as_far_as_they_are_then() -> None:
    whole = stage()
    whole.follow(Measured(100, {10: POINT, 11: POINT}))
    whole.follow(Measured(25, {10: POINT}))
    assert whole.done == pytest.approx((0.25 + 1.0) / 4)
    whole.follow(Finished({10: RUN}))
    assert whole.done == pytest.approx(0.5)


def test_an_empty_stage_is_done() -> None:
    assert StageProgress(StageBegan("", 0, 0, 1)).done == 1.0


def events() -> list[Event]:
    return [
        Noted("checking the model"),
        Planned(STUDY, "plan: about 4 runs"),
        StageBegan("tuning, coarse", 0, 4, 1000),
        Measured(500, {0: POINT}),
        Finished({0: RUN}),
        Noted("The budget did not allow the fine round.", recorded=True),
        Chosen({"adam": None}),
    ]


def test_every_listener_hears_every_event_in_order() -> None:
    first, second = list[Any](), list[Any]()
    tell = stream(lambda event: first.append((1, event)), lambda event: second.append((len(first), event)))
    for event in events():
        tell(event)
    assert [event for _, event in first] == [event for _, event in second] == events()
    assert [heard for heard, _ in second] == [1, 2, 3, 4, 5, 6, 7], "the first has heard it before the second"


def test_the_log_has_a_line_for_each_stage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "thalweg")
    show = display(progress=False)
    assert isinstance(show, Logged)
    for event in events():
        show(event)
    show.close()
    assert caplog.messages == ["checking the model", "plan: about 4 runs", "tuning, coarse: 4 runs of 1,000 steps"]


def test_a_pipe_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show = display(progress=True)
    assert isinstance(show, Live)
    assert not show.on_terminal
    for event in events():
        show(event)
    show.close()
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "checking the model",
        "plan: about 4 runs",
        "tuning, coarse: 4 runs of 1,000 steps",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    show = Live()
    assert show.on_terminal
    for event in events():
        show(event)
    show._bars.refresh()
    show.close()
    told = terminal.getvalue()
    assert "checking the model" in told
    assert "tuning, coarse" in told
    assert "25%" in told, "one of four runs has finished"
