"""Classes as targets: whether there are as many as the model has outputs."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.workloads.metrics import accuracy
from thalweg.workloads.workload import Split, Workload

IGNORED = -100  # the label that torch's losses pass over unless told another


def require_labels(workload: Workload, outputs: Any) -> None:
    """That every label is one of the classes that the model has `outputs` for.

    Outside of them, accuracy counts wrong in silence, and on a GPU cross entropy ends the process.
    """
    found = _classes(workload, outputs)
    if found is None:
        return
    classes, ignored = found
    for name, split in _splits(workload).items():
        _require_within(name, split.targets, classes, ignored)
    labels = workload.train.targets
    if workload.metric.function is accuracy and labels.min() == labels.max():
        raise InputError(
            f"train holds one class only, {int(labels[0].flatten()[0])}: there is nothing to tell apart; give"
            " samples of at least two."
        )


def one_class_notes(workload: Workload) -> tuple[str, ...]:
    """A sentence for every split on which a constant answer would be right everywhere."""
    if workload.metric.function is not accuracy:
        return ()
    return tuple(
        f"The {name} split holds one class only: a model that always names it is 100% accurate there."
        for name, split in _splits(workload).items()
        if name != "train" and split.targets.min() == split.targets.max()
    )


def _splits(workload: Workload) -> dict[str, Split]:
    splits = {"train": workload.train, "validation": workload.validation, "test": workload.test}
    return {name: split for name, split in splits.items() if split is not None}


def _classes(workload: Workload, outputs: Any) -> tuple[int, int | None] | None:
    """(classes, the label that is passed over); `None` where targets are no classes."""
    targets = workload.train.targets
    if not isinstance(outputs, Tensor) or outputs.ndim < 2 or targets.is_floating_point() or targets.is_complex():
        return None
    if workload.metric.function is accuracy:
        return outputs.shape[-1], None
    if workload.loss in (F.cross_entropy, F.nll_loss):
        return outputs.shape[1], IGNORED
    if isinstance(workload.loss, nn.CrossEntropyLoss | nn.NLLLoss):
        return outputs.shape[1], workload.loss.ignore_index
    return None


def _require_within(name: str, labels: Tensor, classes: int, ignored: int | None) -> None:
    labels = labels.long()
    outside = (labels < 0) | (labels >= classes)
    if ignored is not None:
        outside &= labels != ignored
    count = int(outside.sum())
    if count:
        raise InputError(
            f"{name}: {count:,} of the {labels.numel():,} labels lie outside of 0 to {classes - 1}, such as"
            f" {int(labels[outside][0])}, and the model's outputs are {classes}: number the classes from 0, or give the"
            " model an output for each."
        )
