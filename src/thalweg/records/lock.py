"""Who works on a study: one program at a time, known by a lock that ends with its process, however that ends."""

import os
import time
from pathlib import Path
from typing import IO

from thalweg.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: without locks
    fcntl = None  # type: ignore[assignment]


class Lock:
    """Held from its making until `close`. Raises `InputError` where another program holds it."""

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
    """Where a study keeps its lock and its checkpoints while it is in progress."""
    return directory / "in-progress" / str(study)


def running(folder: Path) -> str | None:
    """The process that works on the study of this folder; `None` where none does."""
    try:
        with (folder / "lock").open("a+") as file:
            return None if _taken(file) else _holder(file)
    except OSError:
        return None


def _taken_soon(file: IO[str]) -> bool:
    """Whether it is had within a second: who only looks whether a study is running holds it for a moment."""
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
