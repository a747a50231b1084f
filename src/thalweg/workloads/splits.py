"""The splits of a workload, of whatever form the user gave them in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from thalweg.errors import InputError
from thalweg.workloads.data import Pairs, paired
from thalweg.workloads.datasets import is_dataset, read
from thalweg.workloads.split import Split
from thalweg.workloads.stream import Stream

WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32)  # dtypes of labels, beside int64


def as_split(name: str, data: Any, *, step: bool, of_classes: bool, batch_size: Any) -> Split | Stream:
    """A split's samples. step: whether a custom step takes them. of_classes: whether whole targets are labels.
    batch_size: the workload's, if it is given, in which a dataset is streamed.

    Raises `InputError` where they are no samples, none, or of several lengths.
    """
    if isinstance(data, Stream):
        if name != "train":
            raise InputError(f"{name} must be a pair (X, y) of tensors: only train may be a stream.")
        return data if data.step == step else replace(data, step=step)
    if isinstance(data, Pairs):
        data = tuple(data)
    if is_dataset(data):
        data = read(name, data, train=name == "train", step=step, batch_size=batch_size)
        if isinstance(data, Stream):
            return data
    split = data if isinstance(data, Split) else Split(*paired(name, data, step=step))
    if of_classes and split.targets.dtype in WHOLE:
        split = replace(split, targets=split.targets.long())  # as torch's losses over classes take labels
    lengths = {len(x) for x in split.inputs} | {len(split)}
    if lengths == {0} or not (split.inputs or step):
        raise InputError(f"{name} holds no samples; give it at least one.")
    if len(lengths) > 1:
        raise InputError(f"{name}: X and y must be of one length, got lengths {sorted(lengths)}.")
    return split


def require_alike(splits: Mapping[str, Split | Stream | None]) -> None:
    """Requires all splits in memory to be given to the user's code in the same way."""
    train = splits["train"]
    if isinstance(train, Stream):  # as its first batch
        splits = {**splits, "train": Split(*train.first([1])[0], train.layout)}
    counts = {name: len(split.inputs) for name, split in splits.items() if isinstance(split, Split)}
    other = next((name for name, count in counts.items() if count != counts.get("train", count)), None)
    if other:
        raise InputError(
            f"{other} has {counts[other]} inputs and train has {counts['train']}; give all splits the same."
        )
    layouts = {name: split.layout for name, split in splits.items() if isinstance(split, Split)}
    other = next((name for name, layout in layouts.items() if layout != layouts.get("train", layout)), None)
    if other:
        raise InputError(f"{other} is laid out otherwise than train: give all splits the same names, in one order.")
