"""Reader for IDX, the file format of MNIST: a big-endian header, then `uint8` values.

The header is two zero bytes, a type byte (0x08: uint8), the rank, and one 32-bit length for every dimension.
The announced size is never allocated: the body is read in chunks, so memory follows the file, not the header.
"""

import contextlib
import gzip
import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalweg.errors import InputError

_Stream: TypeAlias = BufferedReader | gzip.GzipFile
_CHUNK = 1 << 20  # bytes per read
_UINT8 = 0x08


def find_idx(directory: Path, name: str) -> Path:
    """The file `name` or `name.gz` of a directory; the uncompressed one if both exist.

    Raises:
        InputError: neither is a readable file.
    """
    plain, zipped = candidates = directory / name, directory / f"{name}.gz"
    try:
        for path in candidates:
            if path.is_file():
                return path
        for path in candidates:
            if path.exists():
                raise InputError(f"{path} is not a file{' but a directory' if path.is_dir() else ''}.")
    except OSError as error:
        raise _unreadable(plain, error) from None
    raise InputError(
        f"Neither {plain} nor {zipped} exists: name the directory that holds {directory.name}/ with"
        " `--data-dir DIR` or the environment variable THALWEG_DATA."
    )


def read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """The values of an IDX file of `uint8`, in a new array of `rank` dimensions (3: images, 1: labels).

    Gzip is detected by its first bytes, not by the name: browsers unzip downloads and keep their names.

    Raises:
        InputError: the file cannot be read, is truncated or damaged, has another type or rank than expected, is
            empty, or has trailing bytes.
    """
    try:
        with path.open("rb") as file:
            zipped = file.peek(2)[:2] == b"\x1f\x8b"
            return _parse(path, gzip.GzipFile(fileobj=file) if zipped else file, rank)
    except EOFError:  # only the gzip trailer can be missing here: `_take` stops at a shorter end
        raise InputError(f"{path} is a truncated gzip file: its end is missing; fetch it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is a damaged gzip file ({error}); fetch it again.") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {error.strerror or error}.")


def _parse(path: Path, stream: _Stream, rank: int) -> NDArray[np.uint8]:
    shape = _shape(path, stream, rank)
    body = _take(path, stream, math.prod(shape), "data")
    trailing = 0
    while chunk := stream.read1(_CHUNK):  # reading to the end also lets gzip verify its checksum
        trailing += len(chunk)
    if trailing:
        raise InputError(f"{path} has {trailing:,} trailing bytes after the {len(body):,} its header announces.")
    return np.frombuffer(body, np.uint8).reshape(shape)


def _shape(path: Path, stream: _Stream, rank: int) -> tuple[int, ...]:
    """The shape in the header, after checks of its other fields."""
    zero, kind, found_rank = struct.unpack(">HBB", magic := _take(path, stream, 4, "header"))
    if zero:
        raise InputError(f"{path} is no IDX file: its magic number 0x{magic.hex()} does not start with 0x0000.")
    if kind != _UINT8:
        raise InputError(f"{path} holds values of IDX type 0x{kind:02x}; only 0x{_UINT8:02x}, uint8, is read.")
    if found_rank != rank:
        raise InputError(
            f"{path} holds values of rank {found_rank}, not the expected {rank} (images have 3, labels 1)."
        )
    shape: tuple[int, ...] = struct.unpack(f">{rank}I", _take(path, stream, 4 * rank, "header"))
    if 0 in shape:
        raise InputError(f"{path} holds no values: its header announces the shape {list(shape)}.")
    return shape


def _take(path: Path, stream: _Stream, count: int, part: str) -> bytearray:
    """The next `count` bytes; `part` is what the error calls them."""
    taken = bytearray()
    with contextlib.suppress(EOFError):  # a truncated gzip file; the bytes before the cut are counted
        # read1 instead of read, which allocates the requested size and drops the bytes before a cut.
        while len(taken) < count and (chunk := stream.read1(min(_CHUNK, count - len(taken)))):
            taken += chunk
    if len(taken) < count:
        raise InputError(
            f"{path} is truncated: {count:,} bytes of {part} were expected and {len(taken):,} found; fetch it again."
        )
    return taken
