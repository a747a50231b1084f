"""Runs a prepared study."""

import time
from contextlib import closing
from dataclasses import replace

from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.verdict import verdict
from thalweg.api.result import REPORT, Result
from thalweg.errors import InputError, Interrupted
from thalweg.population.engine.task import NOWHERE
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.records.events import Concluded, Listener, Planned, stream
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.reports.progress import Display
from thalweg.studies.persistence import Earlier, Storing
from thalweg.studies.preparation import Prepared
from thalweg.studies.study import Study


def run_kept(prepared: Prepared, store: Store, number: int, every: float, told: str, show: Display) -> Result:
    """Runs a stored study. told: how it begins or goes on. If it stops early, finished runs stay and the error says how
    to resume."""
    with closing(store), closing(Lock(folder(store.directory, number), number)):
        storing = Storing(store, number)
        try:
            tell = stream(storing, show)
            tell(Planned(prepared.record, told))
            checkpoints = Checkpoints(storing.folder, every)
            result = run(prepared, tell, Earlier.of(store, number), checkpoints)
            result = replace(result, study=replace(result.study, started=store.study(number).started))
            result.save_report(store.directory / REPORT)
            return result
        except KeyboardInterrupt:
            raise Interrupted(number, len(store.runs(number))) from None
        except InputError as error:
            raise InputError(
                f"{error} Finished runs are kept; resume with {_command(prepared, store, number)}."
            ) from error


def _command(prepared: Prepared, store: Store, number: int) -> str:
    """The command that resumes a study, or the Python call if the user's own objects must be passed again."""
    asked = prepared.record.request
    objects = [] if asked["workload"] else ["workload=…"]
    objects += ["optimizers=[…]"] if any(c["name"] is None for c in asked["contenders"]) else []
    if not objects:
        return f"thalweg resume {number} --out {store.directory}"
    return f"thalweg.resume({str(store.directory)!r}, {number}, {', '.join(objects)}) in Python"


def run(
    prepared: Prepared, tell: Listener, earlier: Earlier | None = None, checkpoints: Checkpoints = NOWHERE
) -> Result:
    """Runs a study and returns its result, whose record has the seconds of work, those of earlier sessions too."""
    began, before = time.monotonic(), earlier.seconds if earlier else 0.0
    study = Study(prepared, tell, earlier, checkpoints)
    study.run()
    record = replace(study.record, seconds=before + time.monotonic() - began)
    rows = leaderboard(record, study.runs)
    result = Result(record, study.runs, rows, verdict(record, rows), lambda *_: prepared)
    tell(Concluded(result.study, result.verdict))
    return result
