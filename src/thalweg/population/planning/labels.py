"""Checks of targets: labels within the model's outputs, and suitable for the metric."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from thalweg.errors import InputError, counted
from thalweg.workloads import losses
from thalweg.workloads.accuracy import Accuracy
from thalweg.workloads.classification import Auroc, reading_of
from thalweg.workloads.regression import R2
from thalweg.workloads.sklearn_metrics import SklearnMetric
from thalweg.workloads.source import Source
from thalweg.workloads.workload import Workload

SIGN = "lambda outputs, targets: ((outputs.flatten() > 0) == targets.flatten()).double().mean()"
LARGEST = "lambda outputs, targets: (outputs.argmax(1) == targets).double().mean()"


def require_labels(workload: Workload, outputs: Any) -> None:
    """Raises `InputError` if a label is no class of the model's `outputs`, or a metric cannot be computed from them.

    For such a label accuracy would silently be wrong, and on a GPU cross entropy would end the process.
    """
    for metric in (workload.metric, *workload.also):
        _require_labels_of(replace(workload, metric=metric, also=()), outputs)


def _require_labels_of(workload: Workload, outputs: Any) -> None:
    """As `require_labels`, of one metric."""
    _require_varied(workload)
    reading = reading_of(workload.metric.function)
    outputs = workload.objective.answers(outputs)
    if not isinstance(outputs, Tensor):
        if reading is not None:
            raise InputError(
                f"{_name(workload)} takes one tensor of outputs, and the model of {workload.name!r} returns a"
                f" {type(outputs).__name__}: give metric=thalweg.Metric(f, higher_is_better=True) of a function"
                " f(outputs, targets) that takes it."
            )
        return
    if reading is not None:
        _require_told(workload, reading, outputs)
    elif outputs.ndim > 1 and losses.is_over_classes(workload.loss) and not _is_continuous(_targets(workload.train)):
        _require_within(workload, outputs.shape[1], losses.ignored_label(workload.loss))


def one_class_notes(workload: Workload) -> tuple[str, ...]:
    """A sentence for every split but train that holds one class only: a constant answer is always right."""
    reading = reading_of(workload.metric.function)
    if reading is None:
        return ()
    return tuple(
        f"The {name} split holds one class only: a model that always names it is 100% accurate there."
        for name, split in _splits(workload).items()
        if name != "train" and _is_constant(reading.counted(_targets(split)))
    )


def computable_head(workload: Workload) -> Source:
    """The least of the validation split that the metric can be computed of: one batch, doubled while it cannot.

    AUROC needs two classes, and a split may be sorted.
    """
    split: Source = workload.validation
    samples = workload.batch_size
    compared = [m.function for m in (workload.metric, *workload.also) if isinstance(m.function, Auroc | R2)]
    while samples < len(split) and compared:
        try:
            for metric in compared:
                metric.require_targets("", _targets(split.head(samples)))
            break
        except InputError:
            samples *= 2
    return split.head(samples)


def _name(workload: Workload) -> str:
    """The metric's, for messages."""
    return "accuracy" if isinstance(workload.metric.function, Accuracy) else workload.metric.name


def _instead(workload: Workload, function: str) -> str:
    """Code of a metric of one's own that the message recommends. function: what computes accuracy."""
    if not isinstance(workload.metric.function, Accuracy):
        function = "f"
    return f"metric=thalweg.Metric({function}, higher_is_better=True)"


def _require_varied(workload: Workload) -> None:
    """Raises `InputError` if a split's targets are of one class or constant, where the metric compares them.

    A stream is not read to its end for that.
    """
    metric = workload.metric.function
    if isinstance(metric, Auroc | R2):
        for name, split in _splits(workload).items():
            if split.indexed:
                metric.require_targets(name, _targets(split))


def _splits(workload: Workload) -> dict[str, Source]:
    splits = {"train": workload.train, "validation": workload.validation, "test": workload.test}
    return {name: split for name, split in splits.items() if split is not None}


def _require_told(workload: Workload, reading: Accuracy, outputs: Tensor) -> None:
    """Raises `InputError` if the metric cannot tell right answers from wrong ones on some split."""
    name = _name(workload)
    if reading.is_binary:
        _require_one_output(workload, outputs)
        _require_binary(workload)
    elif outputs.ndim < 2 or (reading.classes(outputs) < 2 and not losses.is_over_classes(workload.loss)):
        raise InputError(
            f"{name} takes the largest of several outputs, and the model of {workload.name!r} has one a sample: it"
            " goes by its sign where the loss is torch.nn.functional.binary_cross_entropy_with_logits or"
            " torch.nn.BCEWithLogitsLoss(); under a loss of your own, give"
            f" {_instead(workload, SIGN)}, and of numbers that are no classes, metric='mse'."
        )
    else:
        _require_one_reading(workload, outputs)
        _require_whole(workload)
        _require_within(workload, reading.classes(outputs), reading.ignored)
    for where, split in _splits(workload).items():
        if not len(reading.counted(_targets(split))):
            raise InputError(f"{where} holds no label but {reading.ignored}, which the loss and {name} pass over.")
    labels = reading.counted(_targets(workload.train))
    if workload.train.indexed and _is_constant(labels):
        raise InputError(
            f"train holds one class only, {int(labels[0])}: there is nothing to tell apart; give samples of at least"
            " two."
        )


def _require_one_reading(workload: Workload, outputs: Tensor) -> None:
    """Raises `InputError` if the dimension of the classes is ambiguous."""
    if outputs.ndim > 2 and outputs.shape[1] == outputs.shape[-1] and not losses.is_over_classes(workload.loss):
        raise InputError(
            f"{_name(workload)} cannot tell classes from places in outputs {list(outputs.shape)} under a loss of your"
            f" own: give {_instead(workload, LARGEST)}, or argmax(-1)."
        )


def _require_one_output(workload: Workload, outputs: Tensor) -> None:
    """Functions of scikit-learn take several labels a sample; ours do not."""
    if outputs.ndim == 2 and outputs.shape[1] > 1 and not isinstance(workload.metric.function, SklearnMetric):
        raise InputError(
            f"{_name(workload)} under binary cross entropy is of one output a sample, and the model has"
            f" {outputs.shape[1]}: for the share of right answers among all of them, give"
            " metric=thalweg.Metric(lambda outputs, targets: ((outputs > 0) == targets).double().mean(),"
            " higher_is_better=True)."
        )


def _require_binary(workload: Workload) -> None:
    for name, split in _splits(workload).items():
        labels = _targets(split)
        odd = labels[(labels != 0) & (labels != 1)]
        if len(odd):
            raise InputError(
                f"{name}: {_name(workload)} under binary cross entropy compares labels of 0 and 1, and"
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
                    f"{name}: {_name(workload)} compares numbers of classes, and y holds numbers that are none: give"
                    " another metric, such as 'mse'."
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
