"""Runs studies whose result is models: in memory, or kept in a store with their weights, and resumed."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thalweg.api.findings import Findings
from thalweg.api.result import REPORT
from thalweg.errors import InputError, Interrupted
from thalweg.population.engine.task import NOWHERE
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.records.events import Concluded, Listener, Planned, stream
from thalweg.records.kept_models import models_folder
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.records.types import RunRecord
from thalweg.reports.progress import Display
from thalweg.studies.kept_models import KeptModels
from thalweg.studies.persistence import Earlier, Storing
from thalweg.studies.preparation import Prepared
from thalweg.workloads.user_files import absolute


@dataclass(frozen=True)
class Session:
    """What the work of a study is given: who is told, what earlier sessions left, where models are kept."""

    tell: Listener
    earlier: Earlier
    checkpoints: Checkpoints
    kept: KeptModels


@dataclass(frozen=True)
class Worked:
    """What came of it. models: whatever the caller makes of the models. plan: what is added to the record's."""

    runs: Sequence[RunRecord]
    found: dict[str, Any]
    verdict: str
    models: Any
    plan: Mapping[str, Any] = field(default_factory=dict)


Work = Callable[[Session], Worked]


def stored_request(kind: str, workload: Any, asked: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What a study's request holds beside its design: its kind, where its workload is, and options by name."""
    options = {n: str(v.absolute()) if isinstance(v := asked[n], Path) else v for n in names}
    place = absolute(workload) if isinstance(workload, str) else None
    return {**options, "kind": kind, "workload": place, "budget": None}


def carry_out_study(
    prepared: Prepared, work: Work, out: Path | None, every: float, show: Display
) -> tuple[Findings, Any]:
    """Runs a new study, stored in `out` if there is one: (its findings, its models)."""
    if out is None:
        return run_models(prepared, work, show)
    store, number = Store.begin(out, prepared.record)
    return run_models_kept(prepared, work, store, number, every, prepared.told, show)


def run_models(prepared: Prepared, work: Work, show: Display) -> tuple[Findings, Any]:
    """Runs a study that is not stored: (its findings, its models)."""
    show(Planned(prepared.record, prepared.told))
    return _run(prepared, work, Session(show, Earlier(), NOWHERE, KeptModels(None)))


def run_models_kept(
    prepared: Prepared, work: Work, store: Store, number: int, every: float, told: str, show: Display
) -> tuple[Findings, Any]:
    """Runs a stored study: (its findings, its models). What finished before an error or Ctrl-C is kept."""
    place = models_folder(store.directory, number)
    with closing(store), closing(Lock(folder(store.directory, number), number)):
        storing = Storing(store, number)
        try:
            tell = stream(storing, show)
            tell(Planned(prepared.record, told))
            checkpoints = Checkpoints(storing.folder, every)
            session = Session(tell, Earlier.of(store, number), checkpoints, KeptModels(place))
            result, models = _run(prepared, work, session)
            result = replace(result, study=replace(result.study, started=store.study(number).started))
            result.save_report(store.directory / REPORT)
            return result, models
        except KeyboardInterrupt:
            raise Interrupted(number, len(store.runs(number))) from None
        except InputError as error:
            kept = f"Finished runs are kept; resume with thalweg resume {number} --out {store.directory}."
            raise InputError(f"{error} {kept}") from error


def _run(prepared: Prepared, work: Work, session: Session) -> tuple[Findings, Any]:
    began = time.monotonic()
    worked = work(session)
    seconds = session.earlier.seconds + time.monotonic() - began
    record = replace(
        prepared.record, seconds=seconds, findings=worked.found, plan={**prepared.record.plan, **worked.plan}
    )
    session.tell(Concluded(record, worked.verdict))
    return Findings(record, worked.runs, worked.verdict), worked.models
