"""Displays of a running study: progress bars and the leaders so far on a terminal, lines elsewhere, or the log."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from thalweg.analysis.leaders import Leaders
from thalweg.analysis.time_left import Foreseen, Outlook
from thalweg.errors import counted
from thalweg.records.events import Concluded, Event, Finished, Measured, Noted, Planned, StageBegan, StageProgress
from thalweg.records.types import StudyRecord
from thalweg.reports.so_far import leaders_lines, time_left, whole_study

REDRAWS = 5  # a second
logger = logging.getLogger(__name__)


class Display(Protocol):
    """A listener that shows a study. on_terminal: whether a person watches, who is told how long it will take."""

    @property
    def on_terminal(self) -> bool: ...

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


class Logged:
    """Logs one line for the plan, for each stage, and for each note."""

    on_terminal = False

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(_, told) | Noted(told, False):
                logger.info(told)
            case StageBegan():
                logger.info("%s", _begun(event))

    def close(self) -> None:
        pass


class Live:
    """Progress bars, the time left and the leaders so far on a terminal, one line per stage elsewhere.

    Both on standard error. A frame is drawn in a thread of its own, `REDRAWS` times a second at most.
    now: the time in seconds by any one clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.live import Live as Screen

        from thalweg.reports.bars import Bars

        self._console = Console(file=sys.stderr)
        self._now, self._lock, self._bars = now, threading.Lock(), Bars(self._console)
        self._whole: SoFar | None = None
        self._screen = Screen(get_renderable=self._frame, console=self._console, refresh_per_second=REDRAWS)
        if self._console.is_terminal:
            self._screen.start()

    @property
    def on_terminal(self) -> bool:
        return self._console.is_terminal

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(_, told) | Noted(told, False):
                self._console.print(told, highlight=False, markup=False, soft_wrap=not self._console.is_terminal)
            case StageBegan():
                self._begin(event)
            case Measured() | Finished():
                self._stage.follow(event)
                self._bars.advance(self._stage.runs)
        if self._console.is_terminal:
            self._follow(event)

    def _begin(self, stage: StageBegan) -> None:
        if not self._console.is_terminal:
            print(_begun(stage), file=sys.stderr)
            sys.stderr.flush()
        self._stage = StageProgress(stage)
        self._bars.begin(stage.name, stage.runs)

    def _follow(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Planned):
                self._whole = SoFar(event.record)
            if isinstance(event, Concluded):
                self._whole = None
            if self._whole is not None:
                self._whole.follow(event, self._now())

    def _frame(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        width = self._console.width
        with self._lock:
            lines = self._whole.lines(self._now(), width) if self._whole is not None else []
        return Group(self._bars.fitting(width), *(Text(line, no_wrap=True, overflow="ignore") for line in lines))

    def close(self) -> None:
        self._screen.stop()


class SoFar:
    """The lines below the bars: how far the whole study is, and its leaders."""

    def __init__(self, record: StudyRecord) -> None:
        self._record, self._leaders, self._outlook = record, Leaders(record), Outlook(Foreseen.of(record))

    def follow(self, event: Event, now: float) -> None:
        """Takes an event into account, heard at `now` in seconds of any one clock."""
        self._leaders.follow(event)
        self._outlook.follow(event, now)

    def lines(self, now: float, width: int) -> list[str]:
        """At most two lines of at most `width` columns; more where a leader's name is longer."""
        left = time_left(self._outlook.left(now), at_most=self._outlook.expected.may_end_early)
        whole = whole_study(self._outlook.done, self._outlook.total, left)
        return [*([whole] if whole else []), *leaders_lines(self._record, self._leaders.best(), width)]


def _begun(stage: StageBegan) -> str:
    return f"{stage.name}: {counted(stage.runs, 'run')} of {counted(stage.steps, 'step')}"


def display(*, progress: bool) -> Display:
    """The display of a study that a user starts: on standard error, or the log alone."""
    return Live() if progress else Logged()
