"""Progress bars of the stages of a study, as wide as the terminal allows."""

import math
from typing import Any

from thalweg.errors import counted

WIDEST = 32  # columns of a bar
WITH_TIME = 70  # columns of a terminal from which each bar shows its own time, too


class Bars:
    """One bar per stage on a console. timed: with room, each tells the time left of its stage, then that it took."""

    def __init__(self, console: Any, *, timed: bool = True) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.table import Column

        def whole() -> Column:
            return Column(no_wrap=True, overflow="fold")

        self._columns = (
            TextColumn("{task.description:<17}", markup=False, table_column=whole()),
            BarColumn(bar_width=WIDEST),
            TaskProgressColumn(table_column=whole()),
            TextColumn("{task.fields[runs]}", markup=False, table_column=whole()),
        )
        self._time = TimeRemainingColumn(elapsed_when_finished=True, table_column=whole())
        self._progress = Progress(*self._columns, console=console, auto_refresh=False)
        self._task: Any = None
        self._least = WITH_TIME if timed else math.inf

    def begin(self, name: str, runs: int, done: float = 0.0, told: str = "") -> None:
        """A bar for a stage of so many runs, of which some are done. told: how many, in words."""
        self._task = self._progress.add_task(name, total=runs, runs=told or counted(runs, "run"))
        self.advance(done)

    def advance(self, done: float) -> None:
        """So many runs of the last stage are done, with fractions of those in training."""
        self._progress.update(self._task, completed=done)

    def fitting(self, width: int) -> Any:
        """The bars for so many columns. Names and numbers stay whole: of all columns, the bars alone may shrink."""
        self._progress.columns = (*self._columns, self._time) if width >= self._least else self._columns
        return self._progress.get_renderable()
