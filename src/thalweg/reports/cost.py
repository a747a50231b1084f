"""The page's section on the costs and failures of each optimizer."""

from collections.abc import Callable, Sequence

from thalweg.analysis.cost import cap_of
from thalweg.analysis.formatting import several
from thalweg.analysis.recommendation import pick
from thalweg.analysis.reliability import DIVERGED, NO_METRIC, WORSENED
from thalweg.analysis.row import Row
from thalweg.errors import listed
from thalweg.records.types import StudyRecord
from thalweg.reports.captions import some_stop_early, wall_time
from thalweg.reports.figures.formatting import MISSING, duration, memory, pace
from thalweg.reports.layout import board, heading, remark, stacked, titled
from thalweg.reports.markup import Markup

EVALUATIONS, TIME, SHARE, PACE = "evaluations", "tuning time", "share of the tuning time", "time per step"
MEMORY, WRONG = "memory", "what went wrong"
MEANINGS = {
    EVALUATIONS: "An evaluation is one forward and backward pass of a batch: a step takes one, with SAM two.",
    TIME: "Tuning time is the sum over the tuning runs.",
    SHARE: "Runs trained together in one program: each counts with an equal share of its time, whatever its optimizer.",
    PACE: "Time per step is the median over all runs.",
    MEMORY: "Memory is a run’s parameters, gradients and optimizer state at most, without activations.",
}
"""Column → what it means, where its heading does not say all."""

ALL_RUNS = "Diverged and what went wrong count all runs, those of the published defaults too."
LONGEST = 160  # maximum characters of a failure reason on the page; the JSON has the full text


def section(study: StudyRecord, rows: Sequence[Row]) -> Markup:
    """The section: use of the tuning budget, times that are an optimizer's own, memory and failures."""
    columns = _columns(study, rows)
    lines = [(row.contender, [cell(row) for cell in columns.values()]) for row in rows]
    chosen = pick(rows)
    heads = [heading(name, *(["words"] if name == WRONG else [])) for name in columns]
    table = board("What each optimizer cost", heads, lines, chosen.contender if chosen else None)
    meaning = " ".join(MEANINGS[name] for name in columns if name in MEANINGS)
    return titled("cost", "What it cost", _lead(study, rows), table, remark(f"{meaning} {ALL_RUNS}"))


def cap(study: StudyRecord) -> str:
    """The tuning budget of one optimizer in words, `51 runs and 860,880 gradient evaluations`; empty without a cap."""
    runs, evaluations, seconds = (cap_of(study, name) for name in ("runs", "evaluations", "seconds"))
    runs = None if some_stop_early(study) else runs  # what they leave of their steps makes further ones
    parts = [
        several(round(runs), "run") if runs is not None else "",
        several(round(evaluations), "gradient evaluation") if evaluations is not None else "",
        duration(seconds) if seconds is not None else "",
    ]
    known = [part for part in parts if part]
    return listed(known) if known else ""


def _lead(study: StudyRecord, rows: Sequence[Row]) -> str:
    most = cap(study)
    told = f"Tuning budget: {most} each." if most else "Tuning had no budget."
    return " ".join([told, _ended(rows), *([f"Wall time: {wall_time(study)}."] if study.seconds else [])])


def _ended(rows: Sequence[Row]) -> str:
    """How many runs diverged, and how many failed otherwise: `28 of 539 runs diverged, and 2 failed.`"""
    trained = several(sum(row.trained for row in rows), "run")
    counts = [(reason, count) for row in rows for reason, count in row.failures.items()]
    diverged = sum(count for reason, count in counts if reason in (DIVERGED, WORSENED))
    failed = sum(count for _, count in counts) - diverged
    if not failed:
        return f"{diverged:,} of {trained} diverged." if diverged else f"No run of {trained.split()[0]} diverged."
    return f"{diverged:,} of {trained} diverged, and {failed:,} failed."


def _columns(study: StudyRecord, rows: Sequence[Row]) -> dict[str, Callable[[Row], Markup]]:
    """Heading → cell. Where runs trained together in one program, a time of one optimizer is no more than its share of
    the whole, whichever it is: the columns of times are left out, but for a budget of time, which counts these shares.
    """
    shared, timed = any(row.cost.shared for row in rows), cap_of(study, "seconds") is not None
    stop = some_stop_early(study)
    time = {SHARE if shared else TIME: _time} if timed or not shared else {}
    return {
        "tuning runs": lambda row: stacked(f"{row.spent.runs:,}", "" if stop else _rest(row.spent.unspent_runs)),
        EVALUATIONS: lambda row: stacked(f"{row.spent.evaluations:,}", _rest(row.spent.unspent_evaluations)),
        **time,
        **({} if shared else {PACE: lambda row: stacked(pace(row.cost.seconds_per_step))}),
        MEMORY: lambda row: stacked(memory(row.cost.memory)),
        "diverged": lambda row: stacked(f"{row.diverged_share:.0%}" if row.trained else MISSING),
        WRONG: lambda row: stacked(failures(row), kind="words"),
    }


def _time(row: Row) -> Markup:
    return stacked(duration(row.spent.seconds), _time_left(row.spent.unspent_seconds))


def _rest(unspent: float | None) -> str:
    """The unspent part of a cap of runs or steps, in words."""
    if unspent is None:
        return ""
    if unspent == 0:
        return "all used"
    return f"{unspent:,.0f} unused" if unspent > 0 else f"{-unspent:,.0f} over"


def _time_left(unspent: float | None) -> str:
    if unspent is None:
        return ""
    return f"{duration(abs(unspent))} {'unused' if unspent >= 0 else 'over'}"


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
