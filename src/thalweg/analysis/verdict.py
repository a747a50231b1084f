"""The verdict in words: the recommended optimizer and learning rate, its ties, and caveats."""

from collections.abc import Sequence

from thalweg.analysis.caveats import doubts
from thalweg.analysis.execution import fallback
from thalweg.analysis.formatting import number, several, size
from thalweg.analysis.recommendation import pick
from thalweg.analysis.reliability import DIVERGED, NO_METRIC, WORSENED
from thalweg.analysis.row import Row
from thalweg.errors import listed
from thalweg.records.types import StudyRecord

FOREMOST = 2  # caveats included in the verdict


def verdict(study: StudyRecord, rows: Sequence[Row]) -> str:
    """The verdict in a few sentences: the recommendation, its ties, the distance to the next best, and caveats.

    The first sentence can be read by itself.
    """
    chosen = pick(rows)
    if chosen is None:
        failures = _failures([row for row in rows if _is_of_code(row)])
        return " ".join([_unanswered(study, rows), *failures])
    company = filter(None, (_ties(rows, chosen), _behind(study, rows), *_failures(rows)))
    return " ".join([_answer(study, chosen), *company, *doubts(study, rows)[:FOREMOST], *fallback(study)])


def _unanswered(study: StudyRecord, rows: Sequence[Row]) -> str:
    if {reason for row in rows for reason in row.failures} - {WORSENED} == {NO_METRIC}:
        return f"No run has a {study.metric} that is a finite number, though all were trained: check the metric."
    return "No optimizer finished a run: lower the learning rates, or check the model and the data."


def _answer(study: StudyRecord, row: Row) -> str:
    rate = "" if row.learning_rate is None else f" at learning rate {row.learning_rate:.3g}"
    fresh = "fresh " if study.confirmation_seeds else "tuning "
    seeds = several(row.score.count, f"{fresh}seed")
    return f"Use {row.contender}{rate}: {row.split} {study.metric} {number(study, row.score)} over {seeds}."


def _failures(rows: Sequence[Row]) -> list[str]:
    """One sentence per contender without an eligible configuration, or without any finished final run."""
    lost = [row for row in rows if row.trained and (row.choice is None or (row.runs and not row.score.count))]
    return [_failure(row) for row in lost]


def _is_of_code(row: Row) -> bool:
    """Whether its runs failed by exceptions only; divergence is covered by `_unanswered`."""
    return not {DIVERGED, NO_METRIC} & set(row.failures)


def _failure(row: Row) -> str:
    broke = {reason: count for reason, count in row.failures.items() if reason != WORSENED}
    if row.choice is not None:
        return f"No final run of {row.contender} finished."
    if sum(broke.values()) < row.trained:
        return f"No configuration of {row.contender} finished with every seed."
    reason, count = max(broke.items(), key=lambda item: item[1])
    if reason == DIVERGED:
        reason = "all diverged" if count == row.trained else "most diverged"
    if reason == NO_METRIC:
        return f"No run of {row.contender} ended with a finite metric."
    return f"No run of {row.contender} finished: {reason.rstrip('.')}."


def _ties(rows: Sequence[Row], chosen: Row) -> str:
    """The ties of the recommended contender, and the reason for recommending it among them."""
    ties = [row.contender for row in rows if row.tied and row is not chosen]
    if not ties:
        return ""
    more = ", and only more seeds could separate them" if len(ties) == len(rows) - 1 else ""
    width = chosen.sensitivity.width
    if not width:
        return f"{listed(ties)} cannot be told from it{more}."
    wide = f"none of them stays within 1% of its best over a wider range of rates than its {width:.1f} decades"
    return f"{listed(ties)} cannot be told from it{more}; {wide}."


def _behind(study: StudyRecord, rows: Sequence[Row]) -> str:
    """The best contender significantly behind the first, and by how much."""
    row = next((row for row in rows if row.whole and not row.tied and row.behind is not None), None)
    if row is None or row.behind is None:
        return ""
    return (
        f"The first clearly behind is {row.contender}, {size(study, row.behind.mean)} worse than {rows[0].contender}."
    )
