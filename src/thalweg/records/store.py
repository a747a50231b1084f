"""The store: every run's configuration, seed, curve and outcome in one SQLite file, inserted when it finishes."""

import errno
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thalweg.errors import InputError, first_line, is_control, printable, shown
from thalweg.records import schema
from thalweg.records.types import Leader, Measurement, Progress, RunRecord, StudyRecord, Summary

STORE = "study.sqlite"
_LARGEST_ID = 2**63 - 1  # of what SQLite holds
_POINT = "step, train_loss, validation_loss, validation_metric, details"
_RUN = tuple(f.name for f in fields(RunRecord) if f.name != "curve")


class Store:
    """The studies of one directory. Several processes may write at once. Use it in one thread, and close it.

    Raises `InputError` if the file cannot be opened, read or written, or is not a Thalweg store.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.path = directory, directory / STORE
        if not self.path.exists():
            raise InputError(f"No study in {directory} yet: begin one with thalweg compare, or give another directory.")
        try:
            self._db = schema.connect(self.path)
        except (OSError, sqlite3.Error) as error:
            raise _unopened(self.path, error) from None

    @classmethod
    def begin(cls, directory: Path, study: StudyRecord) -> "tuple[Store, int]":
        """Adds a study to a directory: (store, study id). A new store is created atomically with the study in it."""
        created, path = False, directory / STORE
        try:
            created = schema.create(path, lambda db: _register(db, study))
        except (OSError, sqlite3.Error) as error:
            raise _unopened(path, error) from None
        store = cls(directory)
        return (store, 1) if created else (store, store._add_study(study))

    def close(self) -> None:
        self._db.close()

    def add(self, study: int, runs: Mapping[int, RunRecord]) -> None:
        """Inserts finished runs by their position in the study; all or none."""
        names = ", ".join(("study", "place", *_RUN))
        insert = f"INSERT INTO runs ({names}) VALUES ({', '.join('?' * (2 + len(_RUN)))})"
        with self._writing():
            for place, run in runs.items():
                values = [_plain(getattr(run, name)) for name in _RUN]
                cursor = self._db.execute(insert, [study, place, *values])
                curve = [(cursor.lastrowid, *_point(m)) for m in run.curve]
                self._db.executemany(f"INSERT INTO measurements (run, {_POINT}) VALUES (?, ?, ?, ?, ?, ?)", curve)

    def select(self, study: int, selection: Mapping[str, Any]) -> None:
        """Stores the selection made by tuning, before the test split is first read."""
        self._set(study, selection=json.dumps(selection))

    def log_clock(self, study: int, answers: Sequence[int]) -> None:
        """Stores the budget clock's answers so far, which a resumed study repeats."""
        self._set(study, answers=json.dumps(list(answers)))

    def note(self, study: int, record: StudyRecord) -> None:
        """Replaces the study's record."""
        self._set(study, record=_json(record))

    def advance(self, study: int, progress: Progress) -> None:
        """Stores the study's progress."""
        self._set(study, progress=json.dumps(asdict(progress)), seconds=progress.seconds)

    def finish(self, study: int, record: StudyRecord, verdict: str) -> None:
        """Stores the verdict and the record with its final notes, and marks the study finished."""
        self._set(study, finished=_now(), record=_json(record), verdict=verdict)

    def delete(self, study: int) -> None:
        """Removes a study and all its runs."""
        self._row(study, "id")
        with self._writing():
            self._db.execute("DELETE FROM studies WHERE id = ?", (study,))

    def study(self, study: int) -> StudyRecord:
        """A study's record, with its beginning and the time worked on it. Raises `InputError` for an unknown id."""
        record, seconds, started = self._row(study, "record, seconds, started")
        return replace(_record(record), seconds=seconds or None, started=started)

    def verdict(self, study: int) -> str | None:
        """A finished study's verdict; `None` if it is unfinished."""
        verdict: str | None = self._row(study, "verdict")[0]
        return verdict

    def clock_log(self, study: int) -> list[int]:
        """The budget clock's answers so far."""
        return [int(answer) for answer in json.loads(self._row(study, "answers")[0])]

    def progress(self, study: int) -> Progress:
        """The study's progress when last stored."""
        return _progress(self._row(study, "progress")[0])

    def runs(self, study: int) -> list[RunRecord]:
        """The study's finished runs, by ascending position."""
        return [run for _, run in self._runs(study)]

    def runs_by_position(self, study: int) -> dict[int, RunRecord]:
        """The study's finished runs by position. Raises `InputError` if they have none (an earlier version's study)."""
        runs = self._runs(study)
        if any(place is None for place, _ in runs):
            raise InputError(f"Study {study} was begun by an earlier Thalweg and cannot go on; begin it anew.")
        return dict(runs)

    def latest(self) -> int:
        """The newest study's id. Raises `InputError` if the store is empty."""
        newest = self._query("SELECT max(id) FROM studies")[0][0]
        if newest is None:
            raise InputError(f"The store {self.path} holds no study; begin one with thalweg compare.")
        return int(newest)

    def summaries(self) -> list[Summary]:
        """A summary of every study, oldest first."""
        rows = self._query(
            "SELECT id, started, finished, record, progress, (SELECT count(*) FROM runs WHERE study = studies.id)"
            " FROM studies ORDER BY id"
        )
        return [Summary(i, s, f, _record(record), _progress(p), runs) for i, s, f, record, p, runs in rows]

    def runs_after(self, study: int, row: int = 0) -> tuple[int, list[RunRecord]]:
        """(the last row, the study's runs in the order in which they were stored) of those behind a row.

        For who looks again and again: `row` is the last one that it has seen, 0 at first.
        """
        names = ", ".join(("id", *_RUN))
        rows = self._query(f"SELECT {names} FROM runs WHERE study = ? AND id > ? ORDER BY id", study, row)
        runs = [self._run(found[0], dict(zip(_RUN, found[1:], strict=True))) for found in rows]
        return (rows[-1][0] if rows else row), runs

    def _runs(self, study: int) -> list[tuple[int, RunRecord]]:
        self._row(study, "id")
        names = ", ".join(("id", "place", *_RUN))
        rows = self._query(f"SELECT {names} FROM runs WHERE study = ? ORDER BY place, id", study)
        return [(row[1], self._run(row[0], dict(zip(_RUN, row[2:], strict=True)))) for row in rows]

    def _run(self, identity: int, values: dict[str, Any]) -> RunRecord:
        values["failure"] = printable(values["failure"] or "") or values["failure"]
        for mapping in ("factors", "hyperparameters", "test_details"):
            values[mapping] = {name: _tuple(value) for name, value in json.loads(values[mapping]).items()}
        curve = self._query(f"SELECT {_POINT} FROM measurements WHERE run = ? ORDER BY step", identity)
        points = (
            Measurement(step, train, loss, metric, json.loads(details) if details else {})
            for step, train, loss, metric, details in curve
        )
        return RunRecord(**values, curve=tuple(points))

    def _row(self, study: int, columns: str) -> Any:
        possible = 0 < study <= _LARGEST_ID
        rows = self._query(f"SELECT {columns} FROM studies WHERE id = ?", study) if possible else []
        if not rows:
            known = ", ".join(str(i) for (i,) in self._query("SELECT id FROM studies ORDER BY id")) or "none"
            raise InputError(f"The store {self.path} has no study {study}; it has {known}.")
        return rows[0]

    def _query(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise InputError(f"Cannot read the store {self.path}: {_sentence(error)}.") from None

    def _add_study(self, study: StudyRecord) -> int:
        with self._writing():
            return _register(self._db, study)

    def _set(self, study: int, **values: Any) -> None:
        with self._writing():
            columns = ", ".join(f"{name} = ?" for name in values)
            self._db.execute(f"UPDATE studies SET {columns} WHERE id = ?", (*values.values(), study))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with schema.transaction(self._db):
                yield
        except sqlite3.Error as error:
            kept = "what it already holds is kept"
            raise InputError(f"Cannot write to the store {self.path}: {_sentence(error)}; {kept}.") from None


def _unopened(path: Path, error: Exception) -> InputError:
    return InputError(f"Cannot open the store {path}: {_sentence(error)}; choose another directory with --out.")


def _sentence(error: Exception) -> str:
    text = str(error)
    return "the disk is full" if "disk is full" in text or getattr(error, "errno", None) == errno.ENOSPC else text


def _register(db: sqlite3.Connection, study: StudyRecord) -> int:
    row = (_now(), study.workload, _json(study))
    return db.execute("INSERT INTO studies (started, workload, record) VALUES (?, ?, ?)", row).lastrowid or 0


def _json(study: StudyRecord) -> str:
    """The record as JSON, without the time worked on it, which has a column of its own."""
    return json.dumps({name: value for name, value in asdict(study).items() if name not in ("seconds", "started")})


def _record(text: str) -> StudyRecord:
    try:
        raw = json.loads(text)
        raw["learning_rates"] = {name: tuple(rates) for name, rates in raw["learning_rates"].items()}
        for name in ("contenders", "tuning_seeds", "confirmation_seeds", "notes"):
            raw[name] = tuple(raw[name])
        raw["notes"] = tuple(map(printable, raw["notes"]))
        _require_printable(raw["workload"], raw["metric"], *raw["contenders"])
        return StudyRecord(**raw)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"The store holds a study that this Thalweg cannot read ({first_line(error)}): use the version that wrote"
            " it, or delete the study."
        ) from None


def _progress(text: str) -> Progress:
    raw = json.loads(text)
    leaders = (Leader(**{**leader, "values": tuple(leader["values"])}) for leader in raw.pop("leaders", ()))
    return Progress(**raw, leaders=tuple(leaders))


def _require_printable(*names: str) -> None:
    """Raises `InputError` for a name that Thalweg would not have written, and a terminal would obey."""
    odd = next((name for name in names if any(map(is_control, name))), None)
    if odd is not None:
        raise InputError(f"The store holds the name {shown(odd)}, with control characters that Thalweg does not write.")


def _plain(value: Any) -> Any:
    return json.dumps(dict(value), default=repr) if isinstance(value, Mapping) else value


def _point(m: Measurement) -> tuple[Any, ...]:
    """In the order of `_POINT`."""
    details = json.dumps(dict(m.details)) if m.details else None
    return m.step, m.train_loss, m.validation_loss, m.validation_metric, details


def _tuple(value: Any) -> Any:
    """Converts lists back to tuples: JSON has no tuples."""
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
