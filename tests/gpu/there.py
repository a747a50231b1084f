"""Where GPU passes work here: a GPU, or Triton's interpreter of what would run there (`make conformance`).

Whoever imports this is skipped where they work nowhere.
"""

import pytest
import torch

from thalweg.execution import dispatch

if torch.cuda.is_available():
    DEVICE = torch.device("cuda")
elif "cpu" in dispatch.GPUS:
    DEVICE = torch.device("cpu")
else:
    pytest.skip("no GPU, and no interpreter of its kernels (`make conformance` brings one)", allow_module_level=True)
