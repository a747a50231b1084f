"""Stores as earlier versions left them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from thalweg.records.store import STORE

STORES = Path(__file__).parent / "records" / "stores"  # dumps of stores that earlier Thalwegs wrote

TO_VERSION_6 = """
ALTER TABLE runs ADD COLUMN optimizer TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN learning_rate REAL;
UPDATE runs SET optimizer = json_extract(factors, '$.optimizer'),
    learning_rate = json_extract(hyperparameters, '$.' || rate);
ALTER TABLE runs DROP COLUMN factors;
ALTER TABLE runs DROP COLUMN test_details;
ALTER TABLE measurements DROP COLUMN details;
UPDATE studies SET record = json_remove(record, '$.factors');
PRAGMA user_version = 6;
"""

WITHOUT_RATE = "UPDATE runs SET hyperparameters = json_remove(hyperparameters, '$.' || rate) WHERE round = 'search'"
"""As version 6 recorded a search of other hyperparameters than the learning rate."""


def written(directory: Path, script: str) -> Path:
    """The path of a store in `directory`, made or changed by a script."""
    with closing(sqlite3.connect(directory / STORE)) as db:
        db.executescript(script)
    return directory / STORE


def dumped(directory: Path, version: int) -> Path:
    """The path of a new store in `directory`, as that version wrote it."""
    return written(directory, (STORES / f"version_{version}.sql").read_text())
