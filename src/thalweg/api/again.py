"""A stored study's problem and design, found again."""

from collections.abc import Sequence
from dataclasses import replace

from thalweg.api.requirements import problem, usable
from thalweg.errors import InputError
from thalweg.options.comparison import ComparisonOptions
from thalweg.records.types import StudyRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.design import describe
from thalweg.studies.preparation import Prepared, prepare_again
from thalweg.studies.settings import as_begun, changed
from thalweg.studies.settings import design as design_of
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload


def again(
    record: StudyRecord, workload: Workload | None, contenders: Sequence[Contender] | None, spent: float
) -> Prepared:
    """A stored study, prepared as it was. Raises `InputError` where its problem cannot be found or has changed."""
    if not record.request:
        raise InputError("The study was begun by an earlier Thalweg and cannot go on; begin it anew.")
    if workload is None and record.request.get("workload") is None:
        raise InputError(
            f"The workload {record.workload!r} is your own: pass it in Python, as workload=… of thalweg.resume or"
            " best.train."
        )
    asked = ComparisonOptions.restored(record.request)
    device = usable(asked.device)
    whole = load(record.request["workload"], asked.data_dir) if workload is None else workload
    whole = as_begun(problem(whole, asked.epochs, asked.steps, asked.batch_size, asked.initial, asked.freeze), record)
    chosen = design_of(record, contenders)
    prepared = prepare_again(record, chosen, whole, device, spent)
    now = describe(chosen, whole, prepared.jobs)
    notes = tuple(dict.fromkeys((*record.notes, *changed(record, now))))
    return replace(prepared, record=replace(record, notes=notes, factors={**now.factors, **record.factors}))
