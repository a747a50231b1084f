"""Stores of earlier versions keep what they hold."""

import csv
import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import thalweg
from old_stores import dumped, written
from records_fixture import RUN, STUDY
from thalweg.cli.main import app
from thalweg.errors import InputError
from thalweg.records import schema
from thalweg.records.store import Store
from thalweg.records.types import Measurement
from thalweg.reports.terminal import answer

MEASURED = "SELECT run, step, train_loss, validation_loss, validation_metric FROM measurements"
VERSION_2 = """
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
PRAGMA user_version = 2;
"""
VERSION_3 = """
CREATE TABLE studies (
    id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, finished TEXT, workload TEXT NOT NULL,
    record TEXT NOT NULL, selection TEXT, verdict TEXT, seconds REAL NOT NULL DEFAULT 0,
    progress TEXT NOT NULL DEFAULT '{}', answers TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE, place INTEGER,
    contender TEXT NOT NULL, optimizer TEXT NOT NULL, role TEXT NOT NULL, round TEXT NOT NULL,
    seed INTEGER NOT NULL, learning_rate REAL, hyperparameters TEXT NOT NULL, steps INTEGER NOT NULL,
    initial_loss REAL, train_metric REAL, test_metric REAL, best_test_metric REAL, diverged_at INTEGER,
    seconds REAL NOT NULL, memory INTEGER NOT NULL, execution TEXT NOT NULL, failure TEXT NOT NULL
);
CREATE TABLE measurements (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, step INTEGER NOT NULL,
    train_loss REAL, validation_loss REAL, validation_metric REAL, PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE UNIQUE INDEX place_of_run ON runs(study, place);
PRAGMA user_version = 3;
"""

CASES: dict[str, list[tuple[float | None, dict[str, Any]]]] = {
    "several equal it": [(0.1, {"beta": 0.1, "lr": 0.1})],
    "one follows it": [(0.1, {"beta": 0.1, "eta": 0.1}), (0.2, {"beta": 0.1, "eta": 0.2})],
    "a flag is none": [(1.0, {"nesterov": True, "eta": 1.0})],
    "listed in some": [(0.1, {"beta": 0.1}), (0.1, {"beta": 0.1, "eta": 0.1}), (0.1, {"eta": 0.1, "beta": 0.5})],
    "listed nowhere": [(0.1, {"beta": 0.5})],
    "has none": [(None, {"beta": 0.1})],
}
"""Contender → the learning rate and the hyperparameters of its runs of version 3."""
RATES = ("lr", "eta", "eta", "eta", "lr", None)


def listed(path: Path, query: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query, values).fetchall()


def columns(path: Path, table: str) -> list[tuple[str, str, int]]:
    """Name, type and obligation of the columns."""
    return [(name, kind, needed) for _, name, kind, needed, *_ in listed(path, f"PRAGMA table_info({table})")]


def test_a_store_of_version_2_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its studies can be read, but not go on; new ones join them."""
    record = {k: v for k, v in asdict(STUDY).items() if k not in ("request", "content", "factors")}
    values = ("adam", "adam", "tuning", "fine", 0, 0.1, '{"lr": 0.1}', 5, 1.0, *[None] * 4, 0.5, 64, "loop", "")
    with closing(sqlite3.connect(written(tmp_path, VERSION_2))) as db, db:
        db.execute("INSERT INTO studies VALUES (7, '2026', NULL, 'w', ?, NULL, NULL)", (json.dumps(record),))
        db.execute(f"INSERT INTO runs VALUES (1, 7{', ?' * len(values)})", values)
        db.execute("INSERT INTO measurements VALUES (1, 5, 1.0, 2.0, 0.5)")
    with closing(Store(tmp_path)) as store:
        assert store.study(7) == replace(STUDY, factors={"adam": {"optimizer": "adam"}})
        (run,) = store.runs(7)
        assert (run.optimizer, run.rate, run.learning_rate) == ("adam", "lr", 0.1)
        assert run.curve == (Measurement(5, 1.0, 2.0, 0.5),)
        with pytest.raises(InputError, match="begun by an earlier Thalweg"):
            store.runs_by_position(7)
    store, number = Store.begin(tmp_path, STUDY)
    store.add(number, {0: RUN})
    assert (number, store.runs_by_position(number)) == (8, {0: RUN})
    store.close()


def version_3(directory: Path) -> None:
    """A study with the contenders of `CASES`; the last measured loss of the very first run is below its first."""
    names = "contender, learning_rate, hyperparameters, optimizer, role, round, seed, steps, initial_loss"
    names = f"study, place, {names}, seconds, memory, execution, failure"
    rest = ("a", "tuning", "fine", 0, 5, 1.0, 0.5, 64, "loop", "")
    given = [(name, rate, json.dumps(values)) for name, runs in CASES.items() for rate, values in runs]
    with closing(sqlite3.connect(written(directory, VERSION_3))) as db, db:
        record = {k: v for k, v in asdict(STUDY).items() if k != "factors"} | {"contenders": list(CASES)}
        db.execute("INSERT INTO studies (started, workload, record) VALUES ('2026', 'w', ?)", (json.dumps(record),))
        for place, values in enumerate(given):
            row = (1, place, *values, *rest)
            run = db.execute(f"INSERT INTO runs ({names}) VALUES ({', '.join('?' * len(row))})", row).lastrowid
            db.execute("INSERT INTO measurements VALUES (?, 5, ?, 0.5, 0.5)", (run, 1.001 if place else 0.999))


def test_runs_of_version_3_keep_their_meaning(tmp_path: Path) -> None:
    """They worsened by the rule of their time."""
    version_3(tmp_path)
    with closing(Store(tmp_path)) as store:
        first, *others = store.runs(1)
        assert (first.worsened, {run.worsened for run in others}) == (False, {True})
        assert {(run.initial_validation_loss, run.loss_spread) for run in (first, *others)} == {(None, None)}
        store.add(1, {19: RUN})
        assert store.runs_by_position(1)[19] == RUN


@pytest.mark.parametrize(("contender", "rate"), list(zip(CASES, RATES, strict=True)))
def test_the_rate_of_a_run_of_version_3_is_the_hyperparameter_that_equals_it(
    contender: str, rate: str | None, tmp_path: Path
) -> None:
    """Such a run does not name it, and may not list it; its value is what it was."""
    version_3(tmp_path)
    with closing(Store(tmp_path)) as store:
        runs = [run for run in store.runs(1) if run.contender == contender]
    assert {run.rate for run in runs} == {rate}
    assert [run.learning_rate for run in runs] == [value for value, _ in CASES[contender]]
    for run, (value, given) in zip(runs, CASES[contender], strict=True):
        assert run.hyperparameters == ({**given, rate: value} if rate else given)


@pytest.mark.parametrize("version", [4, 6])
def test_a_real_store_keeps_every_value(version: int, tmp_path: Path) -> None:
    """Its columns become factors, and those of a new store; a run that did not list its learning rate does."""
    path = dumped(tmp_path, version)
    kept = [name for name, *_ in columns(path, "runs") if name not in ("optimizer", "learning_rate", "hyperparameters")]
    select = f"SELECT {', '.join(kept)} FROM runs ORDER BY id"
    before, measured = listed(path, select), listed(path, MEASURED)
    old = listed(path, "SELECT optimizer, learning_rate, hyperparameters FROM runs ORDER BY study, place")
    with closing(Store(tmp_path)) as store:
        runs = [run for study in (1, 2) for run in store.runs(study)]
        studies = [store.study(study) for study in (1, 2)]
    assert (listed(path, select), listed(path, MEASURED)) == (before, measured)
    assert [(run.optimizer, run.learning_rate) for run in runs] == [(optimizer, rate) for optimizer, rate, _ in old]
    given = [json.loads(values) for *_, values in old]
    assert [{"lr": run.learning_rate, **values} for run, values in zip(runs, given, strict=True)] == [
        json.loads(json.dumps(run.hyperparameters)) for run in runs
    ]
    assert sum("lr" not in values for values in given) == 2, "those of the search of another hyperparameter"
    assert {run.contender: run.factors for run in runs} == {**studies[0].factors, **studies[1].factors}
    assert [study.varied for study in studies] == [("optimizer", "convention"), ()]
    assert studies[0].factors["fast"] == {"optimizer": "adam", "convention": "keras"}
    assert studies[1].factors == {"adam": {"optimizer": "adam"}}


@pytest.mark.parametrize("version", [2, 3, 4, 6])
def test_the_tables_are_those_of_a_new_store(version: int, tmp_path: Path) -> None:
    scripts = {2: VERSION_2, 3: VERSION_3}
    old = written(tmp_path, scripts[version]) if version in scripts else dumped(tmp_path, version)
    Store(tmp_path).close()
    Store.begin(tmp_path / "new", STUDY)[0].close()
    new = tmp_path / "new" / old.name
    for table in ("studies", "runs", "measurements"):
        assert sorted(columns(old, table)) == sorted(columns(new, table))
    keys = [[key[2:] for key in listed(path, "PRAGMA foreign_key_list(measurements)")] for path in (old, new)]
    assert keys[0] == keys[1]
    names = "SELECT name, tbl_name FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'sqlite_sequence' ORDER BY name"
    assert listed(old, names) == listed(new, names)
    assert listed(old, "PRAGMA foreign_key_check") == []
    assert listed(old, "PRAGMA user_version") == [(schema.VERSION,)]


def test_a_migrated_study_is_deleted_with_its_runs(tmp_path: Path) -> None:
    path = dumped(tmp_path, 6)
    with closing(Store(tmp_path)) as store:
        store.delete(1)
    assert listed(path, "SELECT DISTINCT study FROM runs") == [(2,)]
    assert listed(path, "SELECT count(*) FROM measurements") == listed(path, "SELECT count(*) FROM runs") == [(2,)]


def test_a_store_is_migrated_whole_or_not(tmp_path: Path) -> None:
    """A run that is no JSON, in the second study: the first is as it was, too."""
    path = dumped(tmp_path, 6)
    (good,) = listed(path, "SELECT id, hyperparameters FROM runs WHERE study = 2 LIMIT 1")
    written(tmp_path, f"UPDATE runs SET hyperparameters = '{{' WHERE id = {good[0]}")
    with closing(sqlite3.connect(path)) as db:
        before = list(db.iterdump())
    with pytest.raises(InputError, match=r"Cannot open the store .*: study 2 cannot be migrated: Expecting"):
        Store(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        assert list(db.iterdump()) == before
        assert db.execute("PRAGMA user_version").fetchone() == (6,)
        with db:
            db.execute("UPDATE runs SET hyperparameters = ? WHERE id = ?", good[::-1])
    with closing(Store(tmp_path)) as store:
        assert len(store.runs(2)) == 2


def test_several_programs_open_an_old_store_at_once(tmp_path: Path) -> None:
    dumped(tmp_path, 6)
    counts = []

    def count() -> None:
        with closing(Store(tmp_path)) as store:
            counts.append([len(store.runs(study)) for study in (1, 2)])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [[15, 2]] * 4


@pytest.mark.parametrize("version", [4, 6])
def test_a_real_old_study_is_shown_reported_exported_and_compared(version: int, tmp_path: Path) -> None:
    dumped(tmp_path, version)

    def said(command: str, *arguments: str) -> str:
        result = CliRunner().invoke(app, [command, *arguments, "--out", str(tmp_path)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    text, result = said("show", "1", "--json", str(tmp_path / "facts.json")), thalweg.stored(tmp_path, 1)
    first, made, rest = answer(result.study, result.rows, result.verdict)
    assert (text.splitlines()[0], made) == (first, [])
    assert rest in text
    assert f"{first} {rest}" == result.verdict
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert {row["optimizer"]: row["factors"].get("convention") for row in facts["leaderboard"]} == {
        "sgd": None, "fast": "keras", "torch.optim:Adam(betas=(0.8, 0.9))": None
    }  # fmt: skip
    assert facts["varied"] == ["optimizer", "convention"]
    said("report", "1")
    assert "<svg" in (tmp_path / "report-1.html").read_text()
    for study in ("1", "2"):
        said("export", study, "--to", str(tmp_path / "runs.csv"), "--format", "csv")
        with (tmp_path / "runs.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["hyperparameter_lr"] for row in rows} == {row["learning_rate"] for row in rows}
    assert "No single optimizer changed significantly" in said("diff", "1", "1")
