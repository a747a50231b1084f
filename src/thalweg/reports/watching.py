"""What `thalweg watch` shows of a study that is running, from its store: bars, time left, provisional leaders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.analysis.formatting import number_of
from thalweg.analysis.intervals import Interval
from thalweg.analysis.leaders import Leaders
from thalweg.analysis.time_left import Foreseen
from thalweg.records.store import Store
from thalweg.records.types import Leader, Round, RunRecord, StudyRecord, Summary
from thalweg.reports.bars import Bars
from thalweg.reports.so_far import OF, score, short_rate, sparkline, time_left, whole_study

STAGES: dict[Round, str] = {
    "coarse": "tuning, coarse",
    "extension": "tuning, extension",
    "fine": "tuning, fine",
    "search": "tuning, search",
    "confirmation": "confirmation",
}
MOST_LOOKS = 1000  # that are remembered; beyond, every other one is forgotten
SPARK = 40  # columns of a sparkline at most
LEAST_SPARK = 8  # and at least
HEADS = ("optimizer", "learning rate", "validation {metric}", "seeds")
GAP = 3  # columns between two of a table
BESIDE = 12  # lines of a frame that are no leaders: headline, bars, gaps, headings


@dataclass
class Watched:
    """A study as far as its store tells, looked at again and again; runs are read once each."""

    number: int
    summary: Summary | None = None
    runs: list[RunRecord] = field(default_factory=list)
    leaders: Leaders | None = None
    course: list[float] = field(default_factory=list)  # the best validation metric of any run, one per look
    _row: int = 0
    _told: tuple[float | None, float] = (None, 0.0)  # (seconds left as last stored, when that was first seen)

    def look(self, store: Store, now: float) -> Summary:
        """Reads what is new. now: seconds of any one clock. Raises `InputError` where the study is gone."""
        store.study(self.number)
        summary = next(s for s in store.summaries() if s.id == self.number)
        if self.leaders is None:
            self.leaders = Leaders(summary.record)
        self._row, new = store.runs_after(self.number, self._row)
        self.runs += new
        for run in new:
            self.leaders.add(run)
        if self.summary is None or summary.progress != self.summary.progress:
            self._told = (summary.progress.left, now)
        self.summary = summary
        self._note_best(summary.record)
        return summary

    def left(self, now: float) -> float | None:
        """Seconds left, counted down since the study last told."""
        seconds, at = self._told
        return None if seconds is None else max(0.0, seconds - (now - at), seconds / 4)

    def _note_best(self, record: StudyRecord) -> None:
        best = max if record.higher_is_better else min
        values = [value for leader in self.best for value in leader.values]
        if values or self.course:
            self.course.append(best(values + self.course[-1:]))
        if len(self.course) > MOST_LOOKS:
            del self.course[1:-1:2]

    @property
    def best(self) -> Sequence[Leader]:
        """The leaders among runs that ended, else among those in training."""
        assert self.leaders is not None, "after a look"
        assert self.summary is not None, "after a look"
        return self.leaders.best() or self.summary.progress.leaders


def frame(study: Watched, now_is: str, console: Any, now: float, *, ended: bool = False) -> Any:
    """The lines and tables of one look, for a console; nothing in it is ranked or recommended.

    now_is: the study's state in words. ended: it stopped.
    """
    from rich.console import Group
    from rich.text import Text

    assert study.summary is not None, "after a look"
    parts: list[Any] = [Text(f"study {study.number}, {study.summary.record.workload}: {now_is}")]
    if study.summary.progress.stage:
        parts.append(_bars(study, study.summary, console).fitting(console.width))
    progress = study.summary.progress
    early = Foreseen.of(study.summary.record).may_end_early
    left = "" if ended else time_left(study.left(now), at_most=early)
    whole = whole_study(study.summary.runs, progress.study_runs, left)
    parts += [Text(whole)] if whole else []
    if study.best:
        parts += [_table(study, console.width, max(1, console.height - BESIDE))]
    elif study.runs:
        parts += [Text("No run has ended with a validation metric so far.")]
    spark = best_so_far(study, console.width)
    return Group(*parts, *([Text(spark)] if spark else []))


def best_so_far(study: Watched, width: int) -> str:
    """The best validation metric of any run, from the first look to the last; empty without room or before it changed.

    `best run so far: 91.2% ▁▃▅▆▇█ 97.6%`, rising where higher is better, else falling.
    """
    assert study.summary is not None, "after a look"
    course, metric = study.course, study.summary.record.metric
    if len(course) < 2 or course[0] == course[-1]:
        return ""
    first, last = (number_of(metric, Interval(v, v, v, 1)) for v in (course[0], course[-1]))
    begin, end = f"best run so far: {first} ", f" {last}"
    room = min(SPARK, width - len(begin) - len(end))
    return f"{begin}{sparkline(course, room)}{end}" if room >= LEAST_SPARK else ""


def _bars(study: Watched, summary: Summary, console: Any) -> Bars:
    """One per stage that ended, by the rounds of its runs, and one for that in progress."""
    bars, progress = Bars(console, timed=False), summary.progress
    ended = [run.round for run in study.runs][: progress.first]
    for of, name in STAGES.items():
        if count := ended.count(of):
            bars.begin(name, count, count, _of(count, count))
    finished = max(0, len(study.runs) - progress.first)
    bars.begin(progress.stage, progress.runs, progress.done * progress.runs, _of(finished, progress.runs))
    return bars


def _of(finished: int, runs: int) -> str:
    return f"{finished:,} of {runs:,} runs"


def _table(study: Watched, width: int, most: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    assert study.summary is not None, "after a look"
    record, leaders = study.summary.record, study.best
    title = f"so far ({OF[leaders[0].kind]})"
    more = f"and {len(leaders) - most} more" if len(leaders) > most else None
    out = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", caption=more, caption_justify="left"
    )
    body = [
        (leader.contender, short_rate(leader.learning_rate), score(record, leader), str(len(leader.values)))
        for leader in leaders[:most]
    ]
    heads = [head.format(metric=record.metric) for head in HEADS]
    if _columns(heads, body) > width:  # the headings in two lines, so that names stay whole
        heads = [head.replace(" ", "\n", 1) for head in heads]
    fits = _columns(heads, body) <= width
    for i, head in enumerate(heads):
        out.add_column(head, justify="left" if i < 2 else "right", overflow="fold", no_wrap=fits or i == 1)
    for cells in body:
        out.add_row(*(Text(cell) for cell in cells))
    return out


def _columns(heads: Sequence[str], body: Sequence[Sequence[str]]) -> int:
    """Columns of a table with these cells."""
    from rich.cells import cell_len

    cells = zip(*([max(head.split("\n"), key=len) for head in heads], *body), strict=True)
    return sum(max(map(cell_len, of)) + GAP for of in cells) - GAP + 2
