"""No step reaches memory that it did not check: streams end at a page without access and change under the optimizer."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from optim import guarded_memory
from optim.guarded_memory import SETTINGS
from scope import THOROUGH, conformance_only

LOSE_MEMORY = {"freed", "shrunk"}
LOSE_SHAPE = {"shorter", "shorter_elsewhere", "longer"}


def cases(settings):
    """All in a process of their own, which an access beyond would end."""
    program = [sys.executable, "-W", "ignore", str(Path(guarded_memory.__file__)), *settings]
    done = subprocess.run(program, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{done.stderr[-2000:]}\nlast: {done.stdout.splitlines()[-1:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


@conformance_only
@pytest.mark.asks_more("of all settings")
def test_every_stream_in_every_way():
    settings = list(SETTINGS) if THOROUGH else ["NAdam", "compensated", "8 bits"]
    found = cases(settings)
    assert {(case["setting"], case["stream"]) for case in found} >= {*itertools.product(settings, ("p", "g"))}
    for case in found:
        setting = case["setting"]
        eps = torch.finfo(SETTINGS[setting][2]).eps
        assert case["same"], f"prepared and unprepared steps differ: {case}"
        assert case["off"] <= 8 * eps or (setting == "8 bits" and "transposed" in case["change"]), case
        if case["change"] in LOSE_MEMORY:
            assert "no memory" in case["said"], case
        if case["change"] in LOSE_SHAPE:
            assert case["said"].startswith("refused"), case
            assert "number 0 of its group" in case["said"], case
