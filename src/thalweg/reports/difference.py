"""Renders the difference of two studies as a terminal table, plain lines, a sentence, or plain data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thalweg.analysis.difference import RULE, Change, Difference
from thalweg.analysis.formatting import is_percent, metric_name, number, rate_text
from thalweg.analysis.pooled import PooledChange
from thalweg.analysis.study_arm import Arm
from thalweg.errors import listed
from thalweg.records.types import StudyRecord
from thalweg.reports.facts import bounds, plain
from thalweg.reports.figures.formatting import signed
from thalweg.reports.pooled_text import unmoved
from thalweg.reports.terminal import aligned

if TYPE_CHECKING:
    from rich.table import Table

ARROW = "→"
LEFT = ("optimizer", "learning rate")  # the columns that align left
STYLES = {"worse": "bold red", "better": "bold green"}


def cells(found: Difference) -> tuple[list[str], list[list[str]]]:
    """(headings, one list of cells per contender of both studies). The last cell is `better` or `worse` where
    significant, `-` where not, and `not judged` where not testable. A column without any value is left out.
    """
    heads = [
        "optimizer",
        "learning rate",
        f"{found.split} {metric_name(found.after.metric)} before",
        "after",
        "change",
        "seeds",
        "significantly",
    ]
    body = [_cells(found.after, change) for change in found.changes]
    kept = [i for i in range(len(heads)) if any(line[i] != "-" for line in body)]
    return [heads[i] for i in kept], [[line[i] for i in kept] for line in body]


def _cells(study: StudyRecord, change: Change) -> list[str]:
    before, after = change.before, change.after
    rates = ["-" if side.learning_rate is None else rate_text(side.learning_rate) for side in (before, after)]
    told = change.direction if change.significant and change.direction else "-" if change.judged else "not judged"
    return [
        change.contender,
        rates[0] if rates[0] == rates[1] else f" {ARROW} ".join(rates),
        _score(study, before),
        _score(study, after),
        _amount(study, change),
        _seeds(change),
        told,
    ]


def _score(study: StudyRecord, side: Arm) -> str:
    if not side.scores:
        return "failed" if side.failed else "-"
    return number(study, side.score) + (f" ({side.lost} lost)" if side.lost else "")


def _amount(study: StudyRecord, change: Change) -> str:
    """The change with its margin, such as `−1.2 ± 0.4`; accuracies in points."""
    if change.difference is None:
        return "-"
    if change.before.scores == change.after.scores:
        return "unchanged"
    mean, within, margin = number(study, change.difference).partition(" ± ")
    if is_percent(study) or not within:
        return signed(study, change.difference.mean) + within + margin.removesuffix("%")
    sign = "+" if float(mean) > 0 else ""
    return (sign + mean.replace("-", "−", 1) if float(mean) else mean.removeprefix("-")) + within + margin


def _seeds(change: Change) -> str:
    if change.paired and change.difference is not None:
        return f"{change.difference.count} paired"
    return f"{len(change.before.scores)} and {len(change.after.scores)}"


def lines(found: Difference) -> list[str]:
    """One line per contender, not wrapped."""
    heads, body = cells(found)
    return aligned(heads, body, left=sum(head in LEFT for head in heads))


def table(found: Difference) -> "Table":
    """The table for a terminal, with significant changes highlighted."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heads, body = cells(found)
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # all columns fit into 80
    for i, head in enumerate(heads):
        out.add_column("\n".join(head.split()), justify="left" if head in LEFT else "right", no_wrap=i == 0)
    for change, line in zip(found.changes, body, strict=True):
        style = STYLES[change.direction] if change.significant and change.direction else "dim"
        out.add_row(*(Text(cell) for cell in line), style=style)
    return out


def told(found: Difference) -> list[str]:
    """Settings and chosen hyperparameters that differ, one line each: `batch size: 64 → 128`."""
    differing = [_contenders(found)] if found.added or found.removed else []
    for asked in found.asked:
        if asked.field != "contenders":
            head, _, rest = asked.field.partition(".")
            name = f"{head.replace('_', ' ')} {rest}".rstrip()
            differing.append(f"{name}: {_shown(asked.before)} {ARROW} {_shown(asked.after)}")
    return differing + [line for change in found.changes for line in _chosen(change)]


def _contenders(found: Difference) -> str:
    parts = [f"{listed(found.removed)} removed"] if found.removed else []
    return "contenders: " + ", ".join(parts + ([f"{listed(found.added)} added"] if found.added else []))


def _chosen(change: Change) -> Iterator[str]:
    """Lines for changed factors and chosen hyperparameters, except the learning rate, which has its own column."""
    before, after = change.before, change.after
    if before.factors and after.factors:
        yield from _differing(change.contender, before.factors, after.factors)
    own = [side.point.others if side.point else {} for side in (before, after)]
    yield from _differing(change.contender, *own)


def _differing(contender: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield f"{contender}: {name} {_shown(before.get(name))} {ARROW} {_shown(after.get(name))}"


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return f"{value[0]}–{value[-1]}" if _in_a_row(value) else ", ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _in_a_row(values: Sequence[Any]) -> bool:
    """Whether the values are three or more consecutive integers, such as seeds."""
    return len(values) > 2 and isinstance(values[0], int) and values == list(range(values[0], values[0] + len(values)))


def closing(found: Difference) -> str:
    """The conclusion: contenders significantly better or worse, or that none is, why, and what they did together; and
    those not tested."""
    moved = [change for change in found.changes if change.significant]
    sentences = [_moved(found, [c for c in moved if c.direction == way], way) for way in ("worse", "better")]
    unjudged = [change.contender for change in found.changes if not change.judged]
    if unjudged:
        sentences.append(f"{listed(unjudged)} could not be judged: that takes two seeds with a score in each study.")
    return " ".join(filter(None, ["" if moved else unmoved(found), *sentences]))


def _moved(found: Difference, changes: Sequence[Change], way: str) -> str:
    if not changes:
        return ""
    if len(changes) > 1:
        return f"{listed([change.contender for change in changes])} are significantly {way}."
    change = changes[0]
    if change.after.failed:
        why = "it no longer finishes"
    elif change.before.failed:
        why = "it did not finish before"
    else:
        why = f"{_score(found.after, change.before)} before, {_score(found.after, change.after)} after"
    return f"{change.contender} is significantly {way}: {why}."


def facts(found: Difference) -> dict[str, Any]:
    """The difference as JSON data. Missing or non-finite numbers are `None`; scores are in the metric's unit."""
    data: dict[str, Any] = {
        "workload": found.after.workload,
        "metric": found.after.metric,
        "higher_is_better": found.after.higher_is_better,
        "split": found.split,
        "significant": found.significant,
        "verdict": closing(found),
        "rule": RULE,
        "asked": [{"field": a.field, "before": a.before, "after": a.after} for a in found.asked],
        "added": found.added,
        "removed": found.removed,
        "changes": [_facts_of(change) for change in found.changes],
        "pooled": _pooled(found.pooled),
    }
    return {name: plain(value) for name, value in data.items()}


def _facts_of(change: Change) -> dict[str, Any]:
    return {
        "optimizer": change.contender,
        "before": _side(change.before),
        "after": _side(change.after),
        "paired": change.paired,
        "difference": bounds(change.difference),
        "p": change.p,
        "adjusted_p": change.adjusted,
        "judged": change.judged,
        "significant": change.significant,
        "direction": change.direction,
    }


def _pooled(of: PooledChange | None) -> dict[str, Any] | None:
    if of is None:
        return None
    return {
        "optimizers": of.contenders,
        "paired": of.paired,
        "seeds": of.interval.count,
        "difference": bounds(of.interval),
        "p": of.p,
        "significant": of.significant,
        "up": of.up,
        "down": of.down,
    }


def _side(side: Arm) -> dict[str, Any]:
    return {
        "rule": side.factors.get("optimizer", ""),
        "factors": side.factors,
        "learning_rate": side.learning_rate,
        "hyperparameters": side.hyperparameters,
        "score": bounds(side.score),
        "scores": {str(seed): score for seed, score in side.scores.items()},
        "runs": len(side.seeds),
        "lost": side.lost,
        "failed": side.failed,
    }
