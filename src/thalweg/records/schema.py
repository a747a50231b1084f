"""The tables of the store, their migrations, and the atomic creation of a store file."""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VERSION = 6
PATIENCE = 60.0  # seconds that a write waits for another process's
TABLES = (
    """CREATE TABLE studies (
        id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, finished TEXT, workload TEXT NOT NULL,
        record TEXT NOT NULL, selection TEXT, verdict TEXT, seconds REAL NOT NULL DEFAULT 0,
        progress TEXT NOT NULL DEFAULT '{}', answers TEXT NOT NULL DEFAULT '[]'
    )""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE, place INTEGER,
        contender TEXT NOT NULL, optimizer TEXT NOT NULL, role TEXT NOT NULL, round TEXT NOT NULL,
        seed INTEGER NOT NULL, learning_rate REAL, hyperparameters TEXT NOT NULL, steps INTEGER NOT NULL,
        initial_loss REAL, train_metric REAL, test_metric REAL, best_test_metric REAL, diverged_at INTEGER,
        seconds REAL NOT NULL, memory INTEGER NOT NULL, execution TEXT NOT NULL, failure TEXT NOT NULL,
        initial_validation_loss REAL, loss_spread REAL, rate TEXT, stopped_at INTEGER, restored_from INTEGER,
        evaluations INTEGER
    )""",
    """CREATE TABLE measurements (
        run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, step INTEGER NOT NULL,
        train_loss REAL, validation_loss REAL, validation_metric REAL, PRIMARY KEY (run, step)
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX place_of_run ON runs(study, place)",
)
MIGRATIONS = {
    2: (  # a study of this version has no places, so it can be shown but not resumed
        "ALTER TABLE studies ADD COLUMN seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE studies ADD COLUMN progress TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE studies ADD COLUMN answers TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE runs ADD COLUMN place INTEGER",
        "CREATE UNIQUE INDEX place_of_run ON runs(study, place)",
        "DROP INDEX runs_of_study",
    ),
    3: (  # a run of this version neither measured its start nor named the hyperparameter that is its learning rate
        "ALTER TABLE runs ADD COLUMN initial_validation_loss REAL",
        "ALTER TABLE runs ADD COLUMN loss_spread REAL",
        "ALTER TABLE runs ADD COLUMN rate TEXT",
    ),
    4: ("ALTER TABLE runs ADD COLUMN stopped_at INTEGER", "ALTER TABLE runs ADD COLUMN restored_from INTEGER"),
    5: ("ALTER TABLE runs ADD COLUMN evaluations INTEGER",),
}
"""Version → the statements that migrate it to the next one."""


def connect(path: Path) -> sqlite3.Connection:
    """Opens the database at `path`; creates it or migrates it to the current version if necessary.

    Raises `sqlite3.Error` if it is not a Thalweg store, of a later version, or cannot be read or written.
    """
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        db.execute("PRAGMA foreign_keys = ON")
        if _version(db) != VERSION:
            db.execute("PRAGMA journal_mode = WAL")
            with transaction(db):
                _prepare(db)
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
        _execute(db, TABLES)
        version = VERSION
    while version in MIGRATIONS:
        _execute(db, MIGRATIONS[version])
        version += 1
    if version != VERSION:
        raise sqlite3.DatabaseError(f"it is of schema version {version}, this Thalweg reads 2 to {VERSION}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def _execute(db: sqlite3.Connection, statements: tuple[str, ...]) -> None:
    for statement in statements:
        db.execute(statement)


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
