"""The recommended contender: of those not separated from the first the best, or one that clearly forgives more."""

from collections.abc import Sequence

from thalweg.analysis.row import Row

WIDER = 0.5  # decades: a step of the coarse grid
ROUNDING = 0.03  # decades: 1 to 3 is a little less than half of one


def pick(rows: Sequence[Row]) -> Row | None:
    """The contender to recommend, among the reliable ones that are not separated from the first.

    The best mean, unless another's good range is wider by half a decade, whichever tuning seed is left out of either.
    Of several such, again the best mean, as long as there is a wider one. Only close ones count: where few seeds
    separate little, an optimizer that learns nothing has the widest range.

    Falls back to the first row where none is reliable; `None` where the first has no score.
    """
    able = [row for row in rows if row.tied and row.reliable]
    if not able:
        return rows[0] if rows and rows[0].score.count else None
    chosen = able[0]
    while wider := [row for row in able if _wider(row, chosen)]:
        chosen = wider[0]
    return chosen


def _wider(row: Row, than: Row) -> bool:
    """Whether a row's good range is wider beyond the uncertainty of both widths.

    False where the rate is not the size of the steps all along, as for AdaBound: how wide the range is tells nothing;
    and where the row is further below the best mean than a good learning rate may.
    """
    if row.good is None or than.good is None or not row.rate_is_step or not row.close:
        return False
    if row.good.least is None or than.good.most is None:
        return False
    return row.good.least - than.good.most >= WIDER - ROUNDING
