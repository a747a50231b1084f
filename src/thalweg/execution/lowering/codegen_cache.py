"""Modules of generated source, cached on disk for the compilers.

Each file is named by the hash of its source: compilers' caches notice changed files, not changed functions inlined from
other files.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

_ONE_AT_A_TIME = threading.RLock()


def module(text: str, compiler: str = "numba") -> Any:
    """Imports a kernel source as a module, from its file in the cache folder, which is written if missing.

    One thread at a time: Numba's lock and that of a cached property within it deadlock where two begin to compile.
    """
    with _ONE_AT_A_TIME:
        return _module(text, compiler)


@cache
def _module(text: str, compiler: str) -> Any:
    version = importlib.import_module(compiler).__version__
    digest = hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()[:20]
    path = kernels_folder() / f"kernel_{digest}.py"
    if not path.exists():
        _write(path, text)
    spec = importlib.util.spec_from_file_location(f"thalweg_kernels.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # before it runs: Numba looks the module up by name
    spec.loader.exec_module(module)
    return module


def root() -> Path:
    """The project's folder in the user's cache: of `THALWEG_CACHE`, else `XDG_CACHE_HOME`, else `~/.cache`."""
    users = os.environ.get("THALWEG_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(users) / "thalweg"


@cache
def kernels_folder() -> Path:
    """The folder of generated code."""
    folder = root() / "kernels"
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


def indented(depth: int, lines: Sequence[str]) -> str:
    """Lines of source, indented by `depth` levels."""
    return "\n".join(f"{'    ' * depth}{line}" for line in lines)
