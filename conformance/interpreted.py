"""A pytest plugin: steps are those of a GPU, which Triton's interpreter carries out on the CPU's memory.

`pytest -p interpreted tests/optim` puts the suite to them; on a machine with a GPU, `conformance/gpu` runs on that.
"""

import os
import threading

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np

from thalweg.execution import dispatch
from thalweg.execution.gpu import kernels

dispatch.GPUS = (*dispatch.GPUS, "cpu")
np.seterr(all="ignore")  # the interpreter computes with NumPy, which warns of what a GPU does not

_launch, _one = kernels.launch, threading.Lock()


def launch(*arguments):
    """The interpreter is for one thread at a time."""
    with _one:
        _launch(*arguments)


kernels.launch = launch
