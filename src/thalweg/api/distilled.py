"""`distilled`: a workload whose students learn from a teacher."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.api.ensemble import Ensemble
from thalweg.api.given_teachers import teacher_models, transfer_samples
from thalweg.errors import InputError, shown
from thalweg.options.calls import by_name
from thalweg.studies.distilled import (
    Teacher,
    classes_of,
    distilled_workload,
    require_distillable,
    with_few_labels,
    with_transfer,
)
from thalweg.studies.distilling import softened
from thalweg.studies.student_models import student_factory
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload


@by_name("distilled")
def distilled(
    workload: Workload | str,
    teacher: Ensemble | nn.Module | Sequence[nn.Module] | Callable[..., Tensor],
    student: Any = None,
    *,
    temperature: float = 20.0,
    weight: float = 0.9,
    labels: int | None = None,
    transfer: Any = None,
    data_dir: Any = None,
) -> Workload:
    """The workload whose model is a student and whose loss is `thalweg.distillation.loss` under a teacher.

    What takes a workload takes it: `compare`, tuning, `ensemble`, populations. The teacher answers every sample once,
    as it is, before any augmentation. The validation loss is that of distillation, the metric that of the labels.

    Args:
        workload: classes under cross entropy, in memory.
        teacher: an `Ensemble`, one or several models of logits `[samples, classes]`, a directory of models that
            `Ensemble.save` wrote, `"my_file.py:name"` of one of these, or a function of the inputs that returns logits.
            Of several models, softened probabilities are averaged.
        student: a factory as `Workload(model=…)`, `"hidden=50"`, or `None` for the workload's own model.
        temperature: of the softened probabilities, above 0.
        weight: of the teacher's part of the loss, in [0, 1]; the labels have the rest.
        labels: samples that keep their label; the student sees the others without. `None` for all.
        transfer: further samples without labels, `[samples, …]`, a .npy file or `"my_file.py:name"` of them; a run
            keeps its number of steps.
        data_dir: as `compare` takes it, for a built-in workload.

    Raises:
        InputError: another kind of workload or teacher, or a value out of its range.
    """
    whole = load(workload, data_dir) if isinstance(workload, str) else workload
    if not isinstance(whole, Workload):
        raise InputError(f"workload must be a thalweg.Workload or a built-in one's name, got {shown(whole)}.")
    require_distillable(whole)
    says = teacher_from(teacher, temperature, whole)
    classes = classes_of(whole, says)
    taught = with_transfer(with_few_labels(whole, labels)[1], transfer_samples(transfer))
    return distilled_workload(taught, says, student_factory(student, whole, classes), temperature, weight)


def teacher_from(teacher: Any, temperature: float, workload: Workload) -> Teacher:
    """What answers for a teacher. Raises `InputError` where it is none."""
    if isinstance(teacher, Ensemble) or not callable(teacher) or isinstance(teacher, nn.Module):
        return softened(teacher_models(teacher, workload.train.targets.device, workload), temperature)

    def says(objective: Any, batch: Any) -> Tensor:
        return torch.as_tensor(teacher(*batch.inputs[: objective.layout.inputs]))

    return says
