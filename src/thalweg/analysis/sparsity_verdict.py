"""What a study of sparse models found, in words."""

import math
from collections.abc import Sequence

from thalweg.analysis.formatting import is_accuracy
from thalweg.analysis.intervals import Interval
from thalweg.analysis.sparsity import SparsityRow
from thalweg.errors import counted, listed
from thalweg.records.sparsity import DENSE, TICKET, SparsityRecord


def sparsity_verdict(record: SparsityRecord, rows: Sequence[SparsityRow]) -> str:
    """From which sparsity on each method loses, the one first that holds out longest; what broke off; what to doubt."""
    longest = sorted(record.methods, key=lambda method: -_first_lost(method, rows))
    out = [_reach(record, method, rows) for method in longest]
    out += [_broken(row) for row in rows if row.broken]
    strongest = max(record.request.get("l1") or [0.0])
    if len(record.request.get("l1") or ()) > 1 and any(row.strength == strongest for row in rows):
        out.append(f"l1 is best at the strongest penalty tried, {strongest:g}, somewhere: stronger ones may be better.")
    if not record.tested and any(row.strength is not None for row in rows) and len(record.request.get("l1") or ()) > 1:
        out.append("There is no test split: l1 is shown at its best strength, chosen by the same metric: too good.")
    if len(record.seeds) < 2:
        out.append("One seed has no interval: give several to tell methods apart.")
    return " ".join(out)


def _first_lost(method: str, rows: Sequence[SparsityRow]) -> float:
    """The lowest sparsity at which a method's loss is told from none; infinite where none is."""
    lost = [row.sparsity for row in rows if row.method == method and row.loss is not None and row.loss.low > 0]
    return min(lost, default=math.inf)


def _reach(record: SparsityRecord, method: str, rows: Sequence[SparsityRow]) -> str:
    """Where a method gains, up to which sparsity its loss is not told from none, and the first at which it is."""
    own = [row for row in rows if row.method == method and row.loss is not None and row.loss.count > 1]
    if not any(row.method == method and row.metric.count for row in rows):
        return f"{method}: no model with a score."
    if not own:
        return f"{method}: too few models to tell a loss from none."
    first = next((row for row in own if row.loss is not None and row.loss.low > 0), None)
    gains = [row for row in own if row.loss is not None and row.loss.high < 0]
    before = [row for row in own if row not in gains and (first is None or row.sparsity < first.sparsity)]
    parts = [f"better than dense at {listed([_at(record, row) for row in gains])}"] if gains else []
    if before:
        parts.append(f"{_seeds(before)} seeds do not tell a loss from none up to {_at(record, before[-1])}")
    if first is not None:
        lost = [row for row in own if row.loss is not None and row.loss.low > 0]
        on = lost == own[own.index(first) :]
        whole = "at every sparsity tried, from" if len(lost) == len(own) else "from"
        parts.append(
            f"a loss {whole} {_at(record, first)} on" if on else f"a loss at {listed([_at(record, r) for r in lost])}"
        )
    return f"{method}: {', '.join(parts)}."


def _seeds(rows: Sequence[SparsityRow]) -> str:
    """How many pairs of models rows go by: `5`, or `4 to 5`."""
    counts = [row.loss.count for row in rows if row.loss is not None]
    return f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(max(counts))


def _broken(row: SparsityRow) -> str:
    """How many runs of a row broke off, or could not begin."""
    dense = counted(row.broken, "dense model")
    of = dense if row.method == DENSE else f"{counted(row.broken, 'model')} of {row.method} at {row.sparsity * 100:g}%"
    verb = "is" if row.broken == 1 else "are"
    return (
        f"{of} {verb} in no mean: broken off{', not begun' if row.method == TICKET else ''} or without a finite score."
    )


def _at(record: SparsityRecord, row: SparsityRow) -> str:
    assert row.loss is not None
    return f"{row.sparsity * 100:g}% ({loss_text(record, row.loss)})"


def loss_text(record: SparsityRecord, loss: Interval) -> str:
    """A difference with its margin: in points of an accuracy, negative where the sparse models are better."""
    scale, unit = (100.0, " points") if is_accuracy(record.metric) else (1.0, "")
    digits = ".1f" if scale == 100.0 else ".3g"
    if loss.count == 0:
        return "-"
    if loss.count == 1:
        return f"{loss.mean * scale:{digits}}{unit}"
    return f"{loss.mean * scale:{digits}} ± {loss.margin * scale:{digits}}{unit}"
