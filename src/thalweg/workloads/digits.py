"""The 8×8 digits of scikit-learn: the smallest workload, with no file to fetch."""

import gzip
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from thalweg.workloads.mlp import MLP
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload


def digits() -> Workload:
    """1,797 handwritten digits, 10 classes, for an MLP 64-100-100-100-10 with He-normal hidden layers.

    Inputs are `[samples, 64]` float32 pixels in [0, 1], targets `[samples]` int64. The splits of
    60, 20 and 20 % (1,077, 360 and 360 samples) are stratified by class and drawn with seed 0. The target of
    0.95 is our choice.
    """
    train, validation, test = _splits()
    return Workload(
        name="digits",
        model=partial(MLP, (64, 100, 100, 100, 10), init="he-normal"),
        train=train,
        validation=validation,
        test=test,
        loss=F.cross_entropy,
        metric="accuracy",
        batch_size=32,
        epochs=20,
        target=0.95,
    )


SIZES = (1077, 360, 360)


def _splits() -> Iterator[Split]:
    """The splits for training, validation and testing.

    `digits_split.bin` has the samples of each in their order (uint16), as `sklearn.model_selection.train_test_split`
    drew them: no version of it can change them, and importing it would take a second.
    """
    rows = _rows()
    order = np.frombuffer((files("thalweg.workloads") / "digits_split.bin").read_bytes(), "<u2")
    for part in np.split(order, np.cumsum(SIZES)[:-1]):
        pixels, classes = rows[part, :-1], rows[part, -1]
        yield Split((torch.from_numpy((pixels / 16).astype(np.float32)),), torch.from_numpy(classes.astype(np.int64)))


def _rows() -> NDArray[Any]:
    """Pixels in 0 to 16 and the class of every sample, `[1797, 65]`: of scikit-learn's file, without importing it."""
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.exists():
            with gzip.open(file, "rt") as text:
                return np.asarray(np.loadtxt(text, delimiter=","))
    from sklearn.datasets import load_digits  # another version may keep its file elsewhere

    data = load_digits()
    found: NDArray[Any] = np.c_[data.data, data.target]
    return found
