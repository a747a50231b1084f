"""A running study's store: what it holds of earlier sessions, and the listener that writes to it."""

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thalweg.analysis.leaders import Leaders
from thalweg.analysis.time_left import Foreseen, Outlook
from thalweg.errors import InputError
from thalweg.records.events import (
    Afforded,
    Chosen,
    Concluded,
    Event,
    Finished,
    Measured,
    Planned,
    StageBegan,
    StageProgress,
)
from thalweg.records.lock import folder
from thalweg.records.store import Store
from thalweg.records.types import Progress, RunRecord

NO_STAGE = StageBegan("", 0, 0, 1)
HEARTBEAT = 2.0  # seconds between progress updates in the store
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """What earlier sessions of a study left, from which it goes on.

    done: finished runs, by position. answers: those of the budget's clock. seconds: of work.
    """

    done: Mapping[int, RunRecord] = field(default_factory=dict)
    answers: Sequence[int] = ()
    seconds: float = 0.0

    @classmethod
    def of(cls, store: Store, study: int) -> "Earlier":
        return cls(store.runs_by_position(study), store.clock_log(study), store.progress(study).seconds)


class Storing:
    """The listener that keeps a study in its store. Raises `InputError` where that cannot be written."""

    def __init__(self, store: Store, study: int) -> None:
        self._store, self._study = store, study
        self._before, self._began = store.progress(study).seconds, time.monotonic()
        self._stage, self._written = StageProgress(NO_STAGE), 0.0
        record = store.study(study)
        self._leaders, self._outlook = Leaders(record), Outlook(Foreseen.of(record))

    @property
    def folder(self) -> Path:
        """The folder of its checkpoints, which is removed once the study has ended."""
        return folder(self._store.directory, self._study)

    def __call__(self, event: Event) -> None:
        self._leaders.follow(event)
        self._outlook.follow(event, time.monotonic())
        match event:
            case Planned():
                self._store.note(self._study, event.record)
            case StageBegan():
                self._stage = StageProgress(event)
                self._write_progress()
            case Measured():
                self._follow(event)
            case Finished():
                if not event.earlier:
                    self._store.add(self._study, event.runs)
                    logger.debug("%d runs kept", len(event.runs))
                self._follow(event, at_once=event.earlier)
            case Chosen():
                self._store.select(self._study, event.selection)
            case Afforded():
                self._store.log_clock(self._study, event.answers)
            case Concluded():
                self._conclude(event)

    def _follow(self, event: Measured | Finished, *, at_once: bool = False) -> None:
        self._stage.follow(event)
        if at_once or time.monotonic() - self._written >= HEARTBEAT:
            self._write_progress()

    def _write_progress(self, seconds: float | None = None) -> None:
        """seconds: of work, where they are known: by the clock otherwise."""
        self._written, began = time.monotonic(), self._stage.began
        seconds = self._before + self._written - self._began if seconds is None else seconds
        leaders = self._leaders.best()
        progress = Progress(
            began.name,
            began.runs,
            self._stage.done,
            seconds,
            began.first,
            self._outlook.done,
            self._outlook.total,
            self._outlook.left(self._written),
            leaders if leaders and leaders[0].kind == "training" else (),
        )
        with suppress(InputError):  # a failed progress update must not end the study
            self._store.advance(self._study, progress)

    def _conclude(self, event: Concluded) -> None:
        self._stage = StageProgress(NO_STAGE)
        self._write_progress(event.record.seconds)
        self._store.finish(self._study, event.record, event.verdict)
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()  # succeeds only if no other study is in progress


def plain(value: Any) -> Any:
    """A mapping after a JSON round trip, as the store returns it: tuples become lists."""
    return json.loads(json.dumps(dict(value), default=repr))
