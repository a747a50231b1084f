"""`ensemble`: trains several models of one setting at once, and says what they are worth together."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from thalweg.analysis.ensembles import ensemble_verdict
from thalweg.api.ensemble import Ensemble
from thalweg.api.findings import Findings
from thalweg.api.model_studies import Session, Work, Worked, carry_out_study, stored_request
from thalweg.api.requirements import problem, require_plain_context, usable
from thalweg.errors import InputError
from thalweg.options.calls import by_name
from thalweg.options.ensembling import ENSEMBLE, EnsembleSettings, checked
from thalweg.records.events import Noted
from thalweg.records.place import require_writable
from thalweg.records.types import StudyRecord
from thalweg.reports.progress import display
from thalweg.rules.contract import Preset
from thalweg.studies.answers import require_combinable
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design
from thalweg.studies.ensembling import findings, models_of, snapshot_steps, train_members, with_models
from thalweg.studies.one_contender import one_contender
from thalweg.studies.preparation import Prepared, prepare
from thalweg.studies.settings import request
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload

KIND = "ensemble"


@by_name("ensemble")
def ensemble(
    workload: Workload | str,
    members: int = 10,
    *,
    optimizer: str | Preset | Contender | Callable[..., Any] = "adam",
    learning_rate: float | None = None,
    schedule: Any = None,
    snapshots: bool = False,
    average: str = "probabilities",
    save: str | Path | None = None,
    convention: str = "torch",
    base_seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    clip_norm: float | None = None,
    memory: float | str | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    tag: str | None = None,
    checkpoint_every: float | str = 60.0,
) -> Ensemble:
    """Trains models of one setting from several seeds as one population, and scores them alone and together.

    The score is the workload's metric on the test split, or on the validation split where there is none.

    Args:
        workload: as `compare` takes it, with a loss of outputs and targets.
        members: number of models, 2 to 1,000, of the seeds `base_seed`, `base_seed + 1`, …
        optimizer: its name, with hyperparameters such as `"sgd(momentum=0.9)"`, or as `compare` takes one.
        learning_rate: in place of the published default.
        schedule: how the rate changes in a run, as `compare` takes it.
        snapshots: whether the members come from one run instead (Huang et al. 2017, arXiv:1704.00109): its rate falls
            from `learning_rate` to 0 along a cosine `members` times, and a model is taken at the end of each cycle.
            The mean of their weights (stochastic weight averaging) and a greedy soup of them are scored, too, with
            batch norm's statistics computed anew.
        average: `"probabilities"` or `"logits"`: what is averaged over members. Outputs that are no scores of classes
            are averaged as they are.
        save: a directory for the models, as `Ensemble.save` writes them.
        base_seed: the first seed.
        convention, epochs, steps, batch_size, clip_norm, memory, progress: as `compare` takes them.
        out: a directory to which the study is stored with its models, so that `resume` goes on with it; `None` stores
            nothing.
        device, data_dir, tag, checkpoint_every: as `compare` takes them.

    Raises:
        InputError: invalid input, in one sentence; a workload whose outputs cannot be averaged; or fewer than two
            models that trained to their end.
    """
    given = locals()
    asked = checked(ENSEMBLE, given)
    require_writable(asked["out"])
    require_writable(asked["save"])
    if asked["snapshots"] and schedule is not None:
        raise InputError("snapshots have a cyclic schedule of their own: leave schedule out.")
    cyclic = f"cosine_restarts(cycles={asked['members']})" if asked["snapshots"] else schedule
    contender = one_contender(optimizer, learning_rate, cyclic, asked["convention"])
    number = 1 if asked["snapshots"] else asked["members"]
    design = Design([contender], None, number, 0, asked["base_seed"], clip_norm=asked["clip_norm"])
    where = usable(asked["device"])
    whole = load(workload, asked["data_dir"]) if isinstance(workload, str) else workload
    trained = problem(whole, asked["epochs"], asked["steps"], asked["batch_size"])
    require_combinable(trained)
    require_plain_context()
    names = ("epochs", "steps", "batch_size", "memory", "device", "data_dir", "tag", "members", "snapshots", "average")
    stored = stored_request(KIND, workload, asked, names)
    with closing(display(progress=asked["progress"])) as show:
        show(Noted("checking the model"))
        prepared = prepare(design, trained, where, budget=None, memory=asked["memory"])
        prepared = replace(prepared, record=replace(prepared.record, request=request(prepared.design, **stored)))
        settings, prepared = _settled(prepared)
        work = _work(prepared, settings)
        found = carry_out_study(prepared, work, asked["out"], asked["checkpoint_every"], show)
    result = _ensemble(prepared, settings, *found)
    if asked["save"] is not None:
        result.save(asked["save"])
    return result


def _settled(prepared: Prepared) -> tuple[EnsembleSettings, Prepared]:
    """(the settings of the study's request, the study with jobs that return weights)."""
    asked = prepared.record.request
    settings = EnsembleSettings(asked["members"], asked["snapshots"], asked["average"])
    steps = prepared.planned.job.workload.total_steps
    return settings, with_models(prepared, snapshot_steps(settings.members, steps) if settings.snapshots else ())


def _work(prepared: Prepared, settings: EnsembleSettings) -> Work:
    def work(session: Session) -> Worked:
        runs = train_members(prepared, session.tell, session.earlier.done, session.checkpoints, session.kept)
        session.tell(Noted("scoring the models, alone and together"))
        with torch.no_grad():
            models = models_of(prepared.planned.job, runs, session.kept)
            found = findings(prepared, runs, models, settings)
        return Worked(runs, found, ensemble_verdict(prepared.record, found), tuple(models))

    return work


def _ensemble(prepared: Prepared, settings: EnsembleSettings, found: Findings, models: Any) -> Ensemble:
    return Ensemble(models, settings.average, prepared.planned.job, findings=found)


def resume_ensemble(record: StudyRecord, prepared: Prepared) -> tuple[Prepared, Work, Callable[..., Ensemble]]:
    """What goes on with a stored ensemble that `again` prepared: the study, its work, and what makes its result."""
    settings, prepared = _settled(prepared)
    return prepared, _work(prepared, settings), lambda found, models: _ensemble(prepared, settings, found, models)
