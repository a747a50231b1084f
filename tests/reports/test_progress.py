"""The displays of a running study, and how far its stages are by the events."""

import io
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from screens import screen
from screens import terminal as console

from records_fixture import RUN, STUDY
from thalweg.records.events import (
    Chosen,
    Concluded,
    Event,
    Finished,
    Measured,
    Noted,
    Planned,
    PlannedRun,
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


def terminal(monkeypatch: pytest.MonkeyPatch, width: int = 80) -> Terminal:
    """In the place of standard error; called in the test, since pytest puts its own there before."""
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    return found


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    show = Live()
    assert show.on_terminal
    for event in events():
        show(event)
    show._screen.refresh()
    show.close()
    told = written.getvalue()
    assert "checking the model" in told
    assert "tuning, coarse" in told
    assert "25%" in told, "one of four runs has finished"


def test_redraws_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    show = Live()
    assert show._screen.refresh_per_second <= 10
    for event in events():
        show(event)
    frames = written.getvalue().count("tuning, coarse")
    for _ in range(1000):
        show(Measured(500, {0: POINT}))
    show.close()
    assert written.getvalue().count("tuning, coarse") <= frames + 20, "events draw nothing themselves"


RATES = (10**-2.5, 0.1, 0.01)
CONTENDERS = ("adam", "momentum", "schedule_free_adamw")


def course(names: Sequence[str] = CONTENDERS) -> list[Event]:
    """A study in confirmation: its plan, a stage of tuning that ended, and one with a run that has not."""
    record = replace(
        STUDY,
        contenders=tuple(names),
        tuning_seeds=(0,),
        confirmation_seeds=(1000, 1001),
        evaluate_every=50,
        plan={"expected": {"runs": 9, "preparing": 1.0, "seconds": 910.0, "finals": 3, "most_seeds": 2}},
    )
    tuning = [
        replace(RUN, contender=name, hyperparameters={"lr": rate}, curve=(Measurement(100, 0.5, 0.5, 0.97 - i / 100),))
        for i, (name, rate) in enumerate(zip(names, RATES, strict=True))
    ]
    of = tuple(PlannedRun(r.contender, r.hyperparameters, r.rate, r.seed, r.role, r.round) for r in tuning)
    fresh = tuple(replace(r, seed=seed, role="confirmation", round="confirmation") for seed in (1000, 1001) for r in of)
    return [
        Planned(record, "plan"),
        StageBegan("tuning, coarse/extension", 0, 3, 100, of),
        Measured(50, dict.fromkeys(range(3), POINT)),
        Finished(dict(enumerate(tuning))),
        StageBegan("confirmation", 3, 6, 100, fresh),
        Measured(50, dict.fromkeys(range(3, 9), POINT)),
    ]


def shown(width: int, heard: Sequence[Event], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines below what was printed, after these events, one every 100 seconds."""
    terminal(monkeypatch, width)
    now = [0.0]
    show = Live(lambda: now[0])
    for event in heard:
        show(event)
        now[0] += 100.0
    show.close()
    return [line for line in screen(console(width), show._frame()) if line]


@pytest.mark.parametrize(
    ("width", "bars", "leaders"),
    [
        (60, 23, "so far (provisional): adam 97.0% at 3e-3, …"),
        (80, 32, "so far (provisional): adam 97.0% at 3e-3, momentum 96.0% at 1e-1, …"),
        (
            140,
            32,
            "so far (provisional): adam 97.0% at 3e-3, momentum 96.0% at 1e-1, schedule_free_adamw 95.0% at 1e-2",
        ),
    ],
)
def test_what_a_terminal_shows(width: int, bars: int, leaders: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, course(), monkeypatch)
    names = [line.split("━")[0].rstrip() for line in lines[:2]]
    assert names == ["tuning, coarse/extension", "confirmation"]
    assert lines[0].startswith(f"tuning, coarse/extension {'━' * bars} 100% 3 runs")
    assert " 50% 6 runs" in lines[1]
    assert lines[2:] == ["whole study: 6 of about 9 runs, about 1 min 30 s left", leaders]
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_name_of_60_wide_letters_stands_whole(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, course(["最適化" * 20, "b", "c"]), monkeypatch)
    assert all(cell_len(line) <= width for line in lines)
    assert "最適化" * 20 in "".join(lines)
    assert "97.0% at 3e-3" in "\n".join(lines)


def test_nothing_is_provisional_once_the_study_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(80, [*course(), Concluded(STUDY, "Use adam.")], monkeypatch)
    assert len(lines) == 2, "the bars alone"


def test_stages_that_broke_off_show_no_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {0: replace(RUN, diverged_at=5), 1: replace(RUN, failure="ValueError: no")}
    lines = shown(80, [*course()[:2], Finished(broken)], monkeypatch)
    assert not any("so far" in line for line in lines)
