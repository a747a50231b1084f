"""A study's results as plain data, for JSON and pandas."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from thalweg.analysis import outliers, stars, ties
from thalweg.analysis.caveats import doubts
from thalweg.analysis.code import code
from thalweg.analysis.intervals import Interval
from thalweg.analysis.recommendation import pick
from thalweg.analysis.resolution import resolution
from thalweg.analysis.row import Row
from thalweg.analysis.selection import Point
from thalweg.options.comparison import settings
from thalweg.records.types import StudyRecord

if TYPE_CHECKING:
    import pandas as pd


def facts(study: StudyRecord, rows: Sequence[Row], verdict: str) -> dict[str, Any]:
    """The contents of `--json`. Missing or non-finite numbers are `None`."""
    chosen = pick(rows)
    found: dict[str, Any] = {
        "workload": study.workload,
        "metric": study.metric,
        "higher_is_better": study.higher_is_better,
        "target": study.target,
        "protocol": study.protocol,
        "steps": study.steps,
        "epochs": study.steps / study.steps_per_epoch,
        "seconds": study.seconds,
        "verdict": verdict,
        "pick": chosen.contender if chosen else None,
        "code": code(study, chosen) if chosen else None,
        "resolution": asdict(told) if (told := resolution(study, rows)) else None,
        "doubts": doubts(study, rows),
        "notes": study.notes,
        "seeds": {"tuning": study.tuning_seeds, "confirmation": study.confirmation_seeds},
        "caps": study.caps,
        "varied": study.varied,
        "tie_rule": ties.RULE,
        "failure_rule": outliers.RULE,
        "star_rule": stars.RULE,
        "leaderboard": [_facts_of(row) | _trust_of(row) | _cost_of(row) for row in rows],
        "environment": study.environment,
        "plan": study.plan,
        "settings": settings(study.request),
    }
    return {name: plain(value) for name, value in found.items()}


def plain(value: Any) -> Any:
    """Converts to JSON types: tuples become lists, mappings dictionaries, non-finite numbers `None`."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _facts_of(row: Row) -> dict[str, Any]:
    """Rank, scores and the configurations tried in tuning."""
    choice, defaults = row.choice, bounds(row.defaults)
    read = defaults if row.split == "test" else None
    return {
        "rank": row.rank,
        "group": row.group,
        "optimizer": row.contender,
        "rule": row.optimizer,
        "factors": row.factors,
        "learning_rate": row.learning_rate,
        "hyperparameters": row.hyperparameters,
        "score": bounds(row.score),
        "whole": row.whole,
        "reliable": row.reliable,
        "failed_seeds": row.failed,
        "scores": {str(seed): value for seed, value in row.scores.items()},
        "validation": bounds(row.validation),
        "best_validation": bounds(row.best_validation),
        "test": bounds(row.test),
        "best_test": bounds(row.best_test),
        "train": bounds(row.train),
        "defaults": {"learning_rate": row.default_learning_rate, "score": defaults, "test": read},
        "untuned_does_as_well": row.untuned,
        "tuning_gain": bounds(row.tuning_gain),
        "tied_with_first": row.tied,
        "behind_first": bounds(row.behind),
        "improvement": row.improvement,
        "plateau": choice.plateau if choice else None,
        "edge": choice.edge if choice else None,
        "steps_to_target": row.steps_to_target,
        "reached_target": row.reached,
        "runs": row.runs,
        "diverged": row.diverged,
        "trained": row.trained,
        "seconds": _seconds(row),
        "details": {name: bounds(interval) for name, interval in row.details.items()},
        "tried": [_tried(point) for point in row.tried],
    }


def _seconds(row: Row) -> float | None:
    """The seconds of a run of its own; `None` where runs trained together, whose shares say nothing of an optimizer."""
    return None if row.cost.shared else row.seconds


def _tried(point: Point) -> dict[str, Any]:
    return {
        "learning_rate": point.learning_rate,
        "hyperparameters": point.hyperparameters,
        "validation": bounds(point.metric),
        "runs": point.runs,
        "diverged": point.diverged,
    }


def _trust_of(row: Row) -> dict[str, Any]:
    """Reliability of the rank: overfitting, winner's curse, late gain, failures, sensitivity, stars."""
    late = row.late_gain
    return {
        "iqm": row.iqm,
        "gap": bounds(row.gap),
        "curse": row.curse,
        "late_gain": {**asdict(late), "still_improving": late.still_improving} if late else None,
        "failures": row.failures,
        "diverged_share": row.diverged_share,
        "good_range": asdict(row.good) | {"decades": row.good.decades} if row.good else None,
        "expected": row.expected,
        "stars": asdict(row.stars),
    }


def _cost_of(row: Row) -> dict[str, Any]:
    return {"target": asdict(row.target), "cost": asdict(row.cost), "spent": asdict(row.spent)}


def dataframe(rows: Sequence[Row]) -> "pd.DataFrame":
    """The leaderboard as a DataFrame, best first; each interval is three columns."""
    import pandas as pd

    chosen = pick(rows)
    return pd.DataFrame([{**_flat(row), "recommended": row is chosen} for row in rows])


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {"rank": row.rank, "optimizer": row.contender, "learning_rate": row.learning_rate}
    named = (
        ("validation", row.validation),
        ("test", row.test),
        ("train", row.train),
        ("defaults", row.defaults),
        ("gap", row.gap),
    )
    for name, interval in named:
        spread = bounds(interval) or {}
        flat |= {name: spread.get("mean"), f"{name}_low": spread.get("low"), f"{name}_high": spread.get("high")}
    return flat | {
        "steps_to_target": row.steps_to_target,
        "reached_target": row.reached,
        "runs": row.runs,
        "diverged": row.diverged,
        "trained": row.trained,
        "seconds": _seconds(row),
        "tied": row.tied,
        "reliable": row.reliable,
        "group": row.group,
        "iqm": row.iqm,
        "curse": row.curse,
        "good_low": row.good.low if row.good else None,
        "good_high": row.good.high if row.good else None,
        "expected": row.expected,
        "stars_speed": row.stars.speed,
        "stars_quality": row.stars.quality,
        "seconds_per_step": row.cost.seconds_per_step,
        "memory": row.cost.memory,
    }


def bounds(interval: Interval | None) -> dict[str, float] | None:
    """An interval's mean and ends; `None` where it covers no value."""
    if interval is None or not interval.count:
        return None
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}
