"""Caveats of a recommendation: one sentence for each that applies."""

from collections.abc import Sequence

from thalweg.analysis.formatting import several, size
from thalweg.analysis.recommendation import pick
from thalweg.analysis.row import Row
from thalweg.errors import listed
from thalweg.records.types import StudyRecord

TUNING_SEEDS, CONFIRMATION_SEEDS = 3, 5  # fewer are too few
INCLUSION = 0.05  # relative: Adam contains momentum SGD, so tuned well it should not lose by more


def doubts(study: StudyRecord, rows: Sequence[Row]) -> list[str]:
    """Caveats on the recommended contender and on the study, most serious first."""
    row = pick(rows)
    if row is None:
        return []
    found = [
        _inclusion(study, rows),
        _edge(row),
        _defaults(study, row),
        _seeds(study, row),
        _unconverged(study, row),
        _noisy(study, rows, row),
        _other_edges(rows, row),
    ]
    return [sentence for sentence in found if sentence]


def _inclusion(study: StudyRecord, rows: Sequence[Row]) -> str:
    sgd = next((row for row in rows if row.optimizer == "sgd" and row.reliable), None)
    adam = next((row for row in rows if row.optimizer == "adam" and row.reliable and len(row.tried) > 1), None)
    if sgd is None or adam is None or adam.group <= sgd.group:
        return ""
    sign = 1 if study.higher_is_better else -1
    behind = sign * (sgd.score.mean - adam.score.mean)
    if behind <= INCLUSION * abs(sgd.score.mean):
        return ""
    return (
        f"The search space looks suspicious: {adam.contender} can do what {sgd.contender} does, and yet ends "
        f"{size(study, behind)} behind it after tuning."
    )


def _edge(row: Row) -> str:
    edge = row.choice.edge if row.choice else None
    return f"The best rate of {row.contender} is the {edge} tried: widen the grid." if edge else ""


def _other_edges(rows: Sequence[Row], chosen: Row) -> str:
    names = [row.contender for row in rows if row is not chosen and row.choice and row.choice.edge]
    if not names:
        return ""
    best = f"The best rate of {names[0]} lies" if len(names) == 1 else f"The best rates of {listed(names)} lie"
    return f"{best} on the edge of those tried, and a wider grid may move it up."


def _defaults(study: StudyRecord, row: Row) -> str:
    gain = row.tuning_gain
    if gain is None or not gain.high < 0:
        return ""
    return f"The published defaults of {row.contender} do better than what was tuned, by {size(study, -gain.mean)}."


def _unconverged(study: StudyRecord, row: Row) -> str:
    late = row.late_gain
    if late is None or not late.still_improving:
        return ""
    return (
        f"{row.contender} was still improving, by {size(study, late.mean)} over the last tenth of training: "
        "longer runs may rank differently."
    )


def _noisy(study: StudyRecord, rows: Sequence[Row], row: Row) -> str:
    """Caveat where the recommended contender's interval is wider than the range of all finished contenders' means."""
    means = [other.score.mean for other in rows if other.reliable]
    width = row.score.high - row.score.low
    if len(means) < 2 or not width > max(means) - min(means):
        return ""
    return (
        f"The seeds of {row.contender} differ a lot: its interval, {size(study, width)} wide, is wider than the "
        f"{size(study, max(means) - min(means))} between the means of all."
    )


def _seeds(study: StudyRecord, row: Row) -> str:
    tuning = len(study.tuning_seeds)
    few = [f"{several(tuning, 'tuning seed')} (better {TUNING_SEEDS})"] if tuning < TUNING_SEEDS else []
    if study.confirmation_seeds and row.score.count < CONFIRMATION_SEEDS:
        few.append(f"{several(row.score.count, 'fresh seed')} (better {CONFIRMATION_SEEDS})")
    thin = f"The answer is based on {' and '.join(few)}." if few else ""
    unconfirmed = "" if study.confirmation_seeds else "Nothing was confirmed on fresh seeds, so it looks too good."
    return " ".join(filter(None, (thin, unconfirmed)))
