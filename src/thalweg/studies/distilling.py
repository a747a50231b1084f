"""Trains a teacher, students on labels and distilled students, each kind at once, and compares them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from thalweg.analysis.distillations import distillation_findings, ended
from thalweg.errors import InputError
from thalweg.population.planning.planned_job import PlannedJob, plan_as_recorded, plan_job
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.records.events import Listener
from thalweg.records.types import RunRecord
from thalweg.studies.answers import Answers
from thalweg.studies.contenders import Contender
from thalweg.studies.distilled import (
    Teacher,
    as_student,
    classes_of,
    distilled_workload,
    teacher_of,
    with_few_labels,
    with_transfer,
)
from thalweg.studies.ensembling import TrainedModel
from thalweg.studies.jobs import Jobs
from thalweg.studies.kept_models import KeptModels, model_with
from thalweg.studies.preparation import EARNED, Prepared
from thalweg.studies.student_models import student_factory
from thalweg.studies.training import RunSpec, Trainer
from thalweg.workloads.combining import mean_log_probabilities
from thalweg.workloads.workload import Workload

TEACHER, PLAIN, DISTILLED = KINDS = ("teacher", "student", "distilled")


@dataclass(frozen=True)
class DistillationSettings:
    """temperature, weight: of the loss. teachers, seeds: numbers of models. labels: samples that keep their label;
    `None` for all. student: as `student_factory` takes it. models: of a teacher trained elsewhere; empty for none.
    transfer: further samples without labels."""

    temperature: float
    weight: float
    teachers: int
    seeds: int
    labels: int | None
    student: Any
    models: tuple[nn.Module, ...] = ()
    transfer: Any = None


@dataclass(frozen=True)
class TrainingStage:
    """Runs of one kind with its planned job, from a position in the study on."""

    kind: str
    planned: PlannedJob
    seeds: tuple[int, ...]
    first: int


@dataclass(frozen=True)
class Trainers:
    """What trains the stages. recorded: the plans of a resumed study by kind."""

    tell: Listener
    earlier: Mapping[int, RunRecord]
    checkpoints: Checkpoints
    kept: KeptModels
    recorded: Mapping[str, Any]

    def train(self, stage: TrainingStage, contender: Contender) -> list[RunRecord]:
        (given,) = contender.configurations(None)
        specs = [RunSpec(contender, given, seed, "tuning", "coarse") for seed in stage.seeds]
        trainer = Trainer(self.earlier, self.tell, self.checkpoints, keep=self.kept.keep)
        return trainer.train(Jobs.single(stage.planned), specs, _named(stage.kind), stage.first)


def _named(kind: str) -> str:
    return {TEACHER: "teacher", PLAIN: "students on labels", DISTILLED: "distilled students"}[kind]


def softened(models: Sequence[nn.Module], temperature: float) -> Teacher:
    """A teacher whose softmax at this temperature is the mean of its models' softened probabilities."""

    def mean(logits: torch.Tensor) -> torch.Tensor:
        return temperature * mean_log_probabilities(logits.double() / temperature, 1)

    return teacher_of(models, mean)


def as_contenders(contender: Contender) -> list[Contender]:
    """The contender once for each kind of model. Raises `InputError` where it sets arguments of a model."""
    if contender.trains:
        raise InputError(
            f"{contender.label} sets arguments of the model, and a distillation has two models: set them in factories."
        )
    return [replace(contender, title=kind) for kind in KINDS]


@dataclass(frozen=True)
class Distilled:
    """The runs and models of a distillation, by kind. plans: of the students' jobs, for the record."""

    runs: tuple[RunRecord, ...]
    models: Mapping[str, tuple[TrainedModel, ...]]
    found: dict[str, Any]
    plans: Mapping[str, Any]


def run_distillation(prepared: Prepared, settings: DistillationSettings, trainers: Trainers) -> Distilled:
    """Trains what is to be trained, and compares. Raises `InputError` where a kind has no run that ended."""
    contenders = dict(zip(KINDS, prepared.design.contenders, strict=True))
    workload, base = prepared.planned.job.workload, prepared.design.base_seed
    runs, models, plans = dict[str, list[RunRecord]](), dict[str, tuple[TrainedModel, ...]](), dict[str, Any]()
    first = 0
    if settings.models:
        runs[TEACHER], teachers = [], settings.models
        models[TEACHER] = ()
    else:
        stage = TrainingStage(TEACHER, prepared.planned, tuple(range(base, base + settings.teachers)), 0)
        runs[TEACHER] = trainers.train(stage, contenders[TEACHER])
        models[TEACHER] = _models(stage, runs[TEACHER], trainers.kept)
        teachers, first = tuple(m.model for m in models[TEACHER]), settings.teachers
    teacher = softened(teachers, settings.temperature)
    for kind, own in _workloads(workload, settings, teacher).items():
        planned = _planned(own, prepared, settings, trainers.recorded.get(kind))
        plans[kind] = planned.plan.describe()
        stage = TrainingStage(kind, planned, tuple(range(base, base + settings.seeds)), first)
        runs[kind] = trainers.train(stage, contenders[kind])
        models[kind] = _models(stage, runs[kind], trainers.kept)
        first += settings.seeds
    parameters = {kind: _parameters(of[0].model) for kind, of in models.items() if of}
    found = _found(prepared, settings, teachers, runs)
    return Distilled(tuple(r for of in runs.values() for r in of), models, {**found, "parameters": parameters}, plans)


def _workloads(workload: Workload, settings: DistillationSettings, teacher: Teacher) -> dict[str, Workload]:
    classes = classes_of(workload, teacher)
    factory = student_factory(settings.student, workload, classes)
    some, hidden = with_few_labels(workload, settings.labels)
    taught = with_transfer(hidden, settings.transfer)
    distilled = distilled_workload(taught, teacher, factory, settings.temperature, settings.weight)
    return {PLAIN: as_student(some, factory), DISTILLED: distilled}


def _planned(
    workload: Workload, prepared: Prepared, settings: DistillationSettings, recorded: Mapping[str, Any] | None
) -> PlannedJob:
    device, seed = prepared.planned.job.device, prepared.design.base_seed
    if recorded is not None:
        planned = plan_as_recorded(workload, seed, recorded, device=device, keep_weights=True)
    else:
        memory = prepared.record.request["memory"]
        planned = plan_job(
            workload, seed, device=device, workers=torch.get_num_threads() if device.type == "cpu" else 1,
            memory=None if memory is None else int(memory), copies=max(c.copies for c in prepared.design.contenders),
            native=settings.seeds * workload.total_steps >= EARNED, keep_weights=True,
        )  # fmt: skip
    return replace(planned, job=replace(planned.job, test=True), models=None)


def _models(stage: TrainingStage, runs: Sequence[RunRecord], kept: KeptModels) -> tuple[TrainedModel, ...]:
    found = []
    for position, run in enumerate(runs, stage.first):
        if not run.broke:
            weights = kept.weights(position)
            found.append(TrainedModel(run.seed, None, weights, model_with(stage.planned.job, run.seed, weights)))
    if not found:
        reason = next((run.failure for run in runs if run.failure), "all diverged; lower the learning rate")
        raise InputError(f"No {stage.kind} trained to its end: {reason}.")
    return tuple(found)


def _found(
    prepared: Prepared, settings: DistillationSettings, teachers: Sequence[nn.Module], runs: Mapping[str, Any]
) -> dict[str, Any]:
    job = prepared.planned.job
    workload = job.workload
    split = workload.validation if workload.test is None else workload.test
    answers = Answers.of(job, teachers, split, "probabilities")
    everyone = range(len(teachers))
    scores = {
        kind: ended([_score(r, workload) for r in runs[kind]], [r.seed for r in runs[kind]]) for kind in KINDS[1:]
    }
    higher = workload.metric.maximized
    found = distillation_findings(scores[PLAIN], scores[DISTILLED], answers.score(everyone), higher_is_better=higher)
    return {
        "split": "validation" if workload.test is None else "test",
        "samples": len(answers.targets),
        "temperature": settings.temperature,
        "weight": settings.weight,
        "labels": settings.labels,
        "transfer": None if settings.transfer is None else len(settings.transfer),
        "teachers": [answers.score([i]) for i in everyone],
        "broke": sum(run.broke for of in runs.values() for run in of),
        **found,
    }


def _score(run: RunRecord, workload: Workload) -> float | None:
    return run.validation_metric if workload.test is None else run.test_metric


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
