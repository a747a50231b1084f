"""Folders of image files, and the pixels of one file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError, first_line, shown

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
CONVERSIONS: Mapping[int, str] = {1: "L", 3: "RGB", 4: "RGBA"}  # channels → Pillow's mode
EIGHT_BITS = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
ANIMATIONS = {"PNG", "WEBP"}  # the second picture of a JPEG file is a preview


@dataclass(frozen=True)
class FoundImages:
    """`classes`: the folders' names, sorted. `files`: the images of each, sorted. `others`: files that are none."""

    classes: Sequence[str]
    files: Sequence[Sequence[Path]]
    others: Sequence[Path]


def require_pillow() -> None:
    """Raises `InputError` where Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise InputError(
            "Images are read by Pillow, which is not installed: run pip install 'thalweg[images]'."
        ) from None


def find_images(folder: Path) -> FoundImages:
    """The images of a folder of classes' folders; hidden files and folders are passed over.

    Raises `InputError`: the folder does not exist, has no folders, or one of these has no images or folders of its own.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"The folder '{folder}' {what}: give the one that holds a folder for each class.")
    inner, others = _listing(folder)
    if not inner:
        images = sum(_is_image(file) for file in others)
        held = f" ({images:,} images lie straight in it)" if images else ""
        raise InputError(f"The folder '{folder}' has no folders{held}: give the one with a folder for each class.")
    files = []
    for one in inner:
        deeper, found = _listing(one)
        if deeper:
            raise InputError(
                f"The class folder '{one}' has folders of its own, such as {shown(deeper[0].name)}: give the"
                " folder of one split, whose classes have their images straight in their folders."
            )
        files.append([file for file in found if _is_image(file)])
        others += [file for file in found if not _is_image(file)]
        if not files[-1]:
            raise InputError(
                f"The class folder '{one}' has no images ({', '.join(EXTENSIONS)}); add some, or remove it."
            )
    return FoundImages([one.name for one in inner], files, others)


def read_size(file: Path) -> tuple[int, int]:
    """Height and width in pixels of an image as it is shown. Raises `InputError` if it cannot be read."""
    with _opened(file) as image:
        return image.height, image.width


def read_pixels(file: Path, channels: int, size: tuple[int, int] | None) -> tuple[Tensor, bool]:
    """(uint8 `[channels, height, width]`, whether anything in the image is transparent).

    size: (height, width) to which it is resized, bilinearly; `None` keeps its own. Raises `InputError` if it cannot be
    read, is animated, or has more than 8 bits per channel.
    """
    from PIL.Image import Resampling

    with _opened(file) as image:
        transparent = image.has_transparency_data
        if transparent:  # straight to RGB, Pillow would warn of palettes
            image = image.convert("RGBA")
            transparent = np.asarray(image)[..., 3].min() < 255
        image = image.convert(CONVERSIONS[channels])
        if size is not None and size != (image.height, image.width):
            image = image.resize((size[1], size[0]), Resampling.BILINEAR)
        pixels = np.array(image).reshape(image.height, image.width, channels)
    return torch.from_numpy(pixels).permute(2, 0, 1), bool(transparent)


@contextmanager
def _opened(file: Path) -> "Iterator[Image]":
    """An image, decoded, and turned as its EXIF orientation says."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            if image.format in ANIMATIONS and getattr(image, "is_animated", False):
                raise InputError(f"{file} is animated: give one picture per file.")
            if image.mode not in EIGHT_BITS:  # converted by Pillow, most of their values would be cut off at 255
                raise InputError(
                    f"{file} has more than 8 bits per channel (Pillow's mode {image.mode}): convert it to 8 bits."
                )
            yield ImageOps.exif_transpose(image)
    except InputError:
        raise
    except Exception as error:  # decoders raise classes of their own
        reason = first_line(error).rstrip(".") or type(error).__name__
        raise InputError(f"{file} cannot be read as an image ({reason}): replace or remove it.") from None


def _listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, sorted by name, without hidden ones."""
    try:
        entries = sorted(Path(entry) for entry in os.scandir(folder) if not entry.name.startswith((".", "Thumbs.db")))
        return [entry for entry in entries if entry.is_dir()], [entry for entry in entries if not entry.is_dir()]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or first_line(error)}.") from None


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in EXTENSIONS
