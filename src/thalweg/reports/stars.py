"""The page's star table, as in textbooks."""

from collections.abc import Sequence

from thalweg.analysis.formatting import metric_name
from thalweg.analysis.recommendation import pick
from thalweg.analysis.row import Row
from thalweg.analysis.stars import RULE
from thalweg.records.types import StudyRecord
from thalweg.reports.figures.formatting import MISSING, spread, target
from thalweg.reports.layout import board, heading, remark, stacked, titled
from thalweg.reports.markup import Markup, element

MOST = 3


def section(study: StudyRecord, rows: Sequence[Row]) -> Markup:
    """Convergence speed and quality of every optimizer, best first, and the rule for the stars."""
    timed = study.target is not None
    score = f"{rows[0].split} {metric_name(study.metric)}"
    names = [*(["speed"] if timed else []), "quality", *([f"steps to {target(study)}"] if timed else []), score]
    lines = [(row.contender, _cells(study, row, timed=timed)) for row in rows]
    chosen = pick(rows)
    table = board("Stars", list(map(heading, names)), lines, chosen.contender if chosen else None)
    untimed = "" if timed else " This study has no target, so there is no speed to grade."
    lead = "How fast each optimizer converges, and how well, as measured in this study."
    return titled("stars", "Stars", lead, table, remark(RULE + untimed))


def _cells(study: StudyRecord, row: Row, *, timed: bool) -> list[Markup]:
    quality, score = _graded(row.stars.quality), stacked(*spread(study, row.score))
    if not timed:
        return [quality, score]
    return [_graded(row.stars.speed), quality, _steps(row), score]


def _graded(stars: int | None) -> Markup:
    if stars is None:
        return stacked(MISSING)
    lost = element("span", "☆" * (MOST - stars), class_="lost") if stars < MOST else None
    drawn = element("span", "★" * stars, lost, class_="stars", role="img", aria_label=f"{stars} of {MOST}")
    return stacked(drawn)


def _steps(row: Row) -> Markup:
    reached = row.target
    steps = MISSING if reached.steps is None else f"{reached.steps:,.0f}"
    return stacked(steps, f"{reached.reached}/{reached.runs} reached" if reached.reached < reached.runs else "")
