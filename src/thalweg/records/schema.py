"""The tables of the store, and the atomic creation of a store file."""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thalweg.records.migrations import MIGRATIONS

VERSION = 8
PATIENCE = 60.0  # seconds that a write waits for another process's
TABLES = (
    """CREATE TABLE studies (
        id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, finished TEXT, workload TEXT NOT NULL,
        record TEXT NOT NULL, selection TEXT, verdict TEXT, seconds REAL NOT NULL DEFAULT 0,
        progress TEXT NOT NULL DEFAULT '{}', answers TEXT NOT NULL DEFAULT '[]'
    )""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE, place INTEGER,
        contender TEXT NOT NULL, factors TEXT NOT NULL, role TEXT NOT NULL, round TEXT NOT NULL,
        seed INTEGER NOT NULL, hyperparameters TEXT NOT NULL, rate TEXT, steps INTEGER NOT NULL, initial_loss REAL,
        train_metric REAL, test_metric REAL, best_test_metric REAL, diverged_at INTEGER, seconds REAL NOT NULL,
        memory INTEGER NOT NULL, execution TEXT NOT NULL, failure TEXT NOT NULL, initial_validation_loss REAL,
        loss_spread REAL, stopped_at INTEGER, restored_from INTEGER, evaluations INTEGER,
        test_details TEXT NOT NULL DEFAULT '{}'
    )""",
    """CREATE TABLE measurements (
        run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, step INTEGER NOT NULL,
        train_loss REAL, validation_loss REAL, validation_metric REAL, details TEXT, PRIMARY KEY (run, step)
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX place_of_run ON runs(study, place)",
)


def connect(path: Path) -> sqlite3.Connection:
    """Opens the database at `path`; creates it or migrates it to the current version if necessary.

    Raises `sqlite3.Error` if it is not a Thalweg store, of a later version, or cannot be read or written.
    """
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        if _version(db) != VERSION:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA foreign_keys = OFF")  # else a migration that replaces a table deletes what refers to it
            with transaction(db):
                _prepare(db)
        db.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction: all of the writes within, or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has rolled back by itself if the disk is full
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _prepare(db: sqlite3.Connection) -> None:
    version = _version(db)  # read again within the transaction: another process may have been first
    if version == 0 and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        for statement in TABLES:
            db.execute(statement)
        version = VERSION
    while version in MIGRATIONS:
        MIGRATIONS[version](db)
        version += 1
    if version != VERSION:
        raise sqlite3.DatabaseError(f"it is of schema version {version}, this Thalweg reads 2 to {VERSION}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def create(path: Path, fill: Callable[[sqlite3.Connection], object]) -> bool:
    """Creates the file, and its directory, atomically with what `fill` writes; `False` if the file exists.

    An existing directory is kept with its contents.
    """
    if path.exists():
        return False
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.exists():
        return _directory(path, fill) or create(path, fill)
    return _file(path, fill)


def _directory(path: Path, fill: Callable[[sqlite3.Connection], object]) -> bool:
    hidden = path.parent.with_name(f".{path.parent.name}.{secrets.token_hex(4)}")
    hidden.mkdir()
    try:
        _fill(hidden / path.name, fill)
        hidden.rename(path.parent)
    except OSError:
        if not path.parent.exists():
            raise
        return False
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return True


def _file(path: Path, fill: Callable[[sqlite3.Connection], object]) -> bool:
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _fill(hidden, fill)
        os.link(hidden, path)  # unlike a rename, never replaces another process's file
    except FileExistsError:
        return False
    finally:
        for left in path.parent.glob(f"{hidden.name}*"):
            left.unlink(missing_ok=True)
    return True


def _fill(path: Path, fill: Callable[[sqlite3.Connection], object]) -> None:
    db = connect(path)
    try:
        with transaction(db):
            fill(db)
    finally:
        db.close()  # the last connection to close writes the WAL into the file
