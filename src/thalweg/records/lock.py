"""The lock of a study: one process at a time runs it. The system releases it when the process ends, also by a crash."""

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from thalweg.errors import InputError

PATIENCE = 1.0  # seconds for which a lock is tried: `running` holds it for a moment to test it


class Lock:
    """Acquired by the constructor, released by `close`. Raises `InputError` if another process holds it."""

    def __init__(self, folder: Path, study: int) -> None:
        self._lock = FileLock(folder / "lock", PATIENCE, thread_local=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(poll_interval=0.1)
            (folder / "process").write_text(str(os.getpid()))
        except Timeout:
            raise InputError(
                f"Study {study} is running already, in process {_holder(folder)}; see it with thalweg watch {study}."
            ) from None
        except OSError as error:
            self.close()
            raise InputError(
                f"Cannot write to {folder}: {error.strerror}; free some space or choose another."
            ) from None

    def close(self) -> None:
        self._lock.release()


def folder(directory: Path, study: int) -> Path:
    """The folder of a study's lock and checkpoints while it is in progress."""
    return directory / "in-progress" / str(study)


def running(folder: Path) -> str | None:
    """The id of the process that runs the study of this folder; `None` if none does."""
    if not (folder / "lock").exists():
        return None
    try:
        with FileLock(folder / "lock", 0):
            return None
    except Timeout:
        return _holder(folder)
    except OSError:  # a lock in a read-only folder cannot be tested
        return None


def _holder(folder: Path) -> str:
    with suppress(OSError):
        return (folder / "process").read_text() or "unknown"
    return "unknown"
