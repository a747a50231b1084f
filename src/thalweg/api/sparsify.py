"""`sparsify`: accuracy against sparsity, for several ways to make a model sparse."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from thalweg.api.requirements import problem, require_plain_context, usable
from thalweg.api.sparsity_result import SparsityStudy
from thalweg.errors import InputError
from thalweg.options.calls import by_name
from thalweg.options.sparsify import DEFAULT_METHODS, SPARSIFY, SPARSITIES, STRENGTHS
from thalweg.population.planning.planned_job import PlannedJob, plan_as_recorded, plan_job
from thalweg.records.events import Noted
from thalweg.records.lock import Lock
from thalweg.records.sparsity import SparsityRecord, SparsityStore, kept_in
from thalweg.reports.progress import display
from thalweg.studies import sparse_design
from thalweg.studies.contender_notes import own_content
from thalweg.studies.contenders import Contender
from thalweg.studies.jobs import with_arguments
from thalweg.studies.parsing import split
from thalweg.studies.preparation import EARNED
from thalweg.studies.protocol import PROTOCOL, tuning_seeds
from thalweg.studies.settings import TRAINING
from thalweg.studies.sparse_design import SparseDesign
from thalweg.studies.sparsifying import Sparsifying
from thalweg.workloads.catalogue import load
from thalweg.workloads.content import content
from thalweg.workloads.workload import Workload


@by_name("sparsify")
def sparsify(
    workload: Workload | str,
    *,
    method: str | Sequence[str] = DEFAULT_METHODS,
    sparsity: float | str | Sequence[float] = SPARSITIES,
    optimizer: str | Contender | Callable[..., Any] = "adam",
    learning_rate: float | None = None,
    schedule: str = "cubic",
    scope: str = "global",
    exclude: str | Sequence[str] | None = None,
    begin: int | None = None,
    end: int | None = None,
    frequency: int | None = None,
    l1: float | Sequence[float] = STRENGTHS,
    seeds: int = 5,
    base_seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    memory: float | str | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
) -> SparsityStudy:
    """Measures accuracy against sparsity, for several methods, with intervals over seeds.

    All models of a seed begin with the same weights, see the same batches and train equally long, as the dense ones of
    which they are compared to: all methods train in one population. Parameters of two dimensions and more are pruned.

    Args:
        workload: as `compare` takes it.
        method: some of `"threshold"`: the smallest weights of a dense model are set to zero after its training;
            `"prune"`: the smallest, in training, as `schedule` says; `"random"`: random ones in their place, a control;
            `"l1"`: a strong penalty, by proximal steps, then the smallest that are left; `"ticket"`: the dense model's
            largest weights train again from their initial values (Frankle & Carbin 2019, arXiv:1803.03635, one-shot).
        sparsity: shares of the prunable weights that are zero in the end, in (0, 1).
        optimizer: of the catalogue, as `compare` takes it. learning_rate: by default its published one.
        schedule, scope, exclude: as `thalweg.sparse.Pruner` takes them.
        begin, end, frequency: its steps; by default from a quarter to three quarters of a run, in 50 updates.
        l1: strengths of the penalty. For each sparsity the one with the best mean validation metric is shown.
        seeds: models of each kind, with seeds `base_seed`, `base_seed + 1`, …: 1 to 1,000.
        base_seed, epochs, steps, memory, progress, device, data_dir: as `compare` takes them.
        out: a directory in which finished models are kept: the same call goes on where it was interrupted.

    Raises:
        InputError: invalid input, in one sentence; or a model that cannot be trained.
    """
    given = locals()
    given["optimizer"] = "adam" if not isinstance(optimizer, str) else optimizer  # others are read as contenders
    for name in ("method", "sparsity", "l1", "exclude"):
        given[name] = _several(given[name])
    asked = {name: option.check(given[name]) for name, option in SPARSIFY.items()}
    contender = optimizer if isinstance(optimizer, Contender) else Contender(optimizer)
    sparse_design.require_prunable(contender, asked["method"])
    sparse_design.require_sparsities(asked["scope"], asked["sparsity"])
    where = usable(asked["device"])
    whole = load(workload, asked["data_dir"]) if isinstance(workload, str) else workload
    trained = with_arguments(problem(whole, asked["epochs"], asked["steps"]), dict(contender.arguments))
    require_plain_context()
    design = _design(asked, contender, trained)
    with closing(display(progress=asked["progress"])) as show:
        show(Noted("checking the model"))
        planned = _planned(design, trained, where, asked["memory"])
        record = _record(design, planned, asked)
        with ExitStack() as stack:
            store = _kept(record, planned, asked["out"], stack)
            if store is not None:
                record = store.record
                planned = planned if store.fresh else _again(record, planned, trained, where)
                show(Noted(f"{'kept in' if store.fresh else 'going on with'} {store.path}"))
            runs = Sparsifying(design, planned, store, show).run()
            result = SparsityStudy(record, tuple(runs), None if store is None else store.path)
            if store is not None:
                result.save_report(store.path / "report.html")
                store.finish()
    return result


def _several(value: Any) -> Any:
    """A list of the values of a text with commas, or of a single number."""
    if isinstance(value, str):
        return split(value)
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def _design(asked: dict[str, Any], contender: Contender, workload: Workload) -> SparseDesign:
    rate = contender.recipe.rate
    configuration = dict(contender.fixed)
    if asked["learning_rate"] is not None:
        if rate is None or rate in configuration:
            why = "has no learning rate" if rate is None else "sets its learning rate itself"
            raise InputError(f"{contender.label} {why}: leave learning_rate out.")
        configuration[rate] = asked["learning_rate"]
    elif rate is not None and rate not in configuration:
        configuration |= contender.default_rate
    times = sparse_design.steps_of(workload.total_steps, asked["begin"], asked["end"], asked["frequency"])
    return SparseDesign(
        contender,
        configuration,
        tuple(dict.fromkeys(asked["method"])),
        tuple(sorted(set(asked["sparsity"]))),
        tuple(sorted(set(asked["l1"]))),
        tuning_seeds(asked["base_seed"], asked["seeds"]),
        asked["scope"],
        tuple(asked["exclude"] or ()),
        asked["schedule"],
        *times,
    )


def _planned(design: SparseDesign, workload: Workload, device: torch.device, memory: float | None) -> PlannedJob:
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    steps = (len(design.trained) + len(design.tickets)) * len(design.seeds) * workload.total_steps
    limit = None if memory is None else int(memory)
    copies = design.contender.copies + 1  # the mask
    return plan_job(
        workload.to(device), design.seeds[0], device=device, workers=workers, memory=limit, copies=copies,
        native=steps >= EARNED,
    )  # fmt: skip


def _record(design: SparseDesign, planned: PlannedJob, asked: dict[str, Any]) -> SparsityRecord:
    workload = planned.job.workload
    own = {"out", "progress", "memory", "data_dir", "optimizer"}
    request = {name: value for name, value in asked.items() if name not in own}
    request |= {
        "workload": workload.name, "optimizer": design.contender.label,
        "content": {**content(workload, planned.job.content), **own_content([design.contender])},
        **{name: getattr(workload, name) for name in TRAINING}, "protocol": PROTOCOL,
        "configuration": {name: repr(value) for name, value in design.configuration.items()},
        "total_steps": workload.total_steps, "measured": workload.measuring_interval,
    }  # fmt: skip
    notes = [*planned.job.notes]
    if planned.plan.reason:
        notes.append(f"Trained by the plain loop, one model after the other: {planned.plan.reason}.")
    return SparsityRecord(
        workload.name, workload.metric.name, workload.metric.maximized, design.contender.label, workload.total_steps,
        design.seeds, design.methods, design.sparsities, workload.test is not None, request, planned.plan.describe(),
        tuple(notes),
    )  # fmt: skip


def _kept(record: SparsityRecord, planned: PlannedJob, out: Path | None, stack: ExitStack) -> SparsityStore | None:
    """The store of the study, locked until the stack ends; `None` without a directory."""
    if out is None:
        return None
    store = kept_in(out, record)
    stack.enter_context(closing(Lock(store.path, store.number)))
    return store


def _again(record: SparsityRecord, planned: PlannedJob, workload: Workload, device: torch.device) -> PlannedJob:
    """The plan by which the study began, so that what is left trains bitwise as it would have."""
    if record.plan == planned.plan.describe():
        return planned
    again = plan_as_recorded(
        workload.to(device), record.seeds[0], record.plan, device=device, copies=planned.job.copies
    )
    return replace(again, models=None)
