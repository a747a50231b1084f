"""Persists a running study's progress: in memory only, or in a store."""

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from thalweg.errors import InputError
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.records.lock import folder
from thalweg.records.store import Store
from thalweg.records.types import Progress, RunRecord, StudyRecord

HEARTBEAT = 2.0  # seconds between progress updates in the store
logger = logging.getLogger(__name__)


class Keeping(Protocol):
    """Storage interface of a running study, from which it can be resumed.

    done: runs finished in earlier sessions, by index in the study's sequence of runs. clock_log: recorded answers of
    `Clock.affords`. spent: seconds of work in earlier sessions.
    """

    done: Mapping[int, RunRecord]
    clock_log: Sequence[int]
    spent: float

    def keep(self, runs: Mapping[int, RunRecord]) -> None: ...

    def select(self, selection: Mapping[str, Any]) -> None: ...

    def log_clock(self, answers: Sequence[int]) -> None: ...

    def advance(self, stage: str, runs: int, done: float) -> None: ...

    def checkpoints(self, first: int) -> Checkpoints: ...

    def finish(self, record: StudyRecord, verdict: str) -> None: ...


class InMemory:
    """Stores nothing: the study exists in memory only."""

    done: Mapping[int, RunRecord] = {}
    clock_log: Sequence[int] = ()
    spent = 0.0

    def keep(self, runs: Mapping[int, RunRecord]) -> None:
        pass

    def select(self, selection: Mapping[str, Any]) -> None:
        pass

    def log_clock(self, answers: Sequence[int]) -> None:
        pass

    def advance(self, stage: str, runs: int, done: float) -> None:
        pass

    def checkpoints(self, first: int) -> Checkpoints:
        return Checkpoints()

    def finish(self, record: StudyRecord, verdict: str) -> None:
        pass


class Stored:
    """Writes a study to a store. every: seconds between checkpoints, above 0."""

    def __init__(self, store: Store, study: int, every: float) -> None:
        self._store, self._study, self._every = store, study, every
        self.done: Mapping[int, RunRecord] = store.runs_by_position(study)
        self.clock_log: Sequence[int] = store.clock_log(study)
        self._progress = store.progress(study)
        self.spent = self._progress.seconds
        self._began, self._told = time.monotonic(), 0.0
        self._folder = folder(store.directory, study)

    def keep(self, runs: Mapping[int, RunRecord]) -> None:
        """Adds finished runs to the store. Raises `InputError` where they cannot be written."""
        self._store.add(self._study, runs)
        logger.debug("%d runs kept", len(runs))

    def select(self, selection: Mapping[str, Any]) -> None:
        self._store.select(self._study, selection)

    def log_clock(self, answers: Sequence[int]) -> None:
        self._store.log_clock(self._study, answers)

    def advance(self, stage: str, runs: int, done: float) -> None:
        """Writes the progress, at most once per `HEARTBEAT` within a stage."""
        now = time.monotonic()
        if stage != self._progress.stage or now - self._told >= HEARTBEAT:
            self._progress, self._told = Progress(stage, runs, done, self.spent + now - self._began), now
            with suppress(InputError):  # a failed progress update must not end the study
                self._store.advance(self._study, self._progress)

    def checkpoints(self, first: int) -> Checkpoints:
        return Checkpoints(self._folder, self._every, first)

    def finish(self, record: StudyRecord, verdict: str) -> None:
        self._told = 0.0
        self.advance("", 0, 1.0)
        self._store.finish(self._study, record, verdict)
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            self._folder.parent.rmdir()  # succeeds only if no other study is in progress


def plain(value: Any) -> Any:
    """A mapping after a JSON round trip, as the store returns it: tuples become lists."""
    return json.loads(json.dumps(dict(value), default=repr))
