"""`thalweg watch [ID]`: shows a running study from another terminal."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli.session import OUT
from thalweg.cli.studies import Out, Study

if TYPE_CHECKING:
    from thalweg.records.types import Summary


def watch(
    study: Study = None,
    out: Out = Path(OUT),
    every: Annotated[float, typer.Option(help="Seconds between two looks, from 0.1.", min=0.1, max=3600)] = 2.0,
) -> None:
    """Watch a study: how far it is, and the leaderboard as it forms. Ends with the study."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    try:
        if not console.is_terminal:
            _lines(study, out, every)
            return
        with Live(console=console, auto_refresh=False, screen=False) as live:
            going = True
            while going:
                going, seen = _look(study, out, console.width)
                live.update(seen, refresh=True)
                time.sleep(every if going else 0)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _lines(study: int | None, out: Path, every: float) -> None:
    """Output to a pipe or file: one line for each change of state."""
    last, going = "", True
    while going:
        summary = _summary(study, out)
        line, going = _headline(summary, out)
        if line != last:
            print(line, flush=True)
        last = line
        time.sleep(every if going else 0)


def _look(study: int | None, out: Path, width: int) -> tuple[bool, Any]:
    from rich.console import Group
    from rich.text import Text

    import thalweg
    from thalweg.reports.terminal import table

    summary = _summary(study, out)
    line, going = _headline(summary, out)
    if not summary.runs:
        return going, Text(line)
    result = thalweg.stored(out, summary.id)
    return going, Group(Text(line), table(result.study, result.rows, width), Text("" if going else result.verdict))


def _summary(study: int | None, out: Path) -> "Summary":
    from thalweg.api.studies import Studies

    return Studies(out).summary(study)


def _headline(summary: "Summary", out: Path) -> tuple[str, bool]:
    """(status line of the study, whether it may still change)."""
    from thalweg.reports.studies import state

    now = state(summary, out)
    whole = summary.record.plan.get("expected", {}).get("runs")
    of = f" of about {whole:,}" if whole and summary.finished is None else ""
    line = f"study {summary.id}, {summary.record.workload}: {now}, {summary.runs:,}{of} runs"
    return line, now.startswith("running")
