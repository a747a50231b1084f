"""A study of sparse models as lines of a terminal of 80 columns, and its sentences."""

import textwrap
from collections.abc import Sequence

from thalweg.analysis.formatting import is_accuracy, metric_name, number_of, rate_text
from thalweg.analysis.intervals import Interval
from thalweg.analysis.sparsity import SparsityRow
from thalweg.errors import listed
from thalweg.records.sparsity import DENSE, SparsityRecord
from thalweg.reports.terminal import aligned

WIDTH = 80


def heads(record: SparsityRecord) -> list[str]:
    """The headings of the table."""
    split = "test" if record.tested else "validation"
    return ["method", "sparsity", f"{split} {metric_name(record.metric)}", "worse than dense by", "weights left"]


def cells(record: SparsityRecord, rows: Sequence[SparsityRow]) -> list[list[str]]:
    """One list of cells per row."""
    return [_row(record, row) for row in rows]


def _row(record: SparsityRecord, row: SparsityRow) -> list[str]:
    least, most = (row.weights - zeros for zeros in (row.zeros[1], row.zeros[0]))
    left = f"{least:,}" if least == most else f"{least:,}–{most:,}"
    name = row.method if row.strength is None else f"{row.method} ({rate_text(row.strength)})"
    known = row.metric.count > 0
    metric = number_of(record.metric, row.metric) if known else "-"
    sparsity = "-" if row.method == DENSE else f"{row.sparsity * 100:g}%"
    return [name, sparsity, metric, "-" if row.loss is None or not known else loss_text(record, row.loss), left]


def loss_text(record: SparsityRecord, loss: Interval) -> str:
    """A difference with its margin: in points of an accuracy, negative where the sparse models are better."""
    scale, unit = (100.0, " points") if is_accuracy(record.metric) else (1.0, "")
    digits = ".1f" if scale == 100.0 else ".3g"
    if loss.count == 0:
        return "-"
    if loss.count == 1:
        return f"{loss.mean * scale:{digits}}{unit}"
    return f"{loss.mean * scale:{digits}} ± {loss.margin * scale:{digits}}{unit}"


def sparsity_lines(record: SparsityRecord, rows: Sequence[SparsityRow], width: int = WIDTH) -> list[str]:
    """The table, then what it says in sentences. width: of the terminal; the last column leaves a narrow one."""
    table = aligned(heads(record), cells(record, rows), 1)
    if max(map(len, table)) > width:
        table = aligned(heads(record)[:-1], [line[:-1] for line in cells(record, rows)], 1)
    told = sentences(record, rows)
    return [*table, "", *(line for text in told for line in textwrap.wrap(text, width, subsequent_indent="  "))]


def sentences(record: SparsityRecord, rows: Sequence[SparsityRow]) -> list[str]:
    """From which sparsity on each method loses; what broke off; notes."""
    out = [_reach(record, method, rows) for method in record.methods if any(row.method == method for row in rows)]
    for row in rows:
        if row.broken:
            of = "dense models" if row.method == DENSE else f"models of {row.method} at {row.sparsity * 100:g}%"
            out.append(f"{row.broken} {of} broke off and are in no mean.")
    strongest = max(record.request.get("l1") or [0.0])
    if len(record.request.get("l1") or ()) > 1 and any(row.strength == strongest for row in rows):
        out.append(f"l1 is best at the strongest penalty tried, {strongest:g}, somewhere: stronger ones may be better.")
    if len(record.seeds) < 2:
        out.append("One seed has no interval: give several to tell methods apart.")
    return [*out, *record.notes]


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
        parts.append(f"a loss {'from' if before else 'at every sparsity tried, from'} {_at(record, first)} on")
    return f"{method}: {', '.join(parts)}."


def _at(record: SparsityRecord, row: SparsityRow) -> str:
    assert row.loss is not None
    return f"{row.sparsity * 100:g}% ({loss_text(record, row.loss)})"
