"""Of several test processes one compiles a kernel; the others wait for it, and load it.

With a cold cache two processes would both compile what neighbouring tests need, for half a second each.
"""

import fcntl
import functools
import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KERNELS = "kernel_"  # how the files of Thalweg's generated modules begin

_held = threading.local()


def share_compilations() -> None:
    """Makes Numba compile each kernel of Thalweg under a lock, in this process from now on."""
    from numba.core.ccallback import CFunc
    from numba.core.dispatcher import Dispatcher

    for cls, function in ((CFunc, "_pyfunc"), (Dispatcher, "py_func")):
        cls.compile = _locked(cls.compile, function)


def _locked(compile_one: Callable[..., Any], function: str) -> Callable[..., Any]:
    @functools.wraps(compile_one)
    def compile_in_turn(self: Any, *args: Any) -> Any:
        path = Path(getattr(self, function).__code__.co_filename)
        if not path.name.startswith(KERNELS):
            return compile_one(self, *args)
        with _lock(_lock_file(path)):
            return compile_one(self, *args)  # which looks on disk first

    return compile_in_turn


def _lock_file(path: Path) -> Path:
    """Outside of the cache, of which tests count the files."""
    folder = Path(tempfile.gettempdir()) / "thalweg-compilations"
    folder.mkdir(exist_ok=True)
    return folder / hashlib.sha256(str(path).encode()).hexdigest()[:20]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds the file's lock, unless this thread does: what a kernel calls is compiled within the kernel."""
    held = _held.__dict__.setdefault("paths", set())
    if path in held:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held.add(path)
        try:
            yield
        finally:
            held.remove(path)
