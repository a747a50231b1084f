"""Multithreaded calls of compiled functions, on torch's own OpenMP threads, so that the two never wait for each other.

A separate pool loses a core for about a millisecond after every torch operation, as torch's threads go on spinning.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # a call releases the GIL


class Function:
    """A compiled function of the address of its arguments, which several threads may share.

    alone: calls it in this thread.
    """

    def __init__(self, address: int) -> None:
        self.address, self.alone = address, _PROTOTYPE(address)

    def __call__(self, arguments: int, threads: int = 1) -> None:
        """Calls it once in each of `threads` threads, and waits for all."""
        if threads == 1:
            self.alone(arguments)
        elif fork := _openmp():
            fork(self.address, arguments, threads, 0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(self.alone, [arguments] * threads))


@cache
def _openmp() -> Any:
    """`GOMP_parallel` of torch's OpenMP library: (function, argument, threads, flags); `None` if there is none."""
    try:
        fork = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):  # other systems
        return None
    fork.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    fork.restype = None
    return fork
