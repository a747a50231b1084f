"""The findings of a range test as lines of a terminal of 80 columns."""

import textwrap
from collections.abc import Sequence

from thalweg.analysis.formatting import rate_text
from thalweg.analysis.range_finding import RangeFinding
from thalweg.reports.terminal import aligned

WIDTH = 80
LONGEST = 22
"""Characters of an optimizer's name that fit beside the numbers."""

HEADS = ("optimizer", "suggestion", "from", "to", "steepest", "diverges", "verified")


def range_lines(found: Sequence[RangeFinding], notes: Sequence[str] = ()) -> list[str]:
    """A table of the optimizers with a suggestion, then sentences on those without and on those that were wrong."""
    rows = [_row(f) for f in found if f.suggestion is not None]
    told = [f.sentence for f in found if not f.verified and (f.suggestion is None or f.trials)] + [*notes]
    wrapped = [line for sentence in told for line in textwrap.wrap(sentence, WIDTH, subsequent_indent="  ")]
    table = aligned(HEADS, rows, 1) if rows else []
    return [*table, *([""] if table and wrapped else []), *wrapped]


def _row(finding: RangeFinding) -> list[str]:
    name = finding.optimizer if len(finding.optimizer) <= LONGEST else f"{finding.optimizer[: LONGEST - 1]}…"
    low, high = finding.interval or (None, None)
    rates = (finding.suggestion, low, high, finding.steepest, finding.divergence)
    verified = "yes" if finding.verified else "no" if finding.trials else "-"
    return [name, *("-" if rate is None else rate_text(rate) for rate in rates), verified]
