"""Images in a folder for each class as training data."""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError, counted, shown
from thalweg.options.ranges import whole
from thalweg.workloads.data import Pairs
from thalweg.workloads.image_files import CONVERSIONS, EXTENSIONS, find_images, read_pixels, read_size, require_pillow
from thalweg.workloads.reading import DataWarning, require_memory
from thalweg.workloads.splitting import Pair, divided, shares

PIXELS = whole(1, 2**16)  # of a side
BYTES = 4  # of a float32
WITH_OPACITY = 4  # channels


@dataclass(frozen=True, eq=False)  # compared by identity: `==` of tensors has no single truth value
class ImageFolder(Pairs):
    """Images and their classes, to unpack as a pair: `X, y = images`.

    inputs: float32 `[images, channels, height, width]` in [0, 1]. targets: int64 `[images]`, positions in `classes`.
    classes: the folders' names, sorted. files: the images' paths in the order of `inputs`.
    """

    inputs: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    files: tuple[Path, ...]

    def split(self, validation: float = 0.2, test: float = 0.2, seed: int = 0) -> tuple[Pair, Pair, Pair]:
        """(train, validation, test), each a pair (inputs, targets), divided at random and stratified by class.

        Args:
            validation, test: shares of the images, in (0, 1), together below 1.
            seed: a whole number from 0 to 2^63 - 1, on which alone the division depends.

        Raises:
            InputError: an argument is out of range, or a part would be empty.
        """
        return divided(self.inputs, self.targets, shares(self.targets, {"validation": validation, "test": test}, seed))


def image_folder(
    path: "str | os.PathLike[str]", *, size: Sequence[int] | None = None, channels: int = 3
) -> ImageFolder:
    """Reads the images of a folder that has a folder for each class: `X, y = thalweg.image_folder("flowers")`.

    A class has its images straight in its folder: .jpg, .jpeg, .png, .bmp and .webp, in any case, in the order of their
    names. They are turned as their EXIF orientation says, as viewers show them. Hidden files are passed over; other
    files are left out with a `DataWarning`, and so is transparency unless there are four channels.

    Args:
        path: the folder of the classes' folders.
        size: `(height, width)` in pixels, each from 1 to 65,536, to which every image is resized (bilinear, averaging
            where it shrinks, whatever its proportions); `None` for images that have one size.
        channels: 3 for red, green and blue, 1 for grey, 4 for red, green, blue and opacity; others are converted.

    Raises:
        InputError: Pillow is missing; there is no such folder; it has no folders, or one of them has no images or
            folders of its own; an image cannot be read, is animated or has more than 8 bits per channel; images have
            several sizes and there is no `size`; an argument is out of range; or the images do not fit into memory.
    """
    if not isinstance(channels, int) or isinstance(channels, bool) or channels not in CONVERSIONS:
        raise InputError(f"channels must be 1 (grey), 3 (RGB) or 4 (RGBA), got {shown(channels)}.")
    asked = None if size is None else _size(size)
    folder = _path(path)
    require_pillow()
    found = find_images(folder)
    files = [file for of_class in found.files for file in of_class]
    inputs, transparent = _read(files, channels, asked)
    for sentence in _notes(found.others, 0 if channels == WITH_OPACITY else transparent):
        warnings.warn(sentence, DataWarning, stacklevel=2)
    counts = torch.tensor([len(of_class) for of_class in found.files])
    targets = torch.arange(len(counts)).repeat_interleave(counts)
    return ImageFolder(inputs, targets, tuple(found.classes), tuple(files))


def _read(files: Sequence[Path], channels: int, asked: tuple[int, int] | None) -> tuple[Tensor, int]:
    """(float32 `[images, channels, height, width]` in [0, 1], how many of the images have transparent pixels)."""
    height, width = asked or read_size(files[0])
    require_memory(
        len(files) * channels * height * width * BYTES,
        f"{counted(len(files), 'image')} of {height:,}×{width:,} pixels",
        "give a smaller size= or fewer images",
    )
    inputs, transparent = torch.empty(len(files), channels, height, width), 0
    for i, file in enumerate(files):
        pixels, is_transparent = read_pixels(file, channels, asked)
        if pixels.shape[1:] != (height, width):
            raise InputError(
                f"The images must have one size, and {files[0]} has {height}×{width} and {file} has"
                f" {pixels.shape[1]}×{pixels.shape[2]} (height×width): give size=(height, width) to resize all."
            )
        inputs[i] = pixels
        transparent += is_transparent
    return inputs.div_(255), transparent


def _notes(others: Sequence[Path], transparent: int) -> Iterator[str]:
    """What to warn of: files that are no images, and images of which the opacity is not read."""
    if others:
        yield f"{counted(len(others), 'file')} left out, no images of {', '.join(EXTENSIONS)}: such as {others[0]}."
    if transparent:
        yield (
            f"{counted(transparent, 'image')} with transparent pixels, whose colours are read as if they were opaque;"
            " channels=4 reads their opacity, too."
        )


def _size(size: Any) -> tuple[int, int]:
    sides = [PIXELS.read(side) for side in size] if isinstance(size, Sequence) and not isinstance(size, str) else []
    if len(sides) != 2 or None in sides:
        raise InputError(
            f"size must be (height, width), two whole numbers {PIXELS.accepted.removeprefix('a whole number ')}, got"
            f" {shown(size)}."
        )
    height, width = (int(side) for side in sides if side is not None)
    return height, width


def _path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path must be the path of a folder, got {shown(path)}.")
    return Path(os.fspath(path))
