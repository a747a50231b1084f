"""What a study of sparse models found, in words."""

from collections.abc import Sequence

from thalweg.analysis.formatting import is_accuracy
from thalweg.analysis.intervals import Interval
from thalweg.analysis.sparsity import SparsityRow
from thalweg.errors import listed
from thalweg.records.sparsity import DENSE, SparsityRecord


def sparsity_verdict(record: SparsityRecord, rows: Sequence[SparsityRow]) -> str:
    """From which sparsity on each method loses; what broke off; what to doubt."""
    out = _least(record, rows)
    out += [_reach(record, method, rows) for method in record.methods if any(row.method == method for row in rows)]
    for row in rows:
        if row.broken:
            of = "dense models" if row.method == DENSE else f"models of {row.method} at {row.sparsity * 100:g}%"
            out.append(f"{row.broken} {of} broke off and are in no mean.")
    strongest = max(record.request.get("l1") or [0.0])
    if len(record.request.get("l1") or ()) > 1 and any(row.strength == strongest for row in rows):
        out.append(f"l1 is best at the strongest penalty tried, {strongest:g}, somewhere: stronger ones may be better.")
    if len(record.seeds) < 2:
        out.append("One seed has no interval: give several to tell methods apart.")
    return " ".join(out)


def _least(record: SparsityRecord, rows: Sequence[SparsityRow]) -> list[str]:
    """By which method least is lost at each sparsity, on average, where there are several."""
    at: dict[str, list[str]] = {}
    for sparsity in record.sparsities if len(record.methods) > 1 else ():
        own = [(row.loss.mean, row) for row in rows if row.sparsity == sparsity and row.loss is not None]
        known = [(loss, row) for loss, row in own if loss == loss]  # NaN where none trained to its end
        if known:
            least = min(known, key=lambda of: of[0])[1]
            at.setdefault(least.method, []).append(_at(record, least))
    parts = [f"by {method} at {listed(places)}" for method, places in at.items()]
    return [f"Least is lost {'; '.join(parts)}."] if parts else []


def _reach(record: SparsityRecord, method: str, rows: Sequence[SparsityRow]) -> str:
    """Where a method gains, up to which sparsity its loss is not told from none, and the first at which it is."""
    own = [row for row in rows if row.method == method and row.loss is not None and row.loss.count > 1]
    if not own:
        return f"{method}: too few models to tell a loss from none."
    first = next((row for row in own if row.loss is not None and row.loss.low > 0), None)
    before = [row for row in own if first is None or row.sparsity < first.sparsity]
    gains = [row for row in own if row.loss is not None and row.loss.high < 0]
    parts = [f"better than dense at {listed([_at(record, row) for row in gains])}"] if gains else []
    if before:
        parts.append(f"{len(record.seeds)} seeds do not tell a loss from none up to {_at(record, before[-1])}")
    if first is not None:
        everywhere = all(row.loss is not None and row.loss.low > 0 for row in own)
        parts.append(f"a loss {'at every sparsity tried, from' if everywhere else 'from'} {_at(record, first)} on")
    return f"{method}: {', '.join(parts)}."


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
