"""A study's runs as two DataFrames: one row per run, and one row per measurement."""

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from thalweg.records.types import Measurement, RunRecord, StudyRecord
from thalweg.reports.facts import plain

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "hyperparameter_"
TYPES = {
    "run": "Int64", "seed": "Int64", "steps": "Int64", "step": "Int64", "diverged_at": "Int64", "memory": "Int64",
    "stopped_at": "Int64", "restored_from": "Int64", "evaluations": "Int64", "ended_at": "Int64",
    "learning_rate": "Float64", "initial_loss": "Float64", "initial_validation_loss": "Float64",
    "loss_spread": "Float64", "train_metric": "Float64", "validation_metric": "Float64",
    "test_metric": "Float64", "best_test_metric": "Float64", "seconds": "Float64", "train_loss": "Float64",
    "validation_loss": "Float64", "diverged": "boolean",
}  # fmt: skip
"""Column → its pandas dtype, all nullable; unlisted columns are strings."""

IDENTITY = ("contender", "role", "seed", "learning_rate")  # columns of the curves that identify a run, after its number


def runs_frame(study: StudyRecord, runs: Sequence[RunRecord]) -> "pd.DataFrame":
    """One row per run, in the order of `runs`.

    `run` counts from 1 and is the key to the curves. Every hyperparameter set by any run is a column
    `hyperparameter_<name>`, missing where a run uses the published default: a numeric or boolean column, or JSON text
    throughout if any value is neither. The other columns are the fields of `RunRecord`.
    """
    names = [f.name for f in fields(RunRecord) if f.name not in ("hyperparameters", "curve")]
    data: dict[str, list[Any]] = {
        "run": list(range(1, len(runs) + 1)),
        "workload": [study.workload] * len(runs),
        **{name: [getattr(run, name) for run in runs] for name in names},
        "validation_metric": [run.validation_metric for run in runs],
        "diverged": [run.diverged for run in runs],
        "ending": [run.ending for run in runs],
        "ended_at": [run.ended_at for run in runs],
    }
    typed = [(name, values, TYPES.get(name, "string")) for name, values in data.items()]
    return _frame([*typed, *_hyperparameters(runs)])


def curves_frame(runs: Sequence[RunRecord]) -> "pd.DataFrame":
    """One row per measurement, ordered by run and step, with the run's number and `IDENTITY`."""
    rows = [(number, run, m) for number, run in enumerate(runs, 1) for m in run.curve]
    data: dict[str, list[Any]] = {
        "run": [number for number, _, _ in rows],
        **{name: [getattr(run, name) for _, run, _ in rows] for name in IDENTITY},
        **{f.name: [getattr(m, f.name) for _, _, m in rows] for f in fields(Measurement)},
    }
    return _frame([(name, values, TYPES.get(name, "string")) for name, values in data.items()])


def _hyperparameters(runs: Sequence[RunRecord]) -> list[tuple[str, list[Any], str]]:
    names = sorted({name for run in runs for name in run.hyperparameters})
    return [_typed(PREFIX + name, [run.hyperparameters.get(name) for run in runs]) for name in names]


def _typed(name: str, values: list[Any]) -> tuple[str, list[Any], str]:
    """(name, values, dtype) with the narrowest dtype that holds all values."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in known):
        return name, values, "boolean"
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return name, values, "Float64" if any(isinstance(value, float) for value in known) else "Int64"
    return name, [None if value is None else json.dumps(plain(value), default=str) for value in values], "string"


def _frame(columns: Sequence[tuple[str, list[Any], str]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=kind) for name, values, kind in columns})
