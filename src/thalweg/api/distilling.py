"""`distill`: students trained on a teacher's softened probabilities, beside the same students trained on labels."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from thalweg.analysis.distillations import distillation_verdict
from thalweg.api.distillation_result import Distillation
from thalweg.api.findings import Findings
from thalweg.api.given_teachers import as_text, given_content, teacher_models, transfer_samples
from thalweg.api.model_studies import Session, Work, Worked, carry_out_study, stored_request
from thalweg.api.requirements import problem, require_plain_context, usable
from thalweg.errors import InputError, counted
from thalweg.options.calls import by_name
from thalweg.options.ensembling import DISTILLATION, checked
from thalweg.records.events import Noted
from thalweg.records.place import require_writable
from thalweg.records.types import StudyRecord
from thalweg.reports.progress import display
from thalweg.rules.contract import Preset
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design
from thalweg.studies.distilled import require_distillable, taught_split, with_few_labels, with_transfer
from thalweg.studies.distilling import (
    DISTILLED,
    PLAIN,
    TEACHER,
    DistillationSettings,
    Trainers,
    as_contenders,
    run_distillation,
    softened,
)
from thalweg.studies.ensembling import with_models
from thalweg.studies.one_contender import one_contender
from thalweg.studies.preparation import Prepared, prepare
from thalweg.studies.settings import request
from thalweg.studies.student_models import student_factory
from thalweg.workloads.catalogue import load
from thalweg.workloads.user_files import absolute, is_place
from thalweg.workloads.workload import Workload

KIND = "distillation"
STORED = ("epochs", "steps", "batch_size", "memory", "device", "data_dir", "tag")
OF_LOSS = ("temperature", "weight", "teachers", "seeds", "labels")


@by_name("distill")
def distill(
    workload: Workload | str,
    student: Any = None,
    *,
    temperature: float = 20.0,
    weight: float = 0.9,
    teachers: int = 10,
    teacher: Any = None,
    seeds: int = 5,
    labels: int | None = None,
    transfer: Any = None,
    optimizer: str | Preset | Contender | Callable[..., Any] = "adam",
    learning_rate: float | None = None,
    schedule: Any = None,
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
) -> Distillation:
    """Trains a teacher, students on labels, and students on the teacher's softened probabilities; compares them.

    Each kind trains as one population. Both kinds of students start from the same weights, seed by seed, and take the
    same number of steps at the same setting; their difference is paired by seed. Hinton et al. 2015, arXiv:1503.02531.

    Args:
        workload: as `compare` takes it: classes under torch's cross entropy, in memory.
        student: `"hidden=50"`, `"hidden=100x50"`, `"my_file.py:factory"`, a factory as `Workload(model=…)`, or `None`
            for the workload's own model.
        temperature: of the softened probabilities, above 0.
        weight: of the teacher's part of the loss, in [0, 1]; the labels have the rest.
        teachers: number of models of the teacher, 1 to 1,000, whose softened probabilities are averaged.
        teacher: in place of training one: an `Ensemble`, a model of logits, a list of models; a directory of models of
            this workload that `Ensemble.save` wrote; or `"my_file.py:name"` of one of these, or of a function that
            returns one.
        seeds: students of each kind, `base_seed`, `base_seed + 1`, …: 1 to 1,000.
        labels: samples of train that keep their label for students, drawn by the workload's `split_seed`. Students on
            labels train on these alone, as many steps; distilled students see the others without. `None` for all.
        transfer: further samples without labels for distilled students, `[samples, …]`; or a .npy file or
            `"my_file.py:name"` of them.
        optimizer, learning_rate, schedule: as `ensemble` takes them, of all models.
        save: a directory for the models.
        convention, base_seed, epochs, steps, batch_size, clip_norm, memory, progress: as `ensemble` takes them.
        out, device, data_dir, tag, checkpoint_every: as `ensemble` takes them.

    Raises:
        InputError: invalid input, in one sentence; another kind of workload; or models that did not train.
    """
    given = locals()
    asked = checked(DISTILLATION, given)
    require_writable(asked["out"])
    require_writable(asked["save"])
    contender = one_contender(optimizer, learning_rate, schedule, asked["convention"])
    design = Design(as_contenders(contender), None, asked["seeds"], 0, asked["base_seed"], clip_norm=asked["clip_norm"])
    where = usable(asked["device"])
    whole = load(workload, asked["data_dir"]) if isinstance(workload, str) else workload
    trained = problem(whole, asked["epochs"], asked["steps"], asked["batch_size"])
    require_distillable(trained)
    student_factory(student, trained, 2)  # what cannot be is refused before anything trains
    more = transfer_samples(transfer)
    with_transfer(with_few_labels(trained, asked["labels"])[1], more)
    models = () if teacher is None else _answering(teacher_models(teacher, where, trained), trained.to(where))
    of_loss = {name: asked[name] for name in OF_LOSS}
    settings = DistillationSettings(**of_loss, student=student, models=models, transfer=more)
    require_plain_context()
    stored = {**stored_request(KIND, workload, asked, (*STORED, *OF_LOSS)), **_objects(student, teacher, transfer)}
    stored |= {"optimizer": contender.label, "given": given_content(models, more)}
    with closing(display(progress=asked["progress"])) as show:
        show(Noted("checking the model"))
        prepared = prepare(design, trained, where, budget=None, memory=asked["memory"])
        record = replace(prepared.record, request=request(prepared.design, **stored))
        prepared = _settled(replace(prepared, record=record), settings)
        work = _work(prepared, settings)
        found = carry_out_study(prepared, work, asked["out"], asked["checkpoint_every"], show)
    result = _distillation(*found)
    if asked["save"] is not None:
        result.save(asked["save"])
    return result


def _answering(models: tuple[nn.Module, ...], workload: Workload) -> tuple[nn.Module, ...]:
    """A teacher's models. Raises `InputError` where they do not answer, before anything is stored."""
    taught_split(workload.objective, workload.validation, softened(models, 1.0))
    return models


def _objects(student: Any, teacher: Any, transfer: Any) -> dict[str, Any]:
    """What a request stores of a student's text, and whether something is given that no text makes again."""
    text = student if isinstance(student, str) else None
    text = absolute(text) if text is not None and is_place(text) else text
    places = {"teacher": as_text(teacher), "transfer": as_text(transfer), "student": text}
    given = {"teacher": teacher, "transfer": transfer, "student": student}
    return {**places, "own": [name for name, of in given.items() if of is not None and places[name] is None]}


def _settled(prepared: Prepared, settings: DistillationSettings) -> Prepared:
    """The study with jobs that return weights, and the runs that are expected."""
    trained = 0 if settings.models else settings.teachers
    expected = {**prepared.record.plan.get("expected", {}), "runs": trained + 2 * settings.seeds}
    record = replace(prepared.record, plan={**prepared.record.plan, "expected": expected})
    teacher = "a teacher that is given" if settings.models else f"a teacher of {counted(trained, 'model')}"
    told = f"plan: {teacher}, then {counted(settings.seeds, 'student')} on labels and as many distilled"
    return with_models(replace(prepared, record=record, told=told))


def _work(prepared: Prepared, settings: DistillationSettings) -> Work:
    def work(session: Session) -> Worked:
        plans = prepared.record.plan.get("students", {})
        trainers = Trainers(session.tell, session.earlier.done, session.checkpoints, session.kept, plans)
        done = run_distillation(prepared, settings, trainers)
        verdict = distillation_verdict(prepared.record, done.found)
        return Worked(done.runs, done.found, verdict, done.models, {"students": done.plans})

    return work


def _distillation(found: Findings, models: Any) -> Distillation:
    return Distillation(models[TEACHER], models[PLAIN], models[DISTILLED], findings=found)


def resume_distillation(record: StudyRecord, prepared: Prepared) -> tuple[Prepared, Work, Callable[..., Distillation]]:
    """What goes on with a stored distillation that `again` prepared: the study, its work, and what makes its result."""
    asked = record.request
    if asked["own"]:
        raise InputError(
            f"The study was given a {' and a '.join(asked['own'])} of your own, which no store keeps: begin it anew, or"
            " read it with thalweg show."
        )
    workload = prepared.planned.job.workload
    teacher, more = asked.get("teacher"), transfer_samples(asked.get("transfer"))
    models = () if teacher is None else teacher_models(teacher, prepared.planned.job.device, workload)
    if given_content(models, more) != asked.get("given", given_content((), None)):
        raise InputError("The teacher or the transfer set changed since the study was begun: put it back as it was.")
    settings = DistillationSettings(
        **{name: asked[name] for name in OF_LOSS}, student=asked["student"], models=models, transfer=more
    )
    prepared = _settled(prepared, settings)
    return prepared, _work(prepared, settings), _distillation
