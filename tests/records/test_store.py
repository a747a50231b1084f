"""What goes into the store comes out of it, and nothing else is touched."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from thalweg.errors import InputError
from thalweg.records import schema
from thalweg.records.store import Store
from thalweg.records.types import Leader, Measurement, Progress, RunRecord, StudyRecord

RUN = RunRecord(
    contender="adam(eps=0.1)", factors={"optimizer": "adam", "schedule": ("cosine", 0.1)},
    hyperparameters={"lr": 1e-3, "eps": 0.1, "amsgrad": True}, rate="lr", seed=3, role="tuning",
    curve=(Measurement(7, 1.5, 1.25, 0.5, {"f1": 0.25, "top5": None}), Measurement(9, None, None, None)),
    test_details={"f1": 0.75, "top5": None},
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


OTHER = replace(STUDY, workload="other")


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Store]:
    """A store in a new directory, whose first study has begun."""
    store, number = Store.begin(tmp_path / "new", STUDY)
    assert number == 1
    yield store
    store.close()


def test_records_come_back_as_they_were(begun: Store) -> None:
    factors = {"a": {"optimizer": "adam", "convention": "keras"}, "b": {"optimizer": "sgd"}}
    noted = replace(STUDY, factors=factors, notes=("It was cut short.",), request={"epochs": 3}, content={"data": "12"})
    store, second = Store.begin(begun.directory, OTHER)
    begun.add(1, {4: replace(RUN, seed=4, curve=()), 0: RUN})
    store.add(second, {0: replace(RUN, rate=None, hyperparameters={})})
    begun.select(1, {"a": {"lr": 0.1}})
    begun.log_clock(1, [3, 0])
    leaders = (Leader("a", 0.1, (0.5, 0.75), "training"), Leader("b", None, (0.25,), "training"))
    progress = Progress("tuning", 9, 0.5, 12.25, 4, 8.5, 20.0, 9.75, leaders)
    begun.advance(1, progress)
    begun.finish(1, noted, "Use a.")
    store.close()
    again = Store(begun.directory)
    assert again.study(1) == noted
    assert (again.study(1).seconds, again.study(2).seconds) == (12.25, None)
    assert again.runs_by_position(1) == {0: RUN, 4: replace(RUN, seed=4, curve=())}
    assert again.runs(1) == [RUN, replace(RUN, seed=4, curve=())]
    assert (again.clock_log(1), again.progress(1)) == ([3, 0], progress)
    assert again.summaries()[0].progress == progress
    row, runs = again.runs_after(1)
    assert [run.seed for run in runs] == [4, RUN.seed], "as they were stored"
    assert again.runs_after(1, row) == (row, [])
    assert (again.verdict(1), again.verdict(2)) == ("Use a.", None)
    assert again.runs(second)[0].learning_rate is None
    assert again.latest() == second
    again.close()


def test_studies_in_few_words(begun: Store) -> None:
    begun.add(1, {0: RUN, 1: RUN})
    begun.finish(1, STUDY, "Use a.")
    Store.begin(begun.directory, OTHER)[0].close()
    first, second = begun.summaries()
    assert (first.id, first.runs, bool(first.finished), first.record) == (1, 2, True, STUDY)
    assert (second.id, second.runs, second.finished, second.record.workload) == (2, 0, None, "other")


def test_what_is_added_is_on_disk_at_once(begun: Store) -> None:
    """Another program sees a run as soon as it was added, without the store being closed."""
    begun.add(1, {0: RUN})
    with sqlite3.connect(begun.path) as other:
        assert other.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert other.execute("SELECT train_loss FROM measurements ORDER BY step").fetchall() == [(1.5,), (None,)]


def test_a_batch_of_runs_is_added_whole_or_not(begun: Store) -> None:
    with pytest.raises(InputError, match="Cannot write to the store"):
        begun.add(1, {0: RUN, 1: replace(RUN, contender=None)})  # type: ignore[arg-type]
    assert begun.runs(1) == []


def test_a_place_is_taken_once(begun: Store) -> None:
    """Two programs that went on with one study could not both add its runs."""
    begun.add(1, {0: RUN})
    with pytest.raises(InputError, match="Cannot write to the store"):
        begun.add(1, {0: RUN})
    assert len(begun.runs(1)) == 1


def test_a_deleted_study_leaves_nothing(begun: Store) -> None:
    begun.add(1, {0: RUN})
    Store.begin(begun.directory, OTHER)[0].close()
    begun.delete(1)
    with sqlite3.connect(begun.path) as other:
        counts = [other.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("studies", "runs", "measurements")]
    assert counts == [1, 0, 0]
    store, number = Store.begin(begun.directory, STUDY)
    assert number == 3
    store.close()


def test_no_study_of_that_id(begun: Store) -> None:
    for ask in (begun.study, begun.runs, begun.verdict, begun.delete):
        with pytest.raises(InputError, match="has no study 5; it has 1"):
            ask(5)


def test_a_directory_without_studies(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No study in .* yet"):
        Store(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_directory_appears_at_once_with_its_study(tmp_path: Path) -> None:
    """Whoever sees the file sees the study in it; nothing half made is left, and what lay there is kept."""
    seen = []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine").write_text("kept")
    for out in (tmp_path / "a" / "new", tmp_path / "old"):
        looked = threading.Thread(target=lambda out=out: seen.append(first_sight(out / "study.sqlite")))
        looked.start()
        Store.begin(out, STUDY)[0].close()
        looked.join()
        assert sorted(p.name for p in out.iterdir()) == (
            ["study.sqlite"] if out.name == "new" else ["mine", "study.sqlite"]
        )
    assert seen == [1, 1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "old"]


def first_sight(path: Path) -> int:
    until = time.monotonic() + 30
    while not path.exists() and time.monotonic() < until:
        pass
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM studies").fetchone()[0])


def test_eight_programs_begin_in_one_new_directory(tmp_path: Path) -> None:
    """Every study is there, with an id of its own and its runs."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path; from test_store import OTHER, RUN, Store;"
        "store, number = Store.begin(Path(sys.argv[1]), OTHER);"
        "[store.add(number, {place: RUN}) for place in range(20)]"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out"), *sys.path, str(Path(__file__).parent)]
    for process in [subprocess.Popen(command) for _ in range(8)]:
        assert process.wait(120) == 0
    store = Store(tmp_path / "out")
    assert [summary.runs for summary in store.summaries()] == [20] * 8
    store.close()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("content", [b"this is no database at all", b"SQLite format 3\x00" + b"\x07" * 200])
def test_a_file_that_is_no_store(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.sqlite"
    path.write_bytes(content)
    for begin in (lambda: Store(tmp_path), lambda: Store.begin(tmp_path, STUDY)):
        with pytest.raises(InputError, match="Cannot open the store"):
            begin()
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(InputError, match="schema version 0"):
        Store(tmp_path)


def test_a_store_that_breaks_while_it_is_open(begun: Store) -> None:
    """As after a damaged disk."""
    begun.add(1, dict.fromkeys(range(400), RUN))
    begun.close()
    data = bytearray(begun.path.read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    begun.path.write_bytes(data)
    with pytest.raises(InputError, match=r"Cannot (open|read) the store .*malformed"):
        Store(begun.directory).runs(1)


def test_a_store_that_another_program_locks(begun: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "PATIENCE", 0.1)
    store = Store(begun.directory)
    with sqlite3.connect(begun.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match="database is locked; what it already holds is kept"):
            store.add(1, {0: RUN})
        other.execute("ROLLBACK")
    store.add(1, {0: RUN})
    store.close()


def test_a_full_disk(begun: Store) -> None:
    """A limit on the database's pages stands in for it."""
    begun.add(1, {0: RUN})
    begun._db.execute(f"PRAGMA max_page_count = {begun._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(InputError, match="the disk is full; what it already holds is kept"):
        begun.add(1, dict.fromkeys(range(1, 400), RUN))
    assert begun.runs(1) == [RUN]
    begun._db.execute("PRAGMA max_page_count = 1000000")
    begun.add(1, {1: RUN})
    assert len(begun.runs(1)) == 2


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another directory with --out"):
        Store.begin(tmp_path / "file" / "deep", STUDY)
    with pytest.raises(InputError, match="choose another directory with --out"):
        Store.begin(tmp_path / "file", STUDY)


@pytest.mark.parametrize("record", ["null", "[]", "{}", '{"workload": "w"}', "no JSON"])
def test_a_record_of_another_form(begun: Store, record: str) -> None:
    begun._db.execute("UPDATE studies SET record = ?", (record,))
    for read in (lambda: begun.study(1), begun.summaries):
        with pytest.raises(
            InputError, match=r"holds a study that this Thalweg cannot read \(.*\): use the version that"
        ):
            read()


def test_a_record_with_a_field_of_a_later_version(begun: Store) -> None:
    (record,) = begun._db.execute("SELECT record FROM studies").fetchone()
    begun._db.execute("UPDATE studies SET record = ?", (json.dumps({**json.loads(record), "later": 1}),))
    with pytest.raises(InputError, match=r"cannot read \(StudyRecord.__init__\(\) got an unexpected keyword"):
        begun.study(1)
