"""The page's section on the costs and failures of each optimizer."""

from collections.abc import Sequence

from thalweg.analysis.cost import cap_of
from thalweg.analysis.formatting import several
from thalweg.analysis.recommendation import pick
from thalweg.analysis.reliability import DIVERGED, NO_METRIC, WORSENED
from thalweg.analysis.row import Row
from thalweg.errors import listed
from thalweg.records.types import StudyRecord
from thalweg.reports.figures.formatting import MISSING, duration, memory, pace
from thalweg.reports.layout import board, heading, remark, stacked, titled
from thalweg.reports.markup import Markup

LONGEST = 160  # maximum characters of a failure reason on the page; the JSON has the full text
HEADS = ("tuning runs", "evaluations", "tuning time", "time per step", "memory", "diverged")


def section(study: StudyRecord, rows: Sequence[Row]) -> Markup:
    """The section: use of the tuning cap, time per step, memory and failures per optimizer."""
    lines = [(row.contender, _cells(row)) for row in rows]
    chosen = pick(rows)
    heads = [*map(heading, HEADS), heading("what went wrong", "words")]
    table = board("What each optimizer cost", heads, lines, chosen.contender if chosen else None)
    return titled("cost", "What it cost", _lead(study, rows), table, remark(_meaning()))


def cap(study: StudyRecord) -> str:
    """The tuning cap of one optimizer in words, `51 runs and 860,880 gradient evaluations`; empty without a cap."""
    runs, evaluations, seconds = (cap_of(study, name) for name in ("runs", "evaluations", "seconds"))
    parts = [
        several(round(runs), "run") if runs is not None else "",
        several(round(evaluations), "gradient evaluation") if evaluations is not None else "",
        duration(seconds) if seconds is not None else "",
    ]
    known = [part for part in parts if part]
    return listed(known) if known else ""


def _lead(study: StudyRecord, rows: Sequence[Row]) -> str:
    most = cap(study)
    told = f"Tuning one optimizer could take {most}." if most else "Tuning had no cap."
    failed = sum(sum(row.failures.values()) for row in rows)
    trained = sum(row.trained for row in rows)
    return f"{told} {failed:,} of {several(trained, 'run')} did not go well."


def _meaning() -> str:
    return (
        "An evaluation is one forward and backward pass of a batch: a step takes one, with SAM two. "
        "Tuning time is each run’s share of the time of the runs that trained with it. Time per step is the median "
        "over all runs. Memory is a run’s parameters, gradients and optimizer state at most, without activations. "
        "Diverged and what went wrong count all runs, those of the published defaults too."
    )


def _cells(row: Row) -> list[Markup]:
    spent = row.spent
    return [
        stacked(f"{spent.runs:,}", _rest(spent.unspent_runs)),
        stacked(f"{spent.evaluations:,}", _rest(spent.unspent_evaluations)),
        stacked(duration(spent.seconds), _time_left(spent.unspent_seconds)),
        stacked(pace(row.cost.seconds_per_step)),
        stacked(memory(row.cost.memory)),
        stacked(f"{row.diverged_share:.0%}" if row.trained else MISSING),
        stacked(failures(row), kind="words"),
    ]


def _rest(unspent: float | None) -> str:
    """The unspent part of a cap of runs or steps, in words."""
    if unspent is None:
        return ""
    if unspent == 0:
        return "all of it"
    return f"{unspent:,.0f} unspent" if unspent > 0 else f"{-unspent:,.0f} over"


def _time_left(unspent: float | None) -> str:
    if unspent is None:
        return ""
    return f"{duration(abs(unspent))} {'unspent' if unspent >= 0 else 'over'}"


def failures(row: Row) -> str:
    """Failures with counts, such as `12 diverged; 2 failed: out of memory`; a dash without any."""
    if not row.trained:
        return "no run was trained"
    return "; ".join(f"{count:,} {_told(reason)}" for reason, count in row.failures.items()) or MISSING


def _told(reason: str) -> str:
    if reason in (DIVERGED, WORSENED):
        return reason
    if reason == NO_METRIC:
        return f"with {reason}"
    line = " ".join(reason.split())
    return f"failed: {line if len(line) <= LONGEST else f'{line[: LONGEST - 1]}…'}"
