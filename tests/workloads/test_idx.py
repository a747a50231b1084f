"""Every way in which an IDX file can be unusable is told in one sentence that names the file."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from thalweg.errors import InputError
from thalweg.workloads.idx import find_idx, read_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([3, 1, 4], dtype=np.uint8)


def encoded(values: np.ndarray, kind: int = 0x08) -> bytes:
    lengths = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, kind, values.ndim]) + lengths + values.tobytes()


def refusal(path: Path, content: bytes, rank: int = 3) -> str:
    """The sentence with which a file of that content is refused; it always names the file."""
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_idx(path, rank)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train-images-idx3-ubyte"


@pytest.mark.parametrize(("values", "rank"), [(IMAGES, 3), (LABELS, 1)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["data", "data.gz"])
def test_values_come_back_whether_or_not_gzipped_and_however_named(tmp_path, values, rank, pack, name):
    (tmp_path / name).write_bytes(pack(encoded(values)))
    read = read_idx(tmp_path / name, rank)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    np.testing.assert_array_equal(read, values)


def test_values_larger_than_one_chunk_come_back(path):
    values = np.random.default_rng(0).integers(0, 256, (3, 700, 1024), dtype=np.uint8)
    path.write_bytes(gzip.compress(encoded(values), compresslevel=0))
    np.testing.assert_array_equal(read_idx(path, 3), values)


def test_find_prefers_the_plain_file_and_passes_over_a_directory(tmp_path):
    zipped = tmp_path / "a.gz"
    zipped.touch()
    assert find_idx(tmp_path, "a") == zipped
    (tmp_path / "a").mkdir()
    assert find_idx(tmp_path, "a") == zipped
    (tmp_path / "a").rmdir()
    (tmp_path / "a").touch()
    assert find_idx(tmp_path, "a") == tmp_path / "a"


def test_missing_names_both_files_and_how_to_set_the_directory(tmp_path):
    with pytest.raises(InputError) as caught:
        find_idx(tmp_path / "mnist", "labels")
    for part in (
        f"{tmp_path}/mnist/labels ",
        f"{tmp_path}/mnist/labels.gz ",
        "`--data-dir DIR`",
        "THALWEG_DATA",
    ):
        assert part in str(caught.value)


def test_a_directory_in_place_of_the_file(tmp_path):
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match="labels is not a file but a directory"):
        find_idx(tmp_path, "labels")
    with pytest.raises(InputError, match="labels cannot be read: Is a directory"):
        read_idx(tmp_path / "labels", 1)


def test_no_permission(path, monkeypatch):
    def denied(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    path.touch()
    monkeypatch.setattr(Path, "open", denied)  # a mode of 000 would not stop root
    with pytest.raises(InputError, match="ubyte cannot be read: Permission denied"):
        read_idx(path, 3)
    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(InputError, match="ubyte cannot be read: Permission denied"):
        find_idx(path.parent, path.name)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_truncated_body(path, pack):
    message = refusal(path, pack(encoded(IMAGES)[:-5]))
    assert "is truncated: 24 bytes of data were expected and 19 found" in message


@pytest.mark.parametrize(("kept", "expected"), [(0, 4), (3, 4), (4, 12), (15, 12)])
def test_truncated_header(path, kept, expected):
    found = kept if kept < 4 else kept - 4
    message = refusal(path, encoded(IMAGES)[:kept])
    assert f"{expected} bytes of header were expected and {found} found" in message


def test_truncated_gzip_counts_what_came_before_the_cut(path):
    values = np.random.default_rng(0).integers(0, 256, (100, 28, 28), dtype=np.uint8)
    packed = gzip.compress(encoded(values))
    message = refusal(path, packed[: len(packed) // 2])
    assert "78,400 bytes of data were expected and " in message
    found = int(message.split(" and ")[1].split(" ")[0].replace(",", ""))
    assert 30_000 < found < 50_000  # half of what cannot be compressed


@pytest.mark.parametrize("cut", range(1, 9))
def test_gzip_without_its_trailer(path, cut):
    assert "truncated gzip file" in refusal(path, gzip.compress(encoded(IMAGES))[:-cut])


def test_every_cut_of_a_gzip_file_is_refused(path):
    packed = gzip.compress(encoded(IMAGES))
    for kept in range(len(packed)):
        refusal(path, packed[:kept])


def test_damaged_gzip(path):
    packed = bytearray(gzip.compress(encoded(IMAGES)))
    packed[-8] ^= 1  # the checksum
    assert "damaged gzip file (CRC check failed" in refusal(path, bytes(packed))
    packed[10] = 0xFF  # the first block's type
    assert "damaged gzip file (Error -3" in refusal(path, bytes(packed))


def test_wrong_magic_number(path):
    assert "no IDX file: its magic number 0x3c21444f" in refusal(path, b"<!DOCTYPE html>")


def test_wrong_type(path):
    assert "IDX type 0x0d; only 0x08, uint8" in refusal(path, encoded(IMAGES, kind=0x0D))


def test_wrong_rank(path):
    assert "rank 1, not the expected 3" in refusal(path, encoded(LABELS), rank=3)
    assert "rank 3, not the expected 1" in refusal(path, encoded(IMAGES), rank=1)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_trailing_bytes(path, pack):
    assert "has 7 trailing bytes after the 24" in refusal(path, pack(encoded(IMAGES) + bytes(7)))


def test_no_values(path):
    assert "holds no values: its header announces the shape [0, 28, 28]" in refusal(
        path, encoded(np.empty((0, 28, 28), np.uint8))
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_claims_four_billion_images_allocates_nothing(path, pack):
    claim = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
    tracemalloc.start()
    try:
        message = refusal(path, pack(claim + bytes(100)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"{(2**32 - 1) ** 3:,} bytes of data were expected and 100 found" in message
    assert peak < 8e6
