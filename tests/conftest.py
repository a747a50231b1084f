"""What tests of several rooms share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # several test processes share the cores: none may spin on them


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of the real MNIST and Fashion-MNIST files; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    directory = Path(os.environ.get("THALWEG_DATA") or beside)
    if not directory.is_dir():
        pytest.skip(f"no real data: {directory} is no directory (set THALWEG_DATA)")
    return directory
