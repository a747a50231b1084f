"""The recommended contender: among those tied with the first, the least sensitive to the learning rate."""

from collections.abc import Sequence

from thalweg.analysis.row import Row


def pick(rows: Sequence[Row]) -> Row | None:
    """The contender to recommend: of those tied with the first whose final runs all finished, the one with the widest
    range of good learning rates in decades (`sensitivity.width`), by rank where equal.

    Falls back to the first row where none has all final runs finished; `None` where the first has no score.
    """
    first = [row for row in rows if row.tied and row.whole]
    if first:
        return max(first, key=lambda row: (_width(row), -row.rank))
    return rows[0] if rows and rows[0].score.count else None


def _width(row: Row) -> float:
    """Width in decades, rounded so that equally spaced grids compare equal; −1 where unknown."""
    return -1.0 if row.sensitivity.width is None else round(row.sensitivity.width, 6)
