"""Displays of a running study's progress."""

import logging
import sys
from typing import Protocol

from thalweg.errors import counted
from thalweg.studies.persistence import Keeping

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Receives the plan, each stage (number of runs, steps per run, measurements per run), and each measurement.

    on_terminal: whether a person watches, who is told how long the study will take.
    """

    @property
    def on_terminal(self) -> bool: ...

    def plan(self, text: str) -> None: ...

    def stage(self, name: str, runs: int, steps: int, measurements: int) -> None: ...

    def advance(self, runs: int) -> None: ...

    def close(self) -> None: ...


class Noted:
    """Forwards to an observer and persists the progress."""

    def __init__(self, show: Observer, keeping: Keeping) -> None:
        self._show, self._keeping = show, keeping

    @property
    def on_terminal(self) -> bool:
        return self._show.on_terminal

    def plan(self, text: str) -> None:
        self._show.plan(text)

    def stage(self, name: str, runs: int, steps: int, measurements: int) -> None:
        self._name, self._runs, self._left = name, runs, runs * measurements
        self._all = self._left
        self._show.stage(name, runs, steps, measurements)
        self._keeping.advance(name, runs, 0.0)

    def advance(self, runs: int) -> None:
        self._left -= runs
        self._show.advance(runs)
        self._keeping.advance(self._name, self._runs, 1 - self._left / self._all)

    def close(self) -> None:
        self._show.close()


class Silent:
    """Shows nothing."""

    on_terminal = False

    def plan(self, text: str) -> None:
        pass

    def stage(self, name: str, runs: int, steps: int, measurements: int) -> None:
        pass

    def advance(self, runs: int) -> None:
        pass

    def close(self) -> None:
        pass


class Logged(Silent):
    """Logs one line for the plan and each stage."""

    def plan(self, text: str) -> None:
        logger.info(text)

    def stage(self, name: str, runs: int, steps: int, measurements: int) -> None:
        logger.info("%s: %s runs of %s steps", name, f"{runs:,}", f"{steps:,}")


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

    def plan(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def stage(self, name: str, runs: int, steps: int, measurements: int) -> None:
        if not self._console.is_terminal:
            print(f"{name}: {counted(runs, 'run')} of {counted(steps, 'step')}", file=sys.stderr, flush=True)
        self._task = self._bars.add_task(name, total=runs * measurements, runs=runs)

    def advance(self, runs: int) -> None:
        self._bars.advance(self._task, runs)

    def close(self) -> None:
        self._bars.stop()
