"""The sentence of a difference in which no single optimizer changed significantly: why, and what they did together."""

from thalweg.analysis.difference import Difference
from thalweg.analysis.formatting import is_percent, size
from thalweg.analysis.pooled import PooledChange
from thalweg.records.types import StudyRecord
from thalweg.reports.figures.formatting import signed


def unmoved(found: Difference) -> str:
    """That no contender changed significantly, by which p, and the change of all together."""
    ps = [change.adjusted for change in found.changes if change.adjusted is not None]
    if not ps:
        return "Nothing changed significantly."
    if len(ps) == 1:
        return f"Nothing changed significantly (p {_p(ps[0])})."
    alone = f"No single optimizer changed significantly ({len(ps)} compared, smallest adjusted p {_p(min(ps))})"
    return f"{alone}{_together(found, found.pooled)}." if found.pooled else f"{alone}."


def _together(found: Difference, pooled: PooledChange) -> str:
    """The change of all together, as the rest of a sentence; of an error, up is said to be worse."""
    study, count, change = found.after, len(pooled.contenders), pooled.interval
    up = change.mean > 0
    all_of = len(found.changes) == count
    who = "they" if all_of else f"the {count} that finished every run"
    of = f"{pooled.up if up else pooled.down} of {count} {'up' if up else 'down'}"
    if change.mean == 0:
        return f"; together {who} did not move either"
    if not pooled.significant:
        span = f"{pooled.level:.0%} interval {signed(study, change.low)} to {signed(study, change.high)}"
        return f", nor did {who} together: {signed(study, change.mean)}{_points(study)} ({span}; {of})"
    ends = sorted((abs(change.low), abs(change.high)))
    span = f"{pooled.level:.0%} interval {'–'.join(_bare(study, end) for end in ends)}"
    value = "" if study.higher_is_better else f", which is {'worse' if up else 'better'}"
    return (
        f", but together {who} moved {'up' if up else 'down'} by {size(study, abs(change.mean))}{value} ({span}; {of})"
    )


def _p(p: float) -> str:
    """A p that is not significant, with as many digits as show that: `0.21`, `0.053`, `0.0501`."""
    return next((text for digits in range(2, 6) if float(text := f"{p:.{digits}g}") > 0.05), "just above 0.05")


def _points(study: StudyRecord) -> str:
    return " points" if is_percent(study) else ""


def _bare(study: StudyRecord, amount: float) -> str:
    """The size of a difference without its unit."""
    return size(study, amount).removesuffix(" points")
