"""What goes into the store comes out of it, and nothing else is touched."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from thalweg.errors import InputError
from thalweg.records.store import Store
from thalweg.records.types import Measurement, RunRecord, StudyRecord

RUN = RunRecord(
    contender="adam(eps=0.1)", optimizer="adam", hyperparameters={"lr": 1e-3, "eps": 0.1, "amsgrad": True},
    learning_rate=1e-3, seed=3, role="tuning", curve=(Measurement(7, 1.5, 1.25, 0.5), Measurement(9, None, None, None)),
    steps=14, round="fine", memory=640, failure="it broke",
    initial_loss=2.5, train_metric=0.75, diverged_at=9, seconds=0.25, execution="population of 4",
)  # fmt: skip
STUDY = StudyRecord(
    workload="w", metric="accuracy", higher_is_better=True, target=None, steps=14, steps_per_epoch=7,
    evaluate_every=7, batch_size=8,
    samples={"train": 5}, parameters=10, contenders=("a", "b"), learning_rates={"a": (0.1, 1.0)}, refined=6,
    tuning_seeds=(0, 1), confirmation_seeds=(1000,), protocol=1,
    caps={"runs": 4, "steps": 56, "seconds": None}, environment={"torch": "2"}, plan={"width": 3},
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "study.sqlite"


def test_records_come_back_as_they_were(path: Path) -> None:
    store, noted = Store(path), replace(STUDY, notes=("It was cut short.",))
    first, second = store.begin(STUDY), store.begin(replace(STUDY, workload="other"))
    store.add(first, [RUN, replace(RUN, seed=4, curve=())])
    store.add(second, [replace(RUN, learning_rate=None, hyperparameters={})])
    store.select(first, {"a": {"lr": 0.1}})
    store.finish(first, noted, "Use a.")
    store.close()
    again = Store(path)
    assert again.study(first) == noted
    assert again.runs(first) == [RUN, replace(RUN, seed=4, curve=())]
    assert again.runs(second)[0].learning_rate is None
    assert again.latest() == second
    again.close()


def test_what_is_added_is_on_disk_at_once(path: Path) -> None:
    """Another program sees a run as soon as it was added, without the store being closed."""
    store = Store(path)
    store.add(store.begin(STUDY), [RUN])
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert other.execute("SELECT train_loss FROM measurements ORDER BY step").fetchall() == [(1.5,), (None,)]
    store.close()


def test_a_batch_of_runs_is_added_whole_or_not(path: Path) -> None:
    store = Store(path)
    number = store.begin(STUDY)
    with pytest.raises(InputError, match="Cannot write to the store"):
        store.add(number, [RUN, replace(RUN, contender=None)])  # type: ignore[arg-type]
    assert store.runs(number) == []
    store.close()


def test_no_study_of_that_id(path: Path) -> None:
    store = Store(path)
    assert store.latest() is None
    with pytest.raises(InputError, match="has no study 5"):
        store.study(5)
    store.close()


@pytest.mark.parametrize("content", [b"this is no database at all", b"SQLite format 3\x00" + b"\x07" * 200])
def test_a_file_that_is_no_store(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.sqlite"
    path.write_bytes(content)
    with pytest.raises(InputError, match="Cannot open the store"):
        Store(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(InputError, match="schema version 0"):
        Store(path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another directory with --out"):
        Store(tmp_path / "file" / "study.sqlite")
