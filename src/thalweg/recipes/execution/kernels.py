"""Programs compiled by Numba and kept on disk.

The generated source lives in a file named by its own hash: Numba's disk cache notices changed files, not changed
functions inlined from elsewhere.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from thalweg.recipes.execution import source
from thalweg.recipes.execution.threads import Function
from thalweg.recipes.trace import Program


@cache
def module(text: str, compiler: str = "numba") -> Any:
    """The module of a kernel source, imported from its place in the cache folder."""
    version = importlib.import_module(compiler).__version__
    digest = hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()[:20]
    path = _folder() / f"kernel_{digest}.py"
    if not path.exists():
        _write(path, text)
    spec = importlib.util.spec_from_file_location(f"thalweg_kernels.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # before it runs: Numba looks the module up by name
    spec.loader.exec_module(module)
    return module


@cache
def kernel(program: Program, storage: tuple[str, ...], *, by_chance: bool = False) -> Function:
    """The compiled pass of a program for streams held as `source` says: a function of the address of a frame.

    The frame's int64 numbers: the address of a counter at 0, how many parts, blocks and rows, and the addresses of
        table: `[lines, columns]`, float64 where that is the storage and float32 elsewhere,
        which: int64 `[rows]`, each row's line in the table,
        active: bool `[lines]`; the rows of an inactive line are left as they are,
        pointers: int64 `[streams, rows]`, where a row's gradient, parameter and states (and rest, and scales) begin,
        blocks: int64 `[3, blocks]`, the row that a block is part of, its first element there, its length,
        bounds: int64 `[parts + 1]`; part i is the blocks from bounds[i] to bounds[i + 1],
        keys: int64 `[rows]`, for rounding by chance,
        counts: int64 `[rows]`, to which each row's elements that are counted are added;
    and, where states are in 8 bits, the addresses of what decodes and encodes a block of them.

    Several threads may call it with one frame: each takes the next part until none is left.
    """
    return Function(module(source.kernel(program, storage, by_chance=by_chance)).share.address)


def scalars(dtype: str) -> Any:
    """`read(addresses, out, more)` and `write(addresses, values)` of single numbers held as `dtype`.

    Addresses are int64 `[n]`; out and values float64 `[n]`. Reading adds `more` first, and tells if all are the same.
    """
    return module(source.scalars(dtype))


def codes() -> Any:
    """`decode(codes, scales, out, n)` and `encode(numbers, codes, scales, n)` at addresses, and `…_block` in C."""
    return module(source.codes())


@cache
def addresses(name: str) -> Function:
    """What asks torch where tensors begin: a function of the address of a frame, whose first number is the answer.

    "moved": how many are not where they were. "differ": 0 where all look as they did, and `addresses` is filled in.

    The frame's int64 numbers: the answer, how many tensors, and the addresses of
        functions: int64, as `addresses.ASKED` says,
        handles: int64 `[n]`, what stands for each tensor in C,
        addresses: int64 `[n]`, where each begins in memory,
        layouts: int64, of each the dtype, number of dimensions, kind of device, and each dimension's size and stride,
        answers: int64, one for each function, to write on;
    and, last, 1 where `layouts` is to be filled in.
    """
    return Function(getattr(module(source.addresses()), name).address)


@cache
def _folder() -> Path:
    root = os.environ.get("THALWEG_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "thalweg" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:  # a read-only home: compile anew in every process
        return Path(tempfile.mkdtemp(prefix="thalweg-kernels-"))
    return folder


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(temporary).replace(path)
