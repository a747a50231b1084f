"""The list of studies in a directory."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from thalweg.options.comparison import settings
from thalweg.records.lock import folder, running
from thalweg.records.types import StudyRecord, Summary

HEADS = ("id", "begun", "workload", "optimizers", "runs", "state", "tag")


def rows(summaries: Sequence[Summary], directory: Path) -> list[list[str]]:
    """One list of cells per study, with the columns `HEADS`."""
    return [_row(summary, directory) for summary in summaries]


def _row(summary: Summary, directory: Path) -> list[str]:
    begun = datetime.fromisoformat(summary.started).astimezone()
    return [
        str(summary.id),
        f"{begun:%Y-%m-%d %H:%M}",
        summary.record.workload,
        _compared(summary.record),
        f"{summary.runs:,}",
        state(summary, directory),
        settings(summary.record.request).get("tag") or "",
    ]


def _compared(study: StudyRecord) -> str:
    """The optimizers, or of a study that is no comparison its kind and its one optimizer."""
    names = study.contenders
    if kind := study.request.get("kind"):
        return f"{kind}: {study.request.get('optimizer', names[0])}"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def state(summary: Summary, directory: Path) -> str:
    """The state in words: finished, running or stopped, with stage and progress."""
    if summary.finished is not None:
        return "finished"
    where = f" in {summary.progress.stage}, {summary.progress.done:.0%}" if summary.progress.stage else ""
    process = running(folder(directory, summary.id))
    return f"stopped{where}" if process is None else f"running{where} (process {process})"
