"""Displays of a running study: progress bars on a terminal, lines elsewhere, or the log."""

import logging
import sys
from typing import Protocol

from thalweg.errors import counted
from thalweg.records.events import Event, Finished, Measured, Noted, Planned, StageBegan, StageProgress

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
    """Progress bars on a terminal, one line per stage elsewhere; both on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._console = Console(file=sys.stderr)
        self._bars = Progress(
            TextColumn("{task.description:<17}"),
            BarColumn(bar_width=32),
            TaskProgressColumn(),
            TextColumn("{task.fields[runs]} runs"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._bars.start()

    @property
    def on_terminal(self) -> bool:
        return self._console.is_terminal

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(_, told) | Noted(told, False):
                self._console.print(told, highlight=False, soft_wrap=True)
            case StageBegan():
                self._begin(event)
            case Measured() | Finished():
                self._stage.follow(event)
                self._bars.update(self._task, completed=self._stage.runs)

    def _begin(self, stage: StageBegan) -> None:
        if not self._console.is_terminal:
            print(_begun(stage), file=sys.stderr)
            sys.stderr.flush()
        self._stage = StageProgress(stage)
        self._task = self._bars.add_task(stage.name, total=stage.runs, runs=stage.runs)

    def close(self) -> None:
        self._bars.stop()


def _begun(stage: StageBegan) -> str:
    return f"{stage.name}: {counted(stage.runs, 'run')} of {counted(stage.steps, 'step')}"


def display(*, progress: bool) -> Display:
    """The display of a study that a user starts: on standard error, or the log alone."""
    return Live() if progress else Logged()
