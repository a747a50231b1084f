"""A study's results as plain data: for JSON, for pandas, for other programs."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thalweg.analysis.intervals import Interval
from thalweg.analysis.leaderboard import Row
from thalweg.records.types import StudyRecord

if TYPE_CHECKING:
    import pandas as pd


def facts(study: StudyRecord, rows: Sequence[Row], verdict: str) -> dict[str, Any]:
    """What `--json` writes. Numbers that do not exist are `None`."""
    return {
        "workload": study.workload,
        "metric": study.metric,
        "higher_is_better": study.higher_is_better,
        "protocol": study.protocol,
        "steps": study.steps,
        "epochs": study.steps / study.steps_per_epoch,
        "verdict": verdict,
        "seeds": {"tuning": list(study.tuning_seeds), "confirmation": list(study.confirmation_seeds)},
        "leaderboard": [_facts_of(row) for row in rows],
        "environment": dict(study.environment),
        "plan": dict(study.plan),
    }


def _facts_of(row: Row) -> dict[str, Any]:
    choice = row.choice
    return {
        "rank": row.rank,
        "optimizer": row.contender,
        "rule": row.optimizer,
        "learning_rate": row.learning_rate,
        "hyperparameters": dict(row.hyperparameters),
        "validation": _spread(row.validation),
        "test": _spread(row.test),
        "best_test": _spread(row.best_test),
        "train": _spread(row.train),
        "defaults": {"learning_rate": row.default_learning_rate, "test": _spread(row.defaults)},
        "tied_with_first": row.tied,
        "behind_first": _spread(row.behind),
        "plateau": list(choice.plateau) if choice and choice.plateau else None,
        "edge": choice.edge if choice else None,
        "steps_to_target": row.steps_to_target,
        "reached_target": row.reached,
        "runs": row.runs,
        "diverged": row.diverged,
        "trained": row.trained,
        "seconds": row.seconds,
        "tried": [
            {
                "learning_rate": point.learning_rate,
                "hyperparameters": dict(point.hyperparameters),
                "validation": _spread(point.metric),
                "runs": point.runs,
                "diverged": point.diverged,
            }
            for point in row.tried
        ],
    }


def dataframe(rows: Sequence[Row]) -> "pd.DataFrame":
    """The leaderboard as a table, best first; intervals as three columns each."""
    import pandas as pd

    return pd.DataFrame([_flat(row) for row in rows])


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {"rank": row.rank, "optimizer": row.contender, "learning_rate": row.learning_rate}
    named = (("validation", row.validation), ("test", row.test), ("train", row.train), ("defaults", row.defaults))
    for name, interval in named:
        spread = _spread(interval) or {}
        flat |= {name: spread.get("mean"), f"{name}_low": spread.get("low"), f"{name}_high": spread.get("high")}
    return flat | {
        "steps_to_target": row.steps_to_target,
        "reached_target": row.reached,
        "runs": row.runs,
        "diverged": row.diverged,
        "trained": row.trained,
        "seconds": row.seconds,
        "tied": row.tied,
    }


def _spread(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None or not interval.count:
        return None
    return {"mean": _known(interval.mean), "low": _known(interval.low), "high": _known(interval.high)}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
