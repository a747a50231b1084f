"""Folders of images as tensors: pixels as written, and what is not as assumed is refused in a sentence."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from thalweg.errors import InputError
from thalweg.workloads import reading
from thalweg.workloads.image_folder import image_folder
from thalweg.workloads.reading import DataWarning, memory_bytes, require_memory

COLOURS = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)  # [images, height, width, RGB]


@pytest.fixture
def pil() -> Any:
    return pytest.importorskip("PIL.Image", reason="Pillow is not installed")


@pytest.fixture
def folder(tmp_path: Path, pil: Any) -> Path:
    """Two cats and a dog of 4×6 pixels."""
    for file, pixels in zip(("dog/a.png", "cat/b.PNG", "cat/a.bmp"), COLOURS, strict=True):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        pil.fromarray(pixels).save(tmp_path / file)
    return tmp_path


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        image_folder(*arguments, **options)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("form", [str, Path])
def test_pixels_and_classes(folder, form):
    found = thalweg.image_folder(form(folder))
    assert found.classes == ("cat", "dog")
    assert [file.relative_to(folder).as_posix() for file in found.files] == ["cat/a.bmp", "cat/b.PNG", "dog/a.png"]
    assert found.targets.tolist() == [0, 0, 1]
    assert (found.inputs.dtype, found.targets.dtype) == (torch.float32, torch.int64)
    np.testing.assert_array_equal(found.inputs, COLOURS[[2, 1, 0]].transpose(0, 3, 1, 2) / np.float32(255))


def test_it_is_a_pair(folder):
    found = image_folder(folder)
    x, y = found
    assert x is found.inputs
    assert y is found.targets


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp"])
def test_other_formats_are_near_what_was_saved(tmp_path, pil, name):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (16, 1, 3))
    (tmp_path / "class").mkdir()
    pil.fromarray(ramp).save(tmp_path / "class" / name, quality=95)
    found = image_folder(tmp_path).inputs[0]
    assert found.shape == (3, 16, 64)
    assert (found - torch.from_numpy(ramp).permute(2, 0, 1) / 255).abs().max() < 0.03


def test_grey_is_luminance(folder):
    found = image_folder(folder, channels=1).inputs
    wanted = COLOURS[[2, 1, 0]] @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert found.shape == (3, 1, 4, 6)
    np.testing.assert_allclose(found[:, 0] * 255, wanted, atol=1)


def test_grey_images_in_three_channels(tmp_path, pil):
    (tmp_path / "class").mkdir()
    pil.fromarray(COLOURS[0, ..., 0]).save(tmp_path / "class" / "a.png")
    found = image_folder(tmp_path).inputs[0]
    for channel in found:
        np.testing.assert_array_equal(channel, COLOURS[0, ..., 0] / np.float32(255))


def test_resizing_is_bilinear(tmp_path, pil):
    big = np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    (tmp_path / "class").mkdir()
    pil.fromarray(big).save(tmp_path / "class" / "a.png")
    pil.fromarray(big[:6, :4]).save(tmp_path / "class" / "b.png")
    found = image_folder(tmp_path, size=(6, 4)).inputs
    wanted = F.interpolate(
        torch.from_numpy(big).permute(2, 0, 1)[None].float(), (6, 4), mode="bilinear", antialias=True
    )
    assert found.shape == (2, 3, 6, 4)
    assert (found[0] * 255 - wanted[0]).abs().max() < 2  # Pillow rounds after each of two passes
    np.testing.assert_array_equal(found[1], big[:6, :4].transpose(2, 0, 1) / np.float32(255))


def test_an_image_is_turned_as_its_orientation_says(tmp_path, pil):
    (tmp_path / "class").mkdir()
    exif = pil.Exif()
    exif[0x0112] = 6  # the camera was held upright: to be shown, it is turned by 90° clockwise
    pil.fromarray(COLOURS[0]).save(tmp_path / "class" / "a.png", exif=exif)
    found = image_folder(tmp_path).inputs[0]
    np.testing.assert_array_equal(found, np.rot90(COLOURS[0], -1).transpose(2, 0, 1) / np.float32(255))


def test_transparency_is_said_or_read(tmp_path, pil):
    pixels = np.dstack([COLOURS[0], np.full((4, 6), 255, np.uint8)])
    (tmp_path / "class").mkdir()
    pil.fromarray(pixels).save(tmp_path / "class" / "opaque.png")
    opaque = image_folder(tmp_path).inputs  # warnings are errors here
    pixels[0, 0, 3] = 100
    pil.fromarray(pixels).save(tmp_path / "class" / "other.png")
    with pytest.warns(DataWarning, match="1 image with transparent pixels"):
        found = image_folder(tmp_path).inputs
    assert torch.equal(found[0], opaque[0])
    assert torch.equal(found[1], opaque[0])
    np.testing.assert_array_equal(
        image_folder(tmp_path, channels=4).inputs[1], pixels.transpose(2, 0, 1) / np.float32(255)
    )


def test_palettes_with_transparency(tmp_path, pil):
    (tmp_path / "class").mkdir()
    image = pil.fromarray(COLOURS[0]).quantize(8)
    wanted = np.array(image.convert("RGB"))
    image.save(tmp_path / "class" / "a.png", transparency=bytes([0] * 8))
    with pytest.warns(DataWarning, match="1 image with transparent pixels"):
        found = image_folder(tmp_path).inputs[0]
    np.testing.assert_array_equal(found, wanted.transpose(2, 0, 1) / np.float32(255))


def test_other_files_are_said_and_hidden_ones_passed_over(folder):
    for name in (".DS_Store", "cat/.hidden.png", "cat/Thumbs.db"):
        (folder / name).touch()
    (folder / ".ipynb_checkpoints").mkdir()
    assert len(image_folder(folder).inputs) == 3
    (folder / "dog" / "list.txt").touch()
    with pytest.warns(DataWarning, match=r"1 file left out, no images of \.jpg, .*: such as .*dog/list\.txt\."):
        assert len(image_folder(folder).inputs) == 3


def test_a_split_is_stratified_and_a_workload_takes_it(tmp_path, pil):
    for name, images in (("a", 20), ("b", 10)):
        (tmp_path / name).mkdir()
        for i in range(images):
            pil.new("L", (2, 2), color=i).save(tmp_path / name / f"{i:02}.png")
    whole = image_folder(tmp_path, channels=1)
    parts = whole.split(validation=0.2, test=0.1, seed=1)
    assert [np.bincount(y).tolist() for _, y in parts] == [[14, 7], [4, 2], [2, 1]]
    pairs = [(round(x.mean().item() * 255), c.item()) for xs, ys in parts for x, c in zip(xs, ys, strict=True)]
    assert sorted(pairs) == sorted((i, c) for c, images in ((0, 20), (1, 10)) for i in range(images))
    train, validation, test = parts
    thalweg.Workload(
        name="grey",
        model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
        train=train,
        validation=validation,
        test=test,
    )


def test_several_sizes_name_two_files(folder, pil):
    pil.fromarray(COLOURS[0, :3]).save(folder / "dog" / "small.png")
    message = refusal(folder)
    assert f"{folder}/cat/a.bmp has 4×6 and {folder}/dog/small.png has 3×6 (height×width): give size=" in message


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_an_unreadable_image_is_named(folder, content):
    file = folder / "dog" / "broken.png"
    file.write_bytes((folder / "dog" / "a.png").read_bytes()[:60] if content == "truncated" else content)
    assert f"{file} cannot be read as an image (" in refusal(folder)


def test_more_bits_and_several_pictures_are_refused(folder, pil):
    file = folder / "dog" / "a.png"
    pil.fromarray(np.full((4, 6), 1000, np.uint16)).save(file)
    assert f"{file} has more than 8 bits per channel (Pillow's mode I;16)" in refusal(folder)
    first, second = map(pil.fromarray, COLOURS[:2])
    first.save(file, save_all=True, append_images=[second])
    assert f"{file} is animated: give one picture per file." in refusal(folder)


def test_folders_that_do_not_fit(folder):
    assert f"The folder '{folder}/no' does not exist: give the one that holds" in refusal(folder / "no")
    assert "b.PNG' is a file: give the one" in refusal(folder / "cat" / "b.PNG")
    assert "cat' has no folders (2 images lie straight in it): give the one" in refusal(folder / "cat")
    (folder / "none").mkdir()
    assert "none' has no folders: give" in refusal(folder / "none")
    assert "The class folder '" in (message := refusal(folder))
    assert "none' has no images (.jpg, .jpeg, .png, .bmp, .webp); add some, or remove it." in message
    (folder / "none" / "inner").mkdir()
    assert "none' has folders of its own, such as 'inner': give the folder of one split" in refusal(folder)


@pytest.mark.parametrize("channels", [0, 2, True, "3", 3.0, [3], None])
def test_refused_channels(tmp_path, channels):
    assert "channels must be 1 (grey), 3 (RGB) or 4 (RGBA), got " in refusal(tmp_path, channels=channels)


@pytest.mark.parametrize("size", [32, (32,), (32, 32, 3), (0, 4), (4, 2.5), "ab", (4, 65_537), (True, 4)])
def test_refused_sizes(tmp_path, size):
    message = refusal(tmp_path, size=size)
    assert "size must be (height, width), two whole numbers from 1 to 65,536, got " in message


def test_refused_paths():
    assert refusal(3) == "path must be the path of a folder, got 3."


def test_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "Pillow, which is not installed: run pip install 'thalweg[images]'." in refusal(tmp_path)


def test_more_than_the_memory(folder, monkeypatch):
    monkeypatch.setattr(reading, "memory_bytes", lambda: 3 * 3 * 4 * 6 * 4 - 1)
    assert "3 images of 4×6 pixels need 864 bytes, and the memory has 863: give a smaller size=" in refusal(folder)
    assert image_folder(folder, size=(4, 5)).inputs.shape == (3, 3, 4, 5)


def test_the_memory_may_be_unknown(monkeypatch):
    assert (memory_bytes() or 0) > 2**20
    with pytest.raises(InputError, match=r"The images need 1,208,925,819,614,629,174,706,176 bytes, .*: give fewer\."):
        require_memory(2**80, "The images", "give fewer")
    monkeypatch.delattr(os, "sysconf")
    assert memory_bytes() is None
    require_memory(2**80, "The images", "give fewer")
