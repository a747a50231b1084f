"""The lock of a study: one process at a time runs it. The system releases it when the process ends, also by a crash."""

import os
import time
from pathlib import Path
from typing import IO

from thalweg.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: no locking
    fcntl = None  # type: ignore[assignment]


class Lock:
    """Acquired by the constructor, released by `close`. Raises `InputError` if another process holds it."""

    def __init__(self, folder: Path, study: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "lock").open("a+")
        except OSError as error:
            raise InputError(
                f"Cannot write to {folder}: {error.strerror}; free some space or choose another."
            ) from None
        if not _taken_soon(self._file):
            holder = _holder(self._file)
            self._file.close()
            raise InputError(
                f"Study {study} is running already, in process {holder}; see it with thalweg watch {study}."
            )
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def folder(directory: Path, study: int) -> Path:
    """The folder of a study's lock and checkpoints while it is in progress."""
    return directory / "in-progress" / str(study)


def running(folder: Path) -> str | None:
    """The id of the process that runs the study of this folder; `None` if none does."""
    try:
        with (folder / "lock").open("a+") as file:
            return None if _taken(file) else _holder(file)
    except OSError:
        return None


def _taken_soon(file: IO[str]) -> bool:
    """Tries to lock for a second: `running` holds the lock for a moment to test it."""
    for _ in range(10):
        if _taken(file):
            return True
        time.sleep(0.1)
    return False


def _taken(file: IO[str]) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read() or "unknown"
