"""`thalweg watch` from the command line, and `thalweg show` before a run has finished."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

import thalweg
from cli_process import Program
from problems import tiny
from records_fixture import RUN, STUDY
from scope import conformance_only
from thalweg.cli import watch
from thalweg.cli.main import app
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.records.types import Progress

ASKED = {"seeds": 1, "confirm_seeds": 2, "progress": False}


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


class Watching:
    """`thalweg watch` in a thread of its own, as the writer of a study sees it."""

    def __init__(self, *arguments: str) -> None:
        self._thread = threading.Thread(target=self._run, args=arguments)
        self.output = ""
        self._thread.start()

    def _run(self, *arguments: str) -> None:
        self.output = said("watch", "--every", "0.1", *arguments)

    def end(self) -> str:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.output


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[tuple[Path, Store]]:
    """A study of the directory that this process runs, of which nothing has finished."""
    store, number = Store.begin(tmp_path, STUDY)
    with closing(store), closing(Lock(folder(tmp_path, number), number)):
        yield tmp_path, store


def test_it_waits_for_a_study_and_ends_with_its_result(tmp_path: Path) -> None:
    out = tmp_path / "later"
    watching = Watching("--out", str(out))
    time.sleep(0.5)
    thalweg.compare(tiny(), ["sgd", "adam"], [0.1], out=out, **ASKED)  # type: ignore[arg-type]
    text = watching.end()
    assert text.startswith(f"waiting for a study in {out} …\n")
    assert "study 1, tiny: finished, 10 runs\n" in text
    assert text.endswith(said("show", "--out", str(out))), "the table and the verdict as show prints them"


def test_it_waits_where_a_store_holds_no_study(tmp_path: Path) -> None:
    store, number = Store.begin(tmp_path, STUDY)
    store.delete(number)
    watching = Watching("--out", str(tmp_path))
    time.sleep(0.5)
    again = Store.begin(tmp_path, STUDY)[1]
    store.finish(again, STUDY, "Use adam.")
    store.close()
    assert watching.end().startswith(f"waiting for a study in {tmp_path} …\nstudy {again}, toy: finished")


@conformance_only
def test_ctrl_c_while_it_waits_exits_with_130(tmp_path: Path) -> None:
    program = Program("watch", "--out", str(tmp_path / "nothing"))
    time.sleep(3)
    program.send(signal.SIGINT)
    status, output, errors = program.end(60)
    assert (status, errors) == (130, "")
    assert output == f"waiting for a study in {tmp_path / 'nothing'} …\n"
    assert not (tmp_path / "nothing").exists()


def test_it_goes_on_with_a_study_that_began_meanwhile(begun: tuple[Path, Store]) -> None:
    """The first to its end, and not the newest in the middle of it; then the second."""
    out, store = begun
    watching = Watching("--out", str(out))
    time.sleep(0.5)
    second = Store.begin(out, STUDY)[1]
    time.sleep(0.5)
    store.add(1, {0: RUN})
    store.finish(1, STUDY, "Use adam, says the first.")
    time.sleep(0.5)
    store.finish(second, STUDY, "Use adam, says the second.")
    text = watching.end()
    headlines = [line.split(":")[0] for line in text.splitlines() if line.startswith("study ")]
    assert headlines == sorted(headlines)
    assert set(headlines) == {"study 1, toy", "study 2, toy"}
    assert text.index("Use ") < text.index("study 2, toy") < text.index("No optimizer finished a run")


def test_a_study_that_was_asked_for_is_the_only_one(begun: tuple[Path, Store]) -> None:
    out, store = begun
    store.finish(1, STUDY, "Use adam.")
    Store.begin(out, STUDY)[0].close()
    assert "study 2" not in said("watch", "1", "--out", str(out))


def test_a_study_that_is_about_to_begin_is_waited_for(tmp_path: Path) -> None:
    """Between its place in the store and its lock nobody runs it."""
    store, number = Store.begin(tmp_path, STUDY)
    watching = Watching("--out", str(tmp_path))
    time.sleep(0.5)
    store.finish(number, STUDY, "Use adam.")
    store.close()
    assert watching.end().startswith("study 1, toy: beginning, 0 runs\nstudy 1, toy: finished")


def test_a_study_that_stopped_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BEGINNING", 0.0)
    store, number = Store.begin(tmp_path, STUDY)
    store.add(number, {0: RUN})
    store.advance(number, Progress("tuning, coarse", 4, 0.5))
    store.close()
    assert said("watch", "--out", str(tmp_path)) == "study 1, toy: stopped in tuning, coarse, 50%, 1 run\n"


def test_show_of_no_finished_run_is_one_sentence(begun: tuple[Path, Store]) -> None:
    out, store = begun
    store.advance(1, Progress("tuning, coarse", 4, 0.25))
    text = said("show", "--out", str(out))
    assert re.fullmatch(
        r"No run of study 1 \(toy\) has finished yet; it is running in tuning, coarse, 25% \(process \d+\):"
        rf" watch it with thalweg watch 1 --out {re.escape(str(out))}\.\n",
        text,
    )


def test_show_of_a_study_that_stopped_says_how_to_go_on(tmp_path: Path) -> None:
    Store.begin(tmp_path, STUDY)[0].close()
    assert said("show", "1", "--out", str(tmp_path)) == (
        f"No run of study 1 (toy) has finished yet; it is stopped: go on with thalweg resume 1 --out {tmp_path}.\n"
    )
