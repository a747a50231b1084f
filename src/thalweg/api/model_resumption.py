"""Goes on with a stored study whose result is models, or reads a finished one with its models."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

from thalweg.api.again import again
from thalweg.api.distilling import resume_distillation
from thalweg.api.ensembling import resume_ensemble
from thalweg.api.findings import kind_of, stored_findings
from thalweg.api.model_studies import Session, run_models_kept
from thalweg.api.requirements import require_plain_context
from thalweg.api.sparsify import resume_sparsity
from thalweg.errors import Interrupted, counted
from thalweg.population.engine.task import NOWHERE
from thalweg.records.events import Noted
from thalweg.records.kept_models import models_folder
from thalweg.records.store import Store
from thalweg.reports.progress import display
from thalweg.studies.kept_models import KeptModels
from thalweg.studies.persistence import Earlier
from thalweg.workloads.workload import Workload

KINDS: dict[str, Callable[..., Any]] = {
    "ensemble": resume_ensemble, "distillation": resume_distillation, "sparsity": resume_sparsity,
}  # fmt: skip


def resume_models(store: Store, number: int, workload: Workload | None, every: float, *, progress: bool) -> Any:
    """The result of a stored study of models, after what is left of it. Closes the store.

    A finished one trains nothing: its models are read and scored again, which checks them. Raises `InputError` as
    `resume`.
    """
    with closing(store), closing(display(progress=progress)) as show:
        record, finished = store.study(number), len(store.runs_by_position(number))
        require_plain_context()
        show(Noted("checking the model"))
        try:
            prepared = again(record, workload, None, store.progress(number).seconds)
        except KeyboardInterrupt:
            raise Interrupted(number, finished) from None
        prepared, work, made = KINDS[kind_of(record)](record, prepared)
        if store.verdict(number) is not None:
            kept = KeptModels(models_folder(store.directory, number))
            models = work(Session(show, Earlier.of(store, number), NOWHERE, kept)).models
            return made(stored_findings(store, number), models)
        told = f"study {number}: resuming after {counted(finished, 'finished run')}"
        return made(*run_models_kept(prepared, work, store, number, every, told, show))
