"""Validation and test splits as shares of the training samples."""

import numbers
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.workloads.data import Pairs
from thalweg.workloads.split import Split
from thalweg.workloads.splitting import SEED, TRAIN, shares


def is_share(data: Any) -> bool:
    """Whether a split is given as a share of the training samples, a number."""
    return isinstance(data, numbers.Real) and not isinstance(data, bool)


def divided_by(train: Any, of: Mapping[str, float], seed: int, table: Pairs | None = None) -> dict[str, Split]:
    """The parts of the training samples: "train", and those of `of`, a name → a share in (0, 1).

    table: where the samples come from, if it prepares them by those to train on. A function of the arguments,
    stratified where the targets are classes. Raises `InputError` for a stream, samples that are drawn by weights, or a
    share that leaves nothing.
    """
    if not isinstance(train, Split):
        raise InputError(
            f"{' and '.join(of)} cannot be split off of a stream, which train is, or is read as where its samples are"
            " random, differ in shape or dtype, or do not fit into memory: give it as tensors of its own."
        )
    if train.sampling is not None and train.sampling.weights is not None:
        raise InputError(
            f"{' and '.join(of)} cannot be split off of samples that are drawn by weights: give it by itself."
        )
    index = shares(train.targets, of, int(SEED.check("split_seed", seed)))
    if table is not None:
        train = replace(train, inputs=(table.inputs_by(index[TRAIN]),))
    return {name: _part(train, torch.sort(chosen).values, is_train=name == TRAIN) for name, chosen in index.items()}


def _part(train: Split, index: Tensor, *, is_train: bool) -> Split:
    part = train.mapped(lambda t: t.index_select(0, index))
    return replace(part, sampling=train.sampling) if is_train else part
