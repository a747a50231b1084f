"""The 8×8 digits of scikit-learn: the smallest workload, with no file to fetch."""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from thalweg.workloads.mlp import MLP, he_normal
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload


def digits() -> Workload:
    """1,797 handwritten digits, 10 classes, for an MLP 64-100-100-100-10 with He-normal hidden layers.

    Inputs are `[samples, 64]` float32 pixels in [0, 1], targets `[samples]` int64. The splits of
    60, 20 and 20 % (1,077, 360 and 360 samples) are stratified by class and drawn with seed 0. The target of
    0.95 is our choice.
    """
    data = load_digits()
    samples = ((data.data / 16).astype(np.float32), data.target.astype(np.int64))
    rest, test = _divided(samples, 0.2)
    train, validation = _divided(rest, 0.25)
    return Workload(
        name="digits",
        model=partial(MLP, (64, 100, 100, 100, 10), he_normal),
        train=_split(train),
        validation=_split(validation),
        test=_split(test),
        loss=F.cross_entropy,
        metric="accuracy",
        batch_size=32,
        epochs=20,
        target=0.95,
    )


_Samples = tuple[np.ndarray, np.ndarray]  # pixels [samples, 64] and classes [samples]


def _divided(samples: _Samples, share: float) -> tuple[_Samples, _Samples]:
    """Splits off a share in (0, 1), stratified by class: (remaining samples, the share)."""
    x, y = samples
    x_rest, x_share, y_rest, y_share = train_test_split(x, y, test_size=share, stratify=y, random_state=0)
    return (x_rest, y_rest), (x_share, y_share)


def _split(samples: _Samples) -> Split:
    x, y = samples
    return Split((torch.from_numpy(x),), torch.from_numpy(y))
