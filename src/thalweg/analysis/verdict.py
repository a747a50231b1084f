"""The verdict in words: what to use, how good it is, what does as well, and what to doubt."""

import statistics
from collections.abc import Sequence

from thalweg.analysis.caveats import doubts
from thalweg.analysis.chosen import rate_with_range, setting
from thalweg.analysis.execution import fallback
from thalweg.analysis.formatting import metric_name, number, rate_text, several, size, value_text
from thalweg.analysis.metric_range import limits, negligible
from thalweg.analysis.recommendation import pick
from thalweg.analysis.reliability import DIVERGED, NO_METRIC, WORSENED
from thalweg.analysis.resolution import resolution
from thalweg.analysis.row import Row
from thalweg.analysis.separable import MORE, Separable
from thalweg.errors import listed
from thalweg.records.types import StudyRecord

FOREMOST = 2  # caveats included in the verdict
UNTUNED = 2  # optimizers named that do as well without tuning


def verdict(study: StudyRecord, rows: Sequence[Row]) -> str:
    """The verdict in a few sentences; the first can be read by itself.

    What to use and how good it is; what does as well without tuning; what the study could tell apart; what is clearly
    behind; contenders that failed; and the gravest caveats.
    """
    chosen = pick(rows)
    if chosen is None:
        failures = _failures([row for row in rows if _is_of_code(row)])
        return " ".join([_unanswered(study, rows), *failures])
    company = [
        _untuned(study, rows, chosen), _wider(rows, chosen), _not_separated(study, rows, chosen),
        *_behind(study, rows), *_unreliable(study, rows), *_failures(rows),
    ]  # fmt: skip
    said = [_answer(study, chosen), *company, *doubts(study, rows)[:FOREMOST], *fallback(study)]
    return " ".join(filter(None, said))


def opening(study: StudyRecord, rows: Sequence[Row], text: str) -> tuple[str, str, bool]:
    """(a verdict's first sentence, its further ones, whether the first is the answer by these rows).

    Names and metrics may hold ". ", so that the first sentence is compared; a text that says something else, such as
    that a study is not finished, ends its first sentence at the first ". ".
    """
    chosen = pick(rows)
    first = _unanswered(study, rows) if chosen is None else _answer(study, chosen)
    if text.startswith(first):
        return first, text[len(first) :].strip(), chosen is not None
    first, found, rest = text.partition(". ")
    return f"{first}." if found else text, rest, False


def _unanswered(study: StudyRecord, rows: Sequence[Row]) -> str:
    if {reason for row in rows for reason in row.failures} - {WORSENED} == {NO_METRIC}:
        return f"No run has a {study.metric} that is a finite number, though all were trained: check the metric."
    return "No optimizer finished a run: lower the learning rates, or check the model and the data."


def _answer(study: StudyRecord, row: Row) -> str:
    rate, others = rate_with_range(row), setting(row)
    at = f" at learning rate {rate}" if rate else ""
    at += f" with {others}" if others else ""
    fresh = "fresh " if study.confirmation_seeds else "tuning "
    seeds = several(row.score.count, f"{fresh}seed")
    return f"Use {row.contender}{at}: {row.split} {metric_name(study.metric)} {number(study, row.score)} over {seeds}."


def _untuned(study: StudyRecord, rows: Sequence[Row], chosen: Row) -> str:
    """The published defaults that do as well, the recommended contender's first."""
    sign = -1 if study.higher_is_better else 1
    able = [row for row in rows if row.untuned and row.defaults and row.default_learning_rate is not None]
    able.sort(key=lambda row: (row is not chosen, sign * row.defaults.mean if row.defaults else 0.0))
    named = [f"{row.contender} at its usual {_default(study, row)}" for row in able[:UNTUNED]]
    if not named:
        return ""
    return f"Without tuning, {listed(named)} {'does' if len(named) == 1 else 'do'} as well."


def _default(study: StudyRecord, row: Row) -> str:
    assert row.defaults is not None
    assert row.default_learning_rate is not None
    return f"{rate_text(row.default_learning_rate)} ({number(study, row.defaults)})"


def _wider(rows: Sequence[Row], chosen: Row) -> str:
    """Why another than the best mean is recommended."""
    first = rows[0]
    if chosen is first or chosen.good is None or first.good is None:
        return ""
    return (
        f"The mean of {first.contender} is better, but by less than is separated; {chosen.contender} does well over "
        f"{chosen.good.decades:.1f} decades of learning rates against {first.good.decades:.1f}, whichever tuning seed "
        "is left out."
    )


def _not_separated(study: StudyRecord, rows: Sequence[Row], chosen: Row) -> str:
    """The contenders that are not separated from the best, and the difference that would be."""
    others = [row.contender for row in rows if row.tied and row.reliable and row is not chosen]
    if not others:
        return ""
    resolved = resolution(study, rows)
    told = "" if resolved is None or not resolved.difference else _resolution(study, resolved)
    first = rows[0]
    if chosen is not first:
        others.remove(first.contender)
        others.insert(0, chosen.contender)
    everything = len(others) > 1 and len(others) == sum(row.trained > 0 for row in rows) - 1
    every = "Both others" if len(others) == 2 else f"All {len(others)} others"
    names = every if everything else listed(others)
    it = "it" if chosen is first else first.contender
    return f"{names} {'is' if len(others) == 1 else 'are'} not separated from {it}{told}."


def _resolution(study: StudyRecord, resolved: Separable) -> str:
    """What the design tells apart in 80% of studies; nothing where that is more than the metric can differ by."""
    seeds = "fresh seeds" if study.confirmation_seeds else "seeds"
    low, high = limits(study.metric)
    if resolved.difference > high - low:
        return f": {resolved.seeds} {seeds} show no difference in four cases of five"
    least = size(study, resolved.difference)
    most = None if resolved.more is None else size(study, resolved.more)
    more = "" if most in (None, least) else f", {MORE} would show {most}"
    return f": {resolved.seeds} {seeds} show a difference of {least} in four cases of five{more}"


def _behind(study: StudyRecord, rows: Sequence[Row]) -> list[str]:
    """The best contenders that are separated from the first: by too little to matter, and clearly."""
    far = [row for row in rows if row.reliable and not row.tied and row.behind is not None]
    small = [row for row in far if _is_small(study, row)]
    clear = next((row for row in far if not _is_small(study, row)), None)
    first, said = rows[0].contender, []
    if small:
        most = max(row.behind.mean for row in small if row.behind)
        by = f"{'' if len(small) == 1 else 'at most '}{size(study, most)}"
        verb = "is" if len(small) == 1 else "are"
        said.append(f"{listed([row.contender for row in small])} {verb} behind {first} by {by}, too little to matter.")
    if clear is not None and clear.behind is not None:
        said.append(
            f"The first clearly behind is {clear.contender}, {size(study, clear.behind.mean)} worse than {first}."
        )
    return said


def _is_small(study: StudyRecord, row: Row) -> bool:
    assert row.behind is not None
    return row.behind.mean <= negligible(study.metric, row.score.mean, higher_is_better=study.higher_is_better)


def _unreliable(study: StudyRecord, rows: Sequence[Row]) -> list[str]:
    """One sentence per contender of which some final runs failed to train, and others did not."""
    return [_failed(study, row) for row in rows if row.failed and len(row.failed) < row.runs]


def _failed(study: StudyRecord, row: Row) -> str:
    low = [row.scores[seed] for seed in row.failed if seed in row.scores]
    good = [score for seed, score in row.scores.items() if seed not in row.failed]
    broke = len(row.failed) - len(low)
    how = [f"{broke} broke off"] if broke else []
    if low and good:
        ends = ", ".join(value_text(study, value) for value in sorted(low)[:3])
        how.append(f"{ends} against a median of {value_text(study, statistics.median(good))}")
    return (
        f"{row.contender} is unreliable: {len(row.failed)} of {several(row.runs, 'final run')} failed to train"
        f" ({'; '.join(how)})."
    )


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
