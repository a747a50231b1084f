"""One process at a time runs a study; one that was killed holds nothing; what cannot be written is told."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import thalweg
from thalweg.records.lock import Lock, folder, running

HOLDING = """
import sys, time
from pathlib import Path
from thalweg.records.lock import Lock
lock = Lock(Path(sys.argv[1]), 3)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of study 3."""
    place = folder(tmp_path, 3)
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(place)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_which_runs_the_study(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    place, began = folder(tmp_path, 3), time.monotonic()
    assert running(place) == str(holder.pid)
    sentence = rf"^Study 3 is running already, in process {holder.pid}; see it with thalweg watch 3\.$"
    with pytest.raises(thalweg.InputError, match=sentence):
        Lock(place, 3)
    assert time.monotonic() - began < 10
    assert running(place) == str(holder.pid), "whoever asks does not make the lock its own"


def test_a_killed_process_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    place = folder(tmp_path, 3)
    assert running(place) is None
    lock = Lock(place, 3)
    assert running(place) == str(os.getpid())
    lock.close()
    assert running(place) is None


def test_nobody_runs_a_study_without_a_folder(tmp_path: Path) -> None:
    assert running(folder(tmp_path, 1)) is None
    assert not folder(tmp_path, 1).exists(), "asking leaves nothing"


def test_asking_does_not_stop_a_study_that_begins(tmp_path: Path) -> None:
    """`running` holds the lock for a moment; a study waits for it."""
    place, stop = folder(tmp_path, 1), threading.Event()
    Lock(place, 1).close()

    def ask() -> None:
        while not stop.is_set():
            running(place)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(5):
            Lock(place, 1).close()
    finally:
        stop.set()
        asking.join()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "in-progress").write_text("")
    with pytest.raises(thalweg.InputError, match=r"^Cannot write to .*1: Not a directory; free some space or choose"):
        Lock(folder(tmp_path, 1), 1)
    assert running(folder(tmp_path, 1)) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    place = folder(tmp_path, 1)
    place.mkdir(parents=True)
    place.chmod(0o500)
    try:
        with pytest.raises(thalweg.InputError, match=r"^Cannot write to .*1: Permission denied; free some space"):
            Lock(place, 1)
        assert running(place) is None
    finally:
        place.chmod(0o700)


def test_a_process_that_cannot_be_noted_gives_the_lock_back(tmp_path: Path) -> None:
    place = folder(tmp_path, 1)
    (place / "process").mkdir(parents=True)
    with pytest.raises(thalweg.InputError, match="Cannot write to"):
        Lock(place, 1)
    assert running(place) is None
    (place / "process").rmdir()
    Lock(place, 1).close()
