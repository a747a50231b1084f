"""Samples divided at random into training, validation and test parts, stratified by class."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.errors import InputError, listed, shown
from thalweg.options.ranges import Range, whole

TRAIN = "train"
SHARE = Range(0.0, 1.0, open_low=True, open_high=True)
SEED = whole(0, 2**63 - 1)

Pair: TypeAlias = tuple[Tensor, Tensor]  # inputs and targets
_Counts: TypeAlias = NDArray[np.int64]  # [classes]


def shares(targets: Tensor, shares: Mapping[str, float], seed: int) -> Mapping[str, Tensor]:
    """Divides samples at random: part → the indices of its samples, int64 `[samples of the part]`, in random order.

    The parts are those of `shares` and `"train"`, which takes the rest and comes first. A part has its share of the
    samples, rounded to a whole number. The result is a function of the arguments: no global random state is read or
    written.

    Where targets are int64 `[samples]` with at most `2·√samples` different values, parts are stratified: each of
    `shares` has its share of every class, within one sample if all these shares, train's too, are at least as many
    samples as there are parts. Every class with at least as many samples as there are parts is in all of them; a part
    that is smaller than the number of these classes grows to it. Of a rarer class train has a sample first. Other
    targets are divided without regard to their values.

    Args:
        targets: `[samples, …]`.
        shares: name → share of the samples, in (0, 1); together below 1.
        seed: a whole number from 0 to 2^63 - 1.

    Raises:
        InputError: a share or the seed is out of range, the shares leave nothing, or a part would be empty.
    """
    shares = {name: SHARE.check(name, share) for name, share in shares.items()}
    sizes = _sizes(len(targets), shares)
    generator = torch.Generator().manual_seed(int(SEED.check("seed", seed)))
    order = torch.randperm(len(targets), generator=generator)
    classes, counts = _strata(targets)
    # Of equally good classes the first gets the sample that is left over: none is to be preferred in all parts.
    turn = torch.randperm(len(counts), generator=generator).numpy()
    allocated = np.empty((len(shares), len(counts)), np.int64)
    allocated[:, turn] = _allocated(counts[turn], list(shares.values()), sizes)
    parts = _parts(classes[order.numpy()], counts, allocated)
    index = {name: order[torch.from_numpy(parts == i)] for i, name in enumerate((*shares, TRAIN))}
    return {TRAIN: index[TRAIN], **index}


def divided(inputs: Tensor, targets: Tensor, index: Mapping[str, Tensor]) -> tuple[Pair, Pair, Pair]:
    """The (train, validation, test) pairs of the samples at `index`."""
    train, validation, test = ((inputs[index[n]], targets[index[n]]) for n in (TRAIN, "validation", "test"))
    return train, validation, test


def _sizes(samples: int, shares: Mapping[str, float]) -> list[int]:
    """Samples of each part but train."""
    if not shares:
        raise InputError('shares must name a part and its share at least, such as {"validation": 0.2}.')
    if TRAIN in shares:
        raise InputError(f"{TRAIN} takes what the other parts leave: give no share of its own, got {shown(shares)}.")
    written = listed([f"{name}={share:g}" for name, share in shares.items()])
    if sum(shares.values()) >= 1 - 1e-9:
        raise InputError(f"The shares {written} leave nothing to train on: let them be below 1 together.")
    sizes = {name: int(samples * share + 0.5) for name, share in shares.items()}
    empty = next((n for n, size in {**sizes, TRAIN: samples - sum(sizes.values())}.items() if size < 1), None)
    if empty:
        raise InputError(
            f"{samples:,} samples divided by {written} leave {empty} empty: give more samples or other shares."
        )
    return list(sizes.values())


def _strata(targets: Tensor) -> tuple[NDArray[np.int64], _Counts]:
    """Each sample's class, `[samples]`, and the samples of each; a single class where parts are not stratified."""
    samples = len(targets)
    if targets.ndim == 1 and targets.dtype == torch.int64:
        _, classes, counts = np.unique(targets.cpu().numpy(), return_inverse=True, return_counts=True)
        if len(counts) ** 2 <= 4 * samples:
            return classes.astype(np.int64), counts.astype(np.int64)
    return np.zeros(samples, np.int64), np.array([samples])


def _allocated(counts: _Counts, shares: list[float], sizes: list[int]) -> NDArray[np.int64]:
    """Samples of each class in each part but train, `[parts, classes]`."""
    common = counts > len(shares)  # these are in every part
    left, rows = counts.copy(), []
    for i, (share, size) in enumerate(zip(shares, sizes, strict=True)):
        later = np.where(common, len(shares) - i, 1)  # that train and the parts to come need
        rows.append(_rounded(counts * share, common.astype(np.int64), left - later, size))
        left -= rows[-1]
    return np.array(rows)


def _rounded(quotas: NDArray[Any], least: _Counts, most: _Counts, size: int) -> _Counts:
    """Whole numbers in [least, most] that are `size` together, where these bounds allow it, each near its quota."""
    found: _Counts = np.clip(np.floor(quotas).astype(np.int64), least, most)
    while found.sum() < size and (found < most).any():
        found[np.where(found < most, quotas - found, -np.inf).argmax()] += 1
    while found.sum() > size and (found > least).any():
        found[np.where(found > least, found - quotas, -np.inf).argmax()] -= 1
    return found


def _parts(classes: NDArray[np.int64], counts: _Counts, allocated: NDArray[np.int64]) -> NDArray[np.int64]:
    """The part of each sample, `[samples]`: of a class the first go to the first part; what is left is train's."""
    grouped = np.argsort(classes, kind="stable")
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(classes), np.int64)  # of a sample within its class
    ranks[grouped] = np.arange(len(classes)) - np.repeat(starts, counts)
    ends = np.cumsum(allocated, axis=0)
    parts = np.zeros(len(classes), np.int64)
    for end in ends:
        parts += ranks >= end[classes]
    return parts
