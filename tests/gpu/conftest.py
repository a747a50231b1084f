"""What is put to a GPU, or to Triton's interpreter of what would run there (`make conformance`)."""

import pytest
import torch

from thalweg.recipes.execution import storage


@pytest.fixture
def device() -> torch.device:
    """Where GPU passes work here; the test is skipped where they do nowhere."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if "cpu" not in storage.GPUS:
        pytest.skip("no GPU, and no interpreter of its kernels (`make conformance` brings one)")
    return torch.device("cpu")
