"""The answer in words: which optimizer, at which learning rate, what ties with it, and what to doubt."""

from collections.abc import Sequence

from thalweg.analysis.intervals import Interval
from thalweg.analysis.leaderboard import Row
from thalweg.records.types import StudyRecord

MOST = 10  # names in one sentence


def verdict(study: StudyRecord, rows: Sequence[Row]) -> str:
    """One or two sentences on a leaderboard."""
    first = rows[0]
    if first.choice is None or not first.validation.count:
        return "No optimizer finished a run: lower the learning rates, or check the model and the data."
    return " ".join(sentence for sentence in (_pick(study, first), _company(study, rows)) if sentence)


def _pick(study: StudyRecord, first: Row) -> str:
    rate = "" if first.learning_rate is None else f" at learning rate {first.learning_rate:.3g}"
    score = first.test or first.validation
    split = "test" if first.test else "validation"
    fresh = "fresh " if study.confirmation_seeds else "tuning "
    seeds = f"{score.count} {fresh}seed{'s' if score.count != 1 else ''}"
    return f"Use {first.contender}{rate}: {split} {study.metric} {number(study, score)} over {seeds}{_doubt(first)}."


def _company(study: StudyRecord, rows: Sequence[Row]) -> str:
    ties = [row.contender for row in rows[1:] if row.tied]
    behind = next((row for row in rows if not row.tied), None)
    parts = []
    if ties:
        parts.append(f"{_and(ties)} cannot be told from it")
    if behind is not None and behind.behind is not None:
        parts.append(f"the first clearly behind is {behind.contender}, by {_size(study, behind.behind.mean)}")
    elif behind is None and len(rows) > 1:
        parts.append("more seeds would be needed to separate them")
    text = "; ".join(parts)
    return f"{text if ties else text[0].upper() + text[1:]}." if parts else ""


def _doubt(first: Row) -> str:
    edge = first.choice.edge if first.choice else None
    return f" (its best rate is the {edge} tried: widen the grid)" if edge else ""


def number(study: StudyRecord, interval: Interval) -> str:
    """A mean with its margin, accuracies in percent: `97.2 ± 0.4%`."""
    percent = study.metric == "accuracy"
    scale, unit = (100.0, "%") if percent else (1.0, "")
    form = ".1f" if percent else ".4g"
    margin = "" if interval.count < 2 else f" ± {interval.margin * scale:{'.1f' if percent else '.2g'}}"
    return f"{interval.mean * scale:{form}}{margin}{unit}"


def _size(study: StudyRecord, difference: float) -> str:
    return f"{difference * 100:.1f} points" if study.metric == "accuracy" else f"{difference:.3g}"


def _and(names: Sequence[str]) -> str:
    if len(names) > MOST:
        names = [*names[: MOST - 1], f"{len(names) - MOST + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
