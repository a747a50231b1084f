"""Matrix products of the BLAS libraries that this process has: torch's and SciPy's.

Which is quicker depends on the processor: MKL, in torch, takes a slower path on those of other makers.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

NAMES = {False: "sgemm", True: "dgemm"}  # by whether of float64


@cache
def libraries() -> dict[str, dict[str, int]]:
    """Addresses of `sgemm` and `dgemm`, by library."""
    found = {"torch": _of_torch(), "scipy": _of_scipy()}
    return {name: of for name, of in found.items() if of}


def products(library: str, *, double: bool) -> tuple[str, int]:
    """The symbol and the address of a library's product."""
    return f"thalweg_{library}_{NAMES[double]}", libraries()[library][NAMES[double]]


def _of_scipy() -> dict[str, int]:
    from scipy.linalg import cython_blas

    capsules: Any = cython_blas.__pyx_capi__
    return {name: _capsule(capsules[name]) for name in NAMES.values()}


def _of_torch() -> dict[str, int]:
    """Empty where torch exports none, as on other systems, or where whole numbers have 64 bits."""
    import torch

    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return {}
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return {name: ctypes.cast(library[f"{name}_"], ctypes.c_void_p).value or 0 for name in NAMES.values()}
    except (OSError, AttributeError):
        return {}


def _capsule(capsule: Any) -> int:
    """The address in a capsule of Cython's."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))


class _Alone:
    """Keeps OpenBLAS, whose number of threads is the process's, to one thread while any worker asks for it."""

    def __init__(self) -> None:
        self._turn, self._inside = threading.Lock(), 0
        self._limits: Any = None

    @contextmanager
    def __call__(self, library: str) -> Iterator[None]:
        if library != "scipy":
            yield
            return
        with self._turn:
            self._inside += 1
            if self._inside == 1:
                self._limits = _controller().select(internal_api="openblas").limit(limits=1)
        try:
            yield
        finally:
            with self._turn:
                self._inside -= 1
                if not self._inside and self._limits is not None:
                    self._limits.restore_original_limits()


in_one_thread = _Alone()


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
