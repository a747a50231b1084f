"""Migrations of a store to the current schema, from one version to the next."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Migration = Callable[[sqlite3.Connection], None]


class _Run(NamedTuple):
    """A run of version 6."""

    id: int
    contender: str
    optimizer: str
    hyperparameters: dict[str, Any]
    learning_rate: float | None
    rate: str | None


def _statements(*statements: str) -> Migration:
    def execute(db: sqlite3.Connection) -> None:
        for statement in statements:
            db.execute(statement)

    return execute


_RUNS_OF_VERSION_7 = """CREATE TABLE migrated (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE, place INTEGER,
    contender TEXT NOT NULL, factors TEXT NOT NULL, role TEXT NOT NULL, round TEXT NOT NULL, seed INTEGER NOT NULL,
    hyperparameters TEXT NOT NULL, rate TEXT, steps INTEGER NOT NULL, initial_loss REAL, train_metric REAL,
    test_metric REAL, best_test_metric REAL, diverged_at INTEGER, seconds REAL NOT NULL, memory INTEGER NOT NULL,
    execution TEXT NOT NULL, failure TEXT NOT NULL, initial_validation_loss REAL, loss_spread REAL, stopped_at INTEGER,
    restored_from INTEGER, evaluations INTEGER
)"""
_COLUMNS = (
    "id, study, place, contender, factors, role, round, seed, hyperparameters, rate, steps, initial_loss, train_metric,"
    " test_metric, best_test_metric, diverged_at, seconds, memory, execution, failure, initial_validation_loss,"
    " loss_spread, stopped_at, restored_from, evaluations"
)
_without_columns = _statements(  # as a new table: SQLite drops columns from version 3.35 on only
    _RUNS_OF_VERSION_7,
    f"INSERT INTO migrated ({_COLUMNS}) SELECT {_COLUMNS} FROM runs",
    "DROP TABLE runs",
    "ALTER TABLE migrated RENAME TO runs",
    "CREATE UNIQUE INDEX place_of_run ON runs(study, place)",
)


def _to_factors(db: sqlite3.Connection) -> None:
    """Replaces a run's column `optimizer` by `factors`, and drops `learning_rate`, a hyperparameter that `rate` names.

    Raises `sqlite3.DatabaseError` where a study or a run is no JSON, or of another form.
    """
    db.execute("ALTER TABLE runs ADD COLUMN factors TEXT NOT NULL DEFAULT '{}'")
    for study, record in db.execute("SELECT id, record FROM studies").fetchall():
        try:
            _study_to_factors(db, study, json.loads(record))
        except (ValueError, TypeError, AttributeError, KeyError) as error:  # no JSON, or of another form
            raise sqlite3.DatabaseError(f"study {study} cannot be migrated: {error}") from None
    _without_columns(db)


def _study_to_factors(db: sqlite3.Connection, study: int, record: dict[str, Any]) -> None:
    select = "SELECT id, contender, optimizer, hyperparameters, learning_rate, rate FROM runs WHERE study = ?"
    runs = [_Run(i, c, o, json.loads(values), *rest) for i, c, o, values, *rest in db.execute(select, (study,))]
    conventions, factors = _conventions(record), dict[str, dict[str, str]]()
    for name in dict.fromkeys(run.contender for run in runs):
        own = [run for run in runs if run.contender == name]
        factors[name] = {"optimizer": own[0].optimizer, **conventions.get(name, {})}
        _write(db, own, factors[name])
    changed = json.dumps({**record, "factors": factors})
    db.execute("UPDATE studies SET record = ? WHERE id = ?", (changed, study))


def _write(db: sqlite3.Connection, own: Sequence[_Run], factors: dict[str, str]) -> None:
    """Fills in the factors and the rate of a contender's runs, and lists their learning rate among hyperparameters."""
    rate = _rate_name(own)
    for run in own:
        values = run.hyperparameters
        if rate is not None and run.learning_rate is not None and values.get(rate) != run.learning_rate:
            values[rate] = run.learning_rate  # a search of others left out the default rate
        db.execute(
            "UPDATE runs SET factors = ?, rate = ?, hyperparameters = ? WHERE id = ?",
            (json.dumps(factors), rate, json.dumps(values), run.id),
        )


def _rate_name(own: Sequence[_Run]) -> str | None:
    """The name of the learning rate of a contender's runs, `None` where they have none.

    Where they do not state it (version 3 and before), the hyperparameter that equals it wherever it is listed: `lr`
    where several do or none does, else the one listed most often.
    """
    stated = next((run.rate for run in own if run.rate is not None), None)
    rated = [run for run in own if run.learning_rate is not None]
    if stated is not None or not rated:
        return stated
    listed = Counter(name for run in rated for name in run.hyperparameters)
    equal = [name for name in listed if all(_is_rate(run, name) for run in rated if name in run.hyperparameters)]
    return "lr" if "lr" in equal or not equal else max(equal, key=listed.__getitem__)


def _is_rate(run: _Run, name: str) -> bool:
    value = run.hyperparameters[name]
    return value == run.learning_rate and not isinstance(value, bool)


def _conventions(record: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Contender → its convention as a factor, of those that follow another than torch's by the study's request.

    A class of another library follows none.
    """
    asked = record.get("request", {}).get("contenders", [])
    return {
        c["title"]: {"convention": c["convention"]}
        for c in asked
        if c.get("convention") not in (None, "torch") and ":" not in (c["name"] or "")
    }


MIGRATIONS: dict[int, Migration] = {
    2: _statements(  # a study of this version has no places, so it can be shown but not resumed
        "ALTER TABLE studies ADD COLUMN seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE studies ADD COLUMN progress TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE studies ADD COLUMN answers TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE runs ADD COLUMN place INTEGER",
        "CREATE UNIQUE INDEX place_of_run ON runs(study, place)",
        "DROP INDEX runs_of_study",
    ),
    3: _statements(  # a run of this version neither measured its start nor named its learning rate
        "ALTER TABLE runs ADD COLUMN initial_validation_loss REAL",
        "ALTER TABLE runs ADD COLUMN loss_spread REAL",
        "ALTER TABLE runs ADD COLUMN rate TEXT",
    ),
    4: _statements(
        "ALTER TABLE runs ADD COLUMN stopped_at INTEGER", "ALTER TABLE runs ADD COLUMN restored_from INTEGER"
    ),
    5: _statements("ALTER TABLE runs ADD COLUMN evaluations INTEGER"),
    6: _to_factors,
    7: _statements(
        "ALTER TABLE runs ADD COLUMN test_details TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE measurements ADD COLUMN details TEXT",
    ),
}
"""Version → its migration to the next one, within a transaction and without foreign keys enforced."""
