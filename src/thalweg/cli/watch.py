"""`thalweg watch [ID]`: shows a running study from another terminal."""

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli.session import OUT, show_result
from thalweg.cli.studies import Out, Study
from thalweg.errors import counted

if TYPE_CHECKING:
    from thalweg.records.types import Summary
    from thalweg.reports.watching import Watched

BEGINNING = 10.0  # seconds after its begin in which a study without a process is one that is about to have one


def watch(
    study: Study = None,
    out: Out = Path(OUT),
    every: Annotated[float, typer.Option(help="Seconds between two looks, from 0.1.", min=0.1, max=3600)] = 2.0,
) -> None:
    """Watch a study: how far it is, how long it will take, and who leads so far. Ends with the study, by its result.

    Waits where the directory has no study yet, and goes on with one that began in it meanwhile.
    """
    from rich.console import Console

    console = Console()
    try:
        _wait(out, every)
        number: int | None = study if study is not None else _newest(out)
        while number is not None:
            finished = _follow(number, out, every, console)
            if finished:
                _show(number, out)
            number = _next(number, out) if study is None and finished else None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _wait(out: Path, every: float) -> None:
    """Waits for a store that holds a study."""
    told = False
    while not _numbers(out):
        if not told:
            print(f"waiting for a study in {out} …", flush=True)
        told = True
        time.sleep(min(every, 1.0))


def _follow(number: int, out: Path, every: float, console: Any) -> bool:
    """Shows a study until it ends; returns whether it finished."""
    from rich.live import Live

    from thalweg.records.store import Store
    from thalweg.reports.watching import Watched, frame

    seen, going, last = Watched(number), True, ""
    with closing(Store(out)) as store, Live(console=console, auto_refresh=False, transient=True) as live:
        while going:
            now = time.monotonic()
            summary = seen.look(store, now)
            now_is, going = _state(summary, out)
            line = _headline(summary, now_is)
            if console.is_terminal and going:
                live.update(frame(seen, now_is, console, now), refresh=True)
            elif not console.is_terminal and line != last:
                print(line, flush=True)
            last = line
            time.sleep(every if going else 0)
    if console.is_terminal:
        _leave(seen, now_is, console)
    return summary.finished is not None


def _leave(seen: "Watched", now_is: str, console: Any) -> None:
    """What stays of a study's frames: its headline, and where it stopped before its end, how far it was."""
    from rich.text import Text

    from thalweg.reports.watching import frame

    assert seen.summary is not None, "after a look"
    if seen.summary.finished is not None:
        console.print(Text(_headline(seen.summary, now_is)))
    else:
        console.print(frame(seen, now_is, console, time.monotonic(), ended=True))


def _show(number: int, out: Path) -> None:
    import thalweg

    show_result(thalweg.stored(out, number), None)


def _numbers(out: Path) -> list[int]:
    """The studies of a directory; none where there is no store yet."""
    from thalweg.records.store import STORE, Store

    if not (out / STORE).exists():
        return []
    with closing(Store(out)) as store:
        return [summary.id for summary in store.summaries()]


def _newest(out: Path) -> int:
    return max(_numbers(out))


def _next(number: int, out: Path) -> int | None:
    """A study that began after that one, the first; `None` where there is none."""
    return min((other for other in _numbers(out) if other > number), default=None)


def _state(summary: "Summary", out: Path) -> tuple[str, bool]:
    """(the state of the study in words, whether it may still change)."""
    from thalweg.reports.studies import state

    now = state(summary, out)
    if now == "stopped" and not summary.runs and _age(summary) < BEGINNING:
        now = "beginning"
    return now, now.startswith(("running", "beginning"))


def _headline(summary: "Summary", now: str) -> str:
    """The status line of a study, for output that is no terminal."""
    whole = summary.record.plan.get("expected", {}).get("runs")
    about = whole and summary.finished is None
    runs = f"{summary.runs:,} of about {counted(whole, 'run')}" if about else counted(summary.runs, "run")
    return f"study {summary.id}, {summary.record.workload}: {now}, {runs}"


def _age(summary: "Summary") -> float:
    """Seconds since the study began."""
    return (datetime.now(UTC) - datetime.fromisoformat(summary.started)).total_seconds()
