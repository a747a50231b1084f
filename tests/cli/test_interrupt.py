"""Ctrl-C in the middle of a study: what had finished is kept."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

CODE = "from thalweg.cli.main import run; run()"
ARGUMENTS = ("compare", "digits", "--optimizers", "sgd,adam", "--epochs", "6", "--no-progress", "--confirm-seeds", "0")


def finished_runs(path: Path) -> int:
    if not path.exists():
        return 0
    with sqlite3.connect(path) as db:
        try:
            return int(db.execute("SELECT count(*) FROM runs").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def heed_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    """While the first still waits for its step to end: held up here by a model that takes its time."""
    code = (
        "import time; from thalweg.cli.main import run; from thalweg.population.together import _Together;"
        "from thalweg.studies.study import Study; tune = Study._tune;"
        "never = lambda *_: time.sleep(3600);"
        "Study._tune = lambda self: (setattr(_Together, '_train_batch', never), tune(self)); run()"
    )
    command = [sys.executable, "-c", code, *ARGUMENTS]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "coarse" in line:
            break
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    assert "Ctrl-C again leaves at once" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    try:
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_keeps_what_had_finished(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, *ARGUMENTS, "--seeds", "400"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    )
    store = tmp_path / "thalweg-out" / "study.sqlite"
    until = time.monotonic() + 200
    while finished_runs(store) == 0 and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert 0 < finished_runs(store) < 400 * 18
