"""kill -9 at random moments, at least once in every stage: the study goes on to the same result each time."""

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import thalweg
from cli_process import Program
from scope import THOROUGH

COMPARE = (
    "compare", "digits", "--optimizers", "sgd,adam", "--epochs", "3", "--seeds", "2", "--confirm-seeds", "2",
    "--no-progress",
)  # fmt: skip
KEEP = ("--checkpoint-every", "0.1s")
STAGES = ("coarse", "fine", "confirmation")


def killed(out: Path, *arguments: str, stage: str, delay: float) -> bool:
    """Whether the program was still at work when it was killed, `delay` seconds after a stage began."""
    program = Program(*arguments, *KEEP, "--out", str(out))
    said = []
    for line in program.errors:
        said.append(line)
        if stage in line:
            break
    else:
        assert program.end().status == 0, said
        return False
    time.sleep(delay)
    program.send(signal.SIGKILL)
    return program.end().status == -signal.SIGKILL


def found(out: Path, path: Path) -> Any:
    """What the study says in the end, without what a clock says."""
    status, _, errors = Program("resume", "--out", str(out), "--json", str(path), "--no-progress").end()
    assert status == 0, errors
    return timeless(json.loads(path.read_text()))


def timeless(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {k: timeless(v) for k, v in facts.items() if "seconds" not in k and k not in ("expected", "pace")}
    return [timeless(f) for f in facts] if isinstance(facts, list) else facts


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The uninterrupted study."""
    out = tmp_path_factory.mktemp("whole")
    assert Program(*COMPARE, "--out", str(out / "out")).end()[0] == 0
    return found(out / "out", out / "whole.json")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("chain", range(4 if THOROUGH else 1))
def test_kill_minus_nine(chain: int, whole: Any, tmp_path: Path) -> None:
    """Five kills a chain, one after the other, each of them going on from where the one before struck."""
    luck, out, kills = random.Random(chain), tmp_path / "out", 0
    stages = ["plan", *STAGES, luck.choice(STAGES)]
    for stage in stages:
        arguments = COMPARE if not (out / "study.sqlite").exists() else ("resume", "--no-progress")
        kills += killed(out, *arguments, stage=stage, delay=luck.uniform(0, 0.6))
        if out.exists():
            assert thalweg.stored(out).study.workload == "digits"
    assert kills >= 3
    assert found(out, tmp_path / "found.json") == whole
