"""What is said of a study of which no run has finished, in place of a table of dashes."""

from pathlib import Path
from typing import Any

from thalweg.cli.session import OUT


def told(result: Any, out: Path, study: int | None) -> bool:
    """Says in one sentence that no run of a study has finished, and what to do; returns whether that was so.

    study: its id; `None` for the newest.
    """
    if result.runs:
        return False
    from thalweg.api.studies import Studies
    from thalweg.reports.studies import state

    summary = Studies(out).summary(study)
    if summary.finished:
        return False
    now = state(summary, out)
    place = "" if str(out) == OUT else f" --out {out}"
    command = "watch" if now.startswith("running") else "resume"
    more = {"watch": "watch it with", "resume": "go on with"}[command]
    print(
        f"No run of study {summary.id} ({summary.record.workload}) has finished yet; it is {now}:"
        f" {more} thalweg {command} {summary.id}{place}."
    )
    return True
