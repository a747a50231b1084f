"""`resume`: continues a stopped study."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from thalweg.api.result import REPORT, Result, stored
from thalweg.api.running import problem, require_plain_context, run_kept, usable
from thalweg.errors import InputError, Interrupted, counted
from thalweg.options import declared as options
from thalweg.options.calls import by_name
from thalweg.options.comparison import COMPARISON, ComparisonOptions
from thalweg.records.events import Noted
from thalweg.records.store import Store
from thalweg.records.types import StudyRecord
from thalweg.reports.progress import display
from thalweg.rules.contract import Preset
from thalweg.studies import contenders as entries
from thalweg.studies.contenders import Contender
from thalweg.studies.design import describe
from thalweg.studies.preparation import Prepared, prepare_again
from thalweg.studies.settings import as_begun, changed
from thalweg.studies.settings import design as design_of
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload


@by_name("resume")
def resume(
    out: str | Path,
    study: int | None = None,
    *,
    workload: Workload | None = None,
    optimizers: Sequence[str | Preset | Contender] | None = None,
    checkpoint_every: float | str = 60.0,
    progress: bool = True,
) -> Result:
    """Continues a study that was stopped by Ctrl-C, a crash or a power cut; a finished one is only read.

    The result is that of an uninterrupted study, bitwise on the same machine and versions.

    Args:
        out: the directory of the study.
        study: its id; `None` for the newest.
        workload: the one passed to `compare`, unless it was the name of a built-in one.
        optimizers: those passed to `compare`, if one of them is a rule of your own.
        checkpoint_every: training time lost in a crash at most, in seconds or as `"5min"`.
        progress: whether to show progress on standard error.

    Raises:
        InputError: no such study; it is running already; or its workload, its optimizers or the protocol changed.
    """
    every, directory = COMPARISON["checkpoint_every"].check(checkpoint_every), options.STORE.check(out)
    shows, number = COMPARISON["progress"].check(progress), options.STUDY.check(study)
    store = Store(directory)
    number = store.latest() if number is None else number
    if store.verdict(number) is not None:
        store.close()
        result = stored(directory, number)
        result.save_report(directory / REPORT)
        return result
    with closing(store), closing(display(progress=shows)) as show:
        record = store.study(number)
        given = None if optimizers is None else entries.contenders(optimizers)
        require_plain_context()
        show(Noted("checking the model"))  # of a large one this takes a while
        finished = len(store.runs_by_position(number))
        try:
            prepared = _again(record, workload, given, store.progress(number).seconds)
        except KeyboardInterrupt:
            raise Interrupted(number, finished) from None
        told = f"study {number}: {counted(finished, 'run')} had finished; going on"
        return run_kept(prepared, store, number, every, told, show)


def _again(
    record: StudyRecord, workload: Workload | None, contenders: Sequence[Contender] | None, spent: float
) -> Prepared:
    if not record.request:
        raise InputError("The study was begun by an earlier Thalweg and cannot go on; begin it anew.")
    if workload is None and record.request.get("workload") is None:
        raise InputError(
            f"The workload {record.workload!r} is your own: go on with thalweg.resume(out, workload=…) in Python."
        )
    asked = ComparisonOptions.restored(record.request)
    device = usable(asked.device)
    whole = load(record.request["workload"], asked.data_dir) if workload is None else workload
    whole = as_begun(problem(whole, asked.epochs, asked.steps), record)
    chosen = design_of(record, contenders)
    prepared = prepare_again(record, chosen, whole, device, spent)
    now = describe(chosen, whole, prepared.planned)
    notes = tuple(dict.fromkeys((*record.notes, *changed(record, now))))
    return replace(prepared, record=replace(record, notes=notes, factors={**now.factors, **record.factors}))
