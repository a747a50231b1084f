"""The workload of a student: the data of another, with a teacher's logits beside the labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, first_line
from thalweg.regularization import distillation
from thalweg.workloads import losses
from thalweg.workloads.data import kind, paired
from thalweg.workloads.metrics import Metric
from thalweg.workloads.objective import Objective
from thalweg.workloads.split import Split
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

CHUNK = 1024
Teacher = Callable[[Objective, Any], Tensor]
"""(objective, batch) → logits `[samples, classes]`, whose softmax at temperature T is what the teacher says."""


@dataclass(frozen=True)
class DistillationLoss:
    """`distillation.loss` of a student's logits and `(labels, the teacher's logits)`."""

    temperature: float
    weight: float

    def __call__(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        labels, teacher = targets
        return distillation.loss(outputs, teacher, labels, temperature=self.temperature, weight=self.weight)


@dataclass(frozen=True)
class LabelMetric:
    """A metric of outputs and labels, where the teacher's logits stand beside the labels."""

    of_labels: Callable[..., Any]

    def __call__(self, outputs: Any, targets: tuple[Tensor, Tensor]) -> Any:
        return self.of_labels(outputs, targets[0])


def require_distillable(workload: Workload) -> None:
    """Raises `InputError` unless a workload's loss is over classes, of data in memory with one tensor of labels."""
    if workload.step is not None or not losses.is_over_classes(workload.loss):
        raise InputError(
            f"Distillation is of classes, under torch's cross entropy, and the loss of {workload.name!r} is another."
        )
    if isinstance(workload.train, Stream):
        raise InputError(f"The data of {workload.name!r} are a stream: distillation needs them in memory.")
    if workload.train.layout.targets:
        raise InputError(f"{workload.name!r} has several targets: distillation takes one tensor of labels.")
    if workload.train.targets.ndim != 1:
        raise InputError(
            f"The labels of {workload.name!r} must be [samples], got {list(workload.train.targets.shape)}."
        )


def distilled_workload(
    workload: Workload, teacher: Teacher, model: Callable[[], nn.Module], temperature: float, weight: float
) -> Workload:
    """The workload with a model whose loss is `distillation.loss` under a teacher, computed once for all samples.

    Its metrics are those of the workload. Samples with the label `distillation.UNLABELLED` have the teacher alone.
    """
    require_distillable(workload)
    distillation.require_settings(temperature, weight)
    splits = {name: getattr(workload, name) for name in ("train", "validation", "test")}
    changes: dict[str, Any] = {n: s and taught_split(workload.objective, s, teacher) for n, s in splits.items()}
    metric, *also = [_of_labels(m) for m in (workload.metric, *workload.also)]
    loss = DistillationLoss(temperature, weight)
    return replace(as_student(workload, model), **changes, loss=loss, metric=metric, also=also)


def as_student(workload: Workload, model: Callable[[], nn.Module]) -> Workload:
    """The workload with a student's model. Weights to start from and frozen layers are those of its own model only."""
    return workload if model is workload.model else replace(workload, model=model, initial=None, freeze=())


def taught_split(objective: Objective, split: Split, teacher: Teacher) -> Split:
    """The split with the teacher's logits as its second target."""
    logits = torch.cat([answers_of(teacher, objective, batch, len(batch.targets)) for batch in split.chunks(CHUNK)])
    labels = split.targets[split.targets != distillation.UNLABELLED]
    if len(labels) and int(labels.max()) >= logits.shape[1]:
        raise InputError(f"The teacher answers for {logits.shape[1]} classes, and labels go up to {int(labels.max())}.")
    assert split.layout is not None
    double = any(x.dtype is torch.float64 for x in split.inputs)
    logits = logits.to(split.targets.device, torch.float64 if double else torch.float32)
    return replace(split, inputs=(*split.inputs, logits), layout=replace(split.layout, targets=("", "")))


def classes_of(workload: Workload, teacher: Teacher) -> int:
    """How many classes a teacher answers for. Raises `InputError` as `answers_of`."""
    return answers_of(teacher, workload.objective, workload.validation.first([1])[0], 1).shape[1]


@torch.no_grad()
def answers_of(teacher: Teacher, objective: Objective, batch: Any, samples: int) -> Tensor:
    """A teacher's logits `[samples, classes]` of a batch. Raises `InputError` where it does not answer with such."""
    try:
        logits = torch.as_tensor(teacher(objective, batch))
    except InputError:
        raise
    except Exception as error:  # a user's code may raise anything
        raise InputError(f"The teacher cannot answer for samples of the workload: {first_line(error)}.") from error
    if logits.ndim != 2 or len(logits) != samples or not logits.is_floating_point():
        got = f"{logits.dtype} {list(logits.shape)}".removeprefix("torch.")
        raise InputError(f"A teacher must return logits [samples, classes], numbers, got {got}.")
    if not torch.isfinite(logits).all():
        raise InputError("The teacher's logits are not all finite.")
    return logits


def _of_labels(metric: Metric) -> Metric:
    function: Any = LabelMetric(metric.function)
    return Metric(function, metric.name, metric.higher_is_better, metric.vectorized)


def teacher_of(models: Sequence[nn.Module], mean: Callable[[Tensor], Tensor]) -> Teacher:
    """A teacher of models in evaluation mode. mean: of their logits `[models, samples, classes]`, as logits."""

    def teacher(objective: Objective, batch: Any) -> Tensor:
        return mean(torch.stack([objective.answers(objective.outputs(model, batch)) for model in models]))

    return teacher


def with_few_labels(workload: Workload, labels: int | None) -> tuple[Workload, Workload]:
    """(the workload with those samples only that keep their label, the workload with the other labels hidden).

    labels: how many samples of train keep theirs, drawn by `split_seed`; `None` for all. The first has as many steps as
    the second. Raises `InputError` where there are not so many.
    """
    if labels is None:
        return workload, workload
    samples = len(workload.train)
    if labels > samples:
        raise InputError(f"labels must be at most the {samples:,} samples of train, got {labels:,}.")
    drawn = torch.randperm(samples, generator=torch.Generator().manual_seed(workload.split_seed))[:labels]
    kept = drawn.sort().values.to(workload.train.targets.device)
    hidden = torch.full_like(workload.train.targets, distillation.UNLABELLED)
    hidden[kept] = workload.train.targets[kept]
    of_kept = workload.train.at(kept)
    few = Split(of_kept.inputs, of_kept.targets, workload.train.layout)
    steps = workload.total_steps
    every = workload.measuring_interval
    some = replace(workload, train=few, steps=steps, evaluate_every=every, batch_size=min(workload.batch_size, labels))
    return some, replace(workload, train=replace(workload.train, targets=hidden))


def with_transfer(workload: Workload, transfer: Any) -> Workload:
    """The workload with further samples to train on, `[samples, …]`, which have no label. `None`: as it is.

    A run keeps its number of steps. Raises `InputError` where they are not as the inputs of train.
    """
    if transfer is None:
        return workload
    train = workload.train
    if len(train.inputs) != 1 or train.sampling is not None:
        raise InputError("transfer takes further samples of a workload with one input, all of which an epoch draws.")
    count = len(transfer) if getattr(transfer, "ndim", 1) and hasattr(transfer, "__len__") else 0
    if not count:
        raise InputError(f"transfer must be samples as train has them, at least one, got {kind(transfer)}.")
    inputs, _, _ = paired("transfer", (transfer, torch.zeros(count, dtype=torch.int64)))
    own = train.inputs[0]
    if inputs[0].shape[1:] != own.shape[1:]:
        raise InputError(
            f"transfer must be [samples, {', '.join(map(str, own.shape[1:]))}] as train is, got"
            f" {list(inputs[0].shape)}."
        )
    if inputs[0].is_complex() and not own.is_complex():
        raise InputError(f"transfer holds complex numbers, and train {str(own.dtype).removeprefix('torch.')}.")
    further = inputs[0].to(own)
    targets = train.targets.new_full((len(further),), distillation.UNLABELLED)
    joined = replace(train, inputs=(torch.cat([own, further]),), targets=torch.cat([train.targets, targets]))
    steps, every = workload.total_steps, workload.measuring_interval
    return replace(workload, train=joined, steps=steps, evaluate_every=every)
