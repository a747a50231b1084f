"""The store: every run's configuration, seed, curves and outcome in one SQLite file, inserted as it finishes."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thalweg.errors import InputError
from thalweg.records.types import Measurement, RunRecord, StudyRecord

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE studies (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, finished TEXT, workload TEXT NOT NULL, record TEXT NOT NULL,
    selection TEXT, verdict TEXT
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
    contender TEXT NOT NULL, optimizer TEXT NOT NULL, role TEXT NOT NULL, round TEXT NOT NULL, seed INTEGER NOT NULL,
    learning_rate REAL, hyperparameters TEXT NOT NULL, steps INTEGER NOT NULL, initial_loss REAL, train_metric REAL,
    test_metric REAL, best_test_metric REAL, diverged_at INTEGER, seconds REAL NOT NULL, memory INTEGER NOT NULL,
    execution TEXT NOT NULL, failure TEXT NOT NULL
);
CREATE TABLE measurements (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, step INTEGER NOT NULL,
    train_loss REAL, validation_loss REAL, validation_metric REAL, PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE INDEX runs_of_study ON runs(study);
"""
_RUN_COLUMNS = tuple(f.name for f in fields(RunRecord) if f.name != "curve")


class Store:
    """One SQLite file of studies. Use it from the thread that opened it, and close it.

    Raises `InputError` where the file cannot be opened, read or written, or is another program's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path)
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"Cannot open the store {path}: {error}; choose another directory with --out.") from None

    def close(self) -> None:
        self._db.close()

    def begin(self, study: StudyRecord) -> int:
        """Registers a study; returns its id."""
        row = (_now(), study.workload, json.dumps(asdict(study)))
        return self._write("INSERT INTO studies (started, workload, record) VALUES (?, ?, ?)", row)

    def add(self, study: int, runs: Iterable[RunRecord]) -> None:
        """Inserts finished runs, all or none."""
        names = ", ".join(_RUN_COLUMNS)
        places = ", ".join("?" for _ in _RUN_COLUMNS)
        try:
            with self._db:
                for run in runs:
                    values = [_plain(getattr(run, name)) for name in _RUN_COLUMNS]
                    cursor = self._db.execute(
                        f"INSERT INTO runs (study, {names}) VALUES (?, {places})", [study, *values]
                    )
                    curve = [(cursor.lastrowid, *astuple(m)) for m in run.curve]
                    self._db.executemany("INSERT INTO measurements VALUES (?, ?, ?, ?, ?)", curve)
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def select(self, study: int, selection: Mapping[str, Any]) -> None:
        """Notes what tuning chose; it is written before the test split is first read."""
        self._write("UPDATE studies SET selection = ? WHERE id = ?", (json.dumps(selection), study))

    def finish(self, study: int, record: StudyRecord, verdict: str) -> None:
        """Notes the answer, and the record with what came up on the way (its notes)."""
        values = (_now(), json.dumps(asdict(record)), verdict, study)
        self._write("UPDATE studies SET finished = ?, record = ?, verdict = ? WHERE id = ?", values)

    def study(self, study: int) -> StudyRecord:
        """A study as it was begun. Raises `InputError` where there is none of that id."""
        row = self._db.execute("SELECT record FROM studies WHERE id = ?", (study,)).fetchone()
        if row is None:
            raise InputError(f"The store {self.path} has no study {study}.")
        raw = json.loads(row[0])
        raw["learning_rates"] = {name: tuple(rates) for name, rates in raw["learning_rates"].items()}
        for name in ("contenders", "tuning_seeds", "confirmation_seeds", "notes"):
            raw[name] = tuple(raw[name])
        return StudyRecord(**raw)

    def runs(self, study: int) -> list[RunRecord]:
        """The study's finished runs, in the order they finished."""
        names = ", ".join(_RUN_COLUMNS)
        rows = self._db.execute(f"SELECT id, {names} FROM runs WHERE study = ? ORDER BY id", (study,)).fetchall()
        return [self._run(row[0], dict(zip(_RUN_COLUMNS, row[1:], strict=True))) for row in rows]

    def latest(self) -> int | None:
        """The newest study's id."""
        row = self._db.execute("SELECT max(id) FROM studies").fetchone()
        return None if row is None else row[0]

    def _run(self, identity: int, values: dict[str, Any]) -> RunRecord:
        values["hyperparameters"] = json.loads(values["hyperparameters"])
        curve = self._db.execute(
            "SELECT step, train_loss, validation_loss, validation_metric FROM measurements WHERE run = ? ORDER BY step",
            (identity,),
        )
        return RunRecord(**values, curve=tuple(Measurement(*row) for row in curve))

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0 and not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            with self._db:
                self._db.executescript(SCHEMA + f"PRAGMA user_version = {SCHEMA_VERSION};")
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"it is of schema version {version}, this Thalweg reads {SCHEMA_VERSION}")

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        try:
            with self._db:
                return self._db.execute(statement, values).lastrowid or 0
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _broken(self, error: sqlite3.Error) -> InputError:
        return InputError(f"Cannot write to the store {self.path}: {error}; what it already holds is kept.")


def _plain(value: Any) -> Any:
    return json.dumps(dict(value)) if isinstance(value, Mapping) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
