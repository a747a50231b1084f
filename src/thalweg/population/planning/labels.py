"""Checks of class labels: within the model's outputs, and suitable for accuracy."""

from typing import Any

from torch import Tensor

from thalweg.errors import InputError, counted
from thalweg.workloads import losses
from thalweg.workloads.accuracy import Accuracy
from thalweg.workloads.source import Source
from thalweg.workloads.workload import Workload


def require_labels(workload: Workload, outputs: Any) -> None:
    """Raises `InputError` if a label is no class of the model's `outputs`, or accuracy cannot be computed from them.

    For such a label accuracy would silently be wrong, and on a GPU cross entropy would end the process.
    """
    accuracy, outputs = _accuracy(workload), workload.objective.answers(outputs)
    if not isinstance(outputs, Tensor):
        if accuracy is not None:
            raise InputError(
                f"accuracy takes one tensor of outputs, and the model of {workload.name!r} returns a"
                f" {type(outputs).__name__}: give metric=thalweg.Metric(f, higher_is_better=True) of a function"
                " f(outputs, targets) that takes it."
            )
        return
    if accuracy is not None:
        _require_told(workload, accuracy, outputs)
    elif outputs.ndim > 1 and losses.is_over_classes(workload.loss) and not _is_continuous(_targets(workload.train)):
        _require_within(workload, outputs.shape[1], losses.ignored_label(workload.loss))


def one_class_notes(workload: Workload) -> tuple[str, ...]:
    """A sentence for every split but train that holds one class only: a constant answer is always right."""
    accuracy = _accuracy(workload)
    if accuracy is None:
        return ()
    return tuple(
        f"The {name} split holds one class only: a model that always names it is 100% accurate there."
        for name, split in _splits(workload).items()
        if name != "train" and _is_constant(accuracy.counted(_targets(split)))
    )


def _accuracy(workload: Workload) -> Accuracy | None:
    function = workload.metric.function
    return function if isinstance(function, Accuracy) else None


def _splits(workload: Workload) -> dict[str, Source]:
    splits = {"train": workload.train, "validation": workload.validation, "test": workload.test}
    return {name: split for name, split in splits.items() if split is not None}


def _require_told(workload: Workload, accuracy: Accuracy, outputs: Tensor) -> None:
    """Raises `InputError` if accuracy cannot tell right answers from wrong ones on some split."""
    if accuracy.is_binary:
        _require_one_output(outputs)
        _require_binary(workload)
    elif outputs.ndim < 2 or (accuracy.classes(outputs) < 2 and not losses.is_over_classes(workload.loss)):
        raise InputError(
            f"accuracy takes the largest of several outputs, and the model of {workload.name!r} has one a sample: it"
            " goes by its sign where the loss is torch.nn.functional.binary_cross_entropy_with_logits or"
            " torch.nn.BCEWithLogitsLoss(); under a loss of your own, give metric=thalweg.Metric(lambda outputs,"
            " targets: ((outputs.flatten() > 0) == targets.flatten()).double().mean(), higher_is_better=True), and of"
            " numbers that are no classes, metric='mse'."
        )
    else:
        _require_one_reading(workload, outputs)
        _require_whole(workload)
        _require_within(workload, accuracy.classes(outputs), accuracy.ignored)
    for name, split in _splits(workload).items():
        if not len(accuracy.counted(_targets(split))):
            raise InputError(f"{name} holds no label but {accuracy.ignored}, which the loss and accuracy pass over.")
    labels = accuracy.counted(_targets(workload.train))
    if workload.train.indexed and _is_constant(labels):
        raise InputError(
            f"train holds one class only, {int(labels[0])}: there is nothing to tell apart; give samples of at least"
            " two."
        )


def _require_one_reading(workload: Workload, outputs: Tensor) -> None:
    """Raises `InputError` if the dimension of the classes is ambiguous."""
    if outputs.ndim > 2 and outputs.shape[1] == outputs.shape[-1] and not losses.is_over_classes(workload.loss):
        raise InputError(
            f"accuracy cannot tell classes from places in outputs {list(outputs.shape)} under a loss of your own: give"
            " metric=thalweg.Metric(lambda outputs, targets: (outputs.argmax(1) == targets).double().mean(),"
            " higher_is_better=True), or argmax(-1)."
        )


def _require_one_output(outputs: Tensor) -> None:
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        raise InputError(
            f"accuracy under binary cross entropy is of one output a sample, and the model has {outputs.shape[1]}: for"
            " the share of right answers among all of them, give metric=thalweg.Metric(lambda outputs, targets:"
            " ((outputs > 0) == targets).double().mean(), higher_is_better=True)."
        )


def _require_binary(workload: Workload) -> None:
    for name, split in _splits(workload).items():
        labels = _targets(split)
        odd = labels[(labels != 0) & (labels != 1)]
        if len(odd):
            raise InputError(
                f"{name}: accuracy under binary cross entropy compares labels of 0 and 1, and"
                f" {counted(len(odd), 'value')} of y {'is' if len(odd) == 1 else 'are'} neither, such as"
                f" {odd[0].item():g}: label so, or give another metric."
            )


def _require_whole(workload: Workload) -> None:
    for name, split in _splits(workload).items():
        labels = _targets(split)
        if _is_continuous(labels):
            whole = not labels.is_complex() and bool((labels == labels.round()).all())
            if not whole:
                raise InputError(
                    f"{name}: accuracy compares numbers of classes, and y holds numbers that are none: give another"
                    " metric, such as 'mse'."
                )


def _require_within(workload: Workload, classes: int, ignored: int | None) -> None:
    for name, split in _splits(workload).items():
        labels = _targets(split).long()
        outside = (labels < 0) | (labels >= classes)
        if ignored is not None:
            outside &= labels != ignored
        count = int(outside.sum())
        if count:
            raise InputError(
                f"{name}: {count:,} of the {labels.numel():,} labels lie outside of 0 to {classes - 1}, such as"
                f" {int(labels[outside][0])}, and the model's outputs are {classes}: number the classes from 0, give"
                " the model an output for each, or name a label that the loss passes over as its ignore_index, as"
                " torch.nn.CrossEntropyLoss(ignore_index=…) does and an attribute of your own function may."
            )


def _targets(source: Source) -> Tensor:
    """The targets of a split; of a stream those of its first batch."""
    return next(iter(source.labels()))


def _is_continuous(targets: Tensor) -> bool:
    return targets.is_floating_point() or targets.is_complex()


def _is_constant(labels: Tensor) -> bool:
    return bool(len(labels)) and bool(labels.min() == labels.max())
