"""A study's runs as two tables of typed columns: one row per run, and one row per measurement."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from thalweg.records.types import Measurement, RunRecord, StudyRecord
from thalweg.reports.facts import plain

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "hyperparameter_"
DETAIL, TEST_DETAIL = "validation_detail_", "test_detail_"
TYPES = {
    "run": "Int64", "seed": "Int64", "steps": "Int64", "step": "Int64", "diverged_at": "Int64", "memory": "Int64",
    "stopped_at": "Int64", "restored_from": "Int64", "evaluations": "Int64", "ended_at": "Int64",
    "learning_rate": "Float64", "initial_loss": "Float64", "initial_validation_loss": "Float64",
    "loss_spread": "Float64", "train_metric": "Float64", "validation_metric": "Float64",
    "test_metric": "Float64", "best_test_metric": "Float64", "seconds": "Float64", "train_loss": "Float64",
    "validation_loss": "Float64", "diverged": "boolean",
}  # fmt: skip
"""Column → its pandas dtype, all nullable; unlisted columns are strings."""

IDENTITY = ("role", "seed", "learning_rate")  # columns of the curves, after the run's number, contender and factors

Column = tuple[str, list[Any], str]  # name, values, dtype


def runs_columns(study: StudyRecord, runs: Sequence[RunRecord]) -> list[Column]:
    """One row per run, in the order of `runs`.

    `run` counts from 1 and is the key to the curves. Every factor of any run is a column of its name, `optimizer`
    always. Every hyperparameter set by any run is a column `hyperparameter_<name>`, missing where a run uses the
    published default. Both are numeric or boolean columns, or JSON text throughout if any value is neither; factors
    that are all texts stand as they are. A further metric of the test split is a column `test_detail_<name>`; in the
    curves, one of the validation split is `validation_detail_<name>`. The other columns are the fields of `RunRecord`,
    and what it derives of them.
    """
    mappings = ("contender", "factors", "hyperparameters", "curve", "test_details")
    names = ["learning_rate", *(f.name for f in fields(RunRecord) if f.name not in mappings)]
    names += ["validation_metric", "diverged", "ending", "ended_at"]
    numbers, workloads = list(range(1, len(runs) + 1)), [study.workload] * len(runs)
    first = [_column("run", numbers), _column("workload", workloads), _column("contender", [r.contender for r in runs])]
    fields_of_runs = [_column(name, [getattr(run, name) for run in runs]) for name in names]
    return [
        *first,
        *_factors(runs, runs),
        *fields_of_runs,
        *_details(TEST_DETAIL, [run.test_details for run in runs]),
        *_hyperparameters(runs),
    ]


def curves_columns(runs: Sequence[RunRecord]) -> list[Column]:
    """One row per measurement, ordered by run and step, with the run's number, contender, factors and `IDENTITY`."""
    rows = [(number, run, m) for number, run in enumerate(runs, 1) for m in run.curve]
    of = [run for _, run, _ in rows]
    first = [_column("run", [number for number, _, _ in rows]), _column("contender", [run.contender for run in of])]
    identity = [_column(name, [getattr(run, name) for run in of]) for name in IDENTITY]
    plain_fields = [f.name for f in fields(Measurement) if f.name != "details"]
    measured = [_column(name, [getattr(m, name) for _, _, m in rows]) for name in plain_fields]
    return [*first, *_factors(runs, of), *identity, *measured, *_details(DETAIL, [m.details for *_, m in rows])]


def _details(prefix: str, of: Sequence[Mapping[str, float | None]]) -> list[Column]:
    """A column for each further metric or part of the loss of any row."""
    names = dict.fromkeys(name for own in of for name in own)
    return [(prefix + name, [own.get(name) for own in of], "Float64") for name in names]


def _column(name: str, values: list[Any]) -> Column:
    return name, values, TYPES.get(name, "string")


def _factors(runs: Sequence[RunRecord], of: Sequence[RunRecord]) -> list[Column]:
    """Columns of all factors of `runs`, with the values of the runs `of` the rows."""
    names = dict.fromkeys(["optimizer", *(name for run in runs for name in run.factors)])
    columns = [(name, [run.factors.get(name) for run in of]) for name in names]
    return [(n, v, "string") if all(isinstance(x, str | None) for x in v) else _typed(n, v) for n, v in columns]


def _hyperparameters(runs: Sequence[RunRecord]) -> list[Column]:
    names = sorted({name for run in runs for name in run.hyperparameters})
    return [_typed(PREFIX + name, [run.hyperparameters.get(name) for run in runs]) for name in names]


def _typed(name: str, values: list[Any]) -> Column:
    """(name, values, dtype) with the narrowest dtype that holds all values."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in known):
        return name, values, "boolean"
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return name, values, "Float64" if any(isinstance(value, float) for value in known) else "Int64"
    return name, [None if value is None else json.dumps(plain(value), default=str) for value in values], "string"


def frame(columns: Sequence[Column]) -> "pd.DataFrame":
    """The columns as a DataFrame of their dtypes."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=kind) for name, values, kind in columns})
