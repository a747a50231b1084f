"""Which contender to recommend: of those that cannot be told from the first, the least sensitive."""

from collections.abc import Sequence

from thalweg.analysis.row import Row


def pick(rows: Sequence[Row]) -> Row | None:
    """Of the first group's contenders whose final runs all finished, the one with the widest plateau in decades of
    learning rate, the better rank where equal; the first where no contender is whole, `None` where no run finished.
    """
    first = [row for row in rows if row.tied and row.whole]
    if first:
        return max(first, key=lambda row: (_width(row), -row.rank))
    return rows[0] if rows and rows[0].score.count else None


def _width(row: Row) -> float:
    """Rounded, so that equally spaced grids are equal."""
    return -1.0 if row.sensitivity.width is None else round(row.sensitivity.width, 6)
