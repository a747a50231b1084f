"""Ctrl-C in the middle of a study: what had finished is kept."""

import signal
import sqlite3
import time
from pathlib import Path
from threading import Timer
from typing import Any

from cli_process import Program
from thalweg.population.training.vectorized import Vectorized
from thalweg.studies.study import Study

ARGUMENTS = ("compare", "digits", "--optimizers", "sgd,adam", "--epochs", "6", "--no-progress", "--confirm-seeds", "0")


def finished_runs(path: Path) -> int:
    if not path.exists():
        return 0
    with sqlite3.connect(path) as db:
        try:
            return int(db.execute("SELECT count(*) FROM runs").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def steps_that_never_end() -> None:
    """Once the plan is made, and what it measures."""
    tune = Study._tune

    def tuned(study: Study) -> Any:
        Vectorized._step = lambda *_: time.sleep(3600)  # type: ignore[assignment,method-assign]
        return tune(study)

    Study._tune = tuned  # type: ignore[method-assign]


def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    """While the first still waits for its step to end."""
    program = Program(*ARGUMENTS, cwd=tmp_path, before=steps_that_never_end)
    while "coarse" not in program.errors.readline():
        pass
    time.sleep(1)
    program.send(signal.SIGINT)
    assert "press Ctrl-C again to quit at once" in program.errors.readline()
    program.send(signal.SIGINT)
    again = Timer(15, program.send, (signal.SIGINT,))  # a busy machine may lose one between two threads
    again.start()
    status = program.end(60).status
    again.cancel()
    assert status == 130


def test_ctrl_c_keeps_what_had_finished(tmp_path: Path) -> None:
    program = Program(*ARGUMENTS, "--seeds", "400", cwd=tmp_path)
    store = tmp_path / "thalweg-out" / "study.sqlite"
    until = time.monotonic() + 200
    while finished_runs(store) == 0 and time.monotonic() < until:
        time.sleep(0.1)
    program.send(signal.SIGINT)
    status, _, errors = program.end(60)
    assert status == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert 0 < finished_runs(store) < 400 * 18
