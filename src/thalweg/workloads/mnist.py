"""MNIST and Fashion-MNIST, read from the user's files, with textbook networks."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from thalweg.errors import InputError
from thalweg.workloads.cnn import CNN
from thalweg.workloads.idx import find_idx, read_idx
from thalweg.workloads.mlp import MLP
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload

_TRAINING, _TEST = 60_000, 10_000  # images in the files


def mnist(data_dir: str | os.PathLike[str] | None = None) -> Workload:
    """70,000 handwritten digits of 28×28 pixels, 10 classes, from the four IDX files in `data_dir/mnist`.

    The model is the MLP 784-100-100-100-10 of Hands-On Machine Learning, chapter 11, with He-normal hidden
    layers truncated as Keras does. Inputs are `[samples, 28, 28]` float32 pixels in [0, 1], targets
    `[samples]` int64. The first 55,000 training images train, the last 5,000 validate. The target of 0.97 is
    our choice.

    Args:
        data_dir: the directory that contains `mnist/`; by default the environment variable THALWEG_DATA.

    Raises:
        InputError: no directory is given, a file is missing or unusable, or the sizes are not MNIST's.
    """
    return _mlp_workload("mnist", data_dir, target=0.97)


def fashion_mnist(data_dir: str | os.PathLike[str] | None = None) -> Workload:
    """70,000 pictures of clothes, 28×28, 10 classes, from the four IDX files in `data_dir/fashion-mnist`.

    Everything else is as in `mnist`, except the target of 0.87, also our choice.
    """
    return _mlp_workload("fashion-mnist", data_dir, target=0.87)


def mnist_cnn(data_dir: str | os.PathLike[str] | None = None) -> Workload:
    """The digits of `mnist`, from the same files in `data_dir/mnist`, with the convolutional network of a Keras script.

    The model is `CNN`: two convolutions of 3×3, batch norm after every layer and pool. The first 48,000 training
    images train, the last 12,000 (Keras's `validation_split=0.2`) validate, in batches of 250 for 5 epochs. Inputs,
    targets and errors are those of `mnist`. The target of 0.985 is our choice.
    """
    return _workload(
        "mnist-cnn", "mnist", data_dir, validation=12_000, model=CNN, batch_size=250, epochs=5, target=0.985
    )


def _mlp_workload(name: str, data_dir: str | os.PathLike[str] | None, target: float) -> Workload:
    model = partial(MLP, (784, 100, 100, 100, 10), init="he-truncated-normal")
    return _workload(name, name, data_dir, validation=5_000, model=model, batch_size=32, epochs=10, target=target)


def _workload(
    name: str, images: str, data_dir: str | os.PathLike[str] | None, *, validation: int, **training: Any
) -> Workload:
    """The workload on the files in `images/`; the last `validation` training images are the validation split."""
    folder = _directory(name, images, data_dir) / images
    whole = _read(folder, "train", _TRAINING)
    first = _TRAINING - validation
    return Workload(
        name=name,
        train=Split((whole.inputs[0][:first],), whole.targets[:first]),
        validation=Split((whole.inputs[0][first:],), whole.targets[first:]),
        test=_read(folder, "t10k", _TEST),
        loss=F.cross_entropy,
        metric="accuracy",
        **training,
    )


def _directory(name: str, images: str, data_dir: str | os.PathLike[str] | None) -> Path:
    given = data_dir or os.environ.get("THALWEG_DATA")
    if not given:
        raise InputError(
            f"The workload {name} is read from files: name the directory that holds {images}/ with"
            " `--data-dir DIR` or the environment variable THALWEG_DATA."
        )
    return Path(given)


def _read(folder: Path, part: str, count: int) -> Split:
    """The images of one part, `[count, 28, 28]` float32 in [0, 1], and their classes, `[count]` int64."""
    images_path = find_idx(folder, f"{part}-images-idx3-ubyte")
    labels_path = find_idx(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, rank=3), read_idx(labels_path, rank=1)
    _require_images(images_path, images)
    _require_labels(labels_path, labels, images_path, len(images))
    if len(images) != count:
        raise InputError(f"{images_path} holds {len(images):,} images where {folder.name} has {count:,}.")
    return Split((torch.from_numpy(images).float().div_(255),), torch.from_numpy(labels).long())


def _require_images(path: Path, images: NDArray[np.uint8]) -> None:
    if images.shape[1:] != (28, 28):
        height, width = images.shape[1:]
        raise InputError(f"{path} holds images of {height} by {width} pixels where 28 by 28 are expected.")


def _require_labels(path: Path, labels: NDArray[np.uint8], images_path: Path, count: int) -> None:
    if len(labels) != count:
        raise InputError(f"{path} holds {len(labels):,} labels for the {count:,} images of {images_path}.")
    if labels.max() > 9:
        raise InputError(f"{path} holds the label {labels.max()}; the ten classes are 0 to 9.")
