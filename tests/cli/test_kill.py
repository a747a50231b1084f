"""kill -9 at random moments, at least once in every stage: the study goes on to the same result each time."""

import json
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import thalweg
from cli_process import Program
from scope import THOROUGH
from thalweg.studies import preparation

COMPARE = (
    "compare", "digits", "--optimizers", "sgd,adam", "--epochs", "3", "--seeds", "2", "--confirm-seeds", "2",
    "--no-progress",
)  # fmt: skip
KEEP = ("--checkpoint-every", "0.1s")
STAGES = ("coarse", "fine", "confirmation")


def natively() -> None:
    """Has every study earn native code."""
    preparation.EARNED = 0


def killed(out: Path, *arguments: str, stage: str, delay: float, native: bool) -> bool:
    """Whether the program was still at work when it was killed, `delay` seconds after a stage began."""
    program = Program(*arguments, *KEEP, "--out", str(out), before=natively if native else None)
    said = []
    for line in program.errors:
        said.append(line)
        if stage in line:
            break
    else:
        assert program.end().status == 0, said
        return False
    time.sleep(delay)
    with suppress(ProcessLookupError):  # it had ended by itself
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
def wholes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Any]:
    """The uninterrupted study, in native code or not."""

    @cache
    def whole(native: bool) -> Any:
        out = tmp_path_factory.mktemp("whole")
        program = Program(*COMPARE, "--out", str(out / "out"), before=natively if native else None)
        assert program.end()[0] == 0
        assert (thalweg.stored(out / "out").study.plan.get("program") == "native") is native
        return found(out / "out", out / "whole.json")

    return whole


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("chain", "native"), [(0, True), *([(1, False), (2, True), (3, False)] if THOROUGH else [])])
def test_kill_minus_nine(chain: int, native: bool, wholes: Callable[[bool], Any], tmp_path: Path) -> None:
    """Five kills a chain, or one a stage, each of them going on from where the one before struck."""
    luck, out, kills = random.Random(chain), tmp_path / "out", 0
    stages = ["plan", *STAGES, luck.choice(STAGES)] if THOROUGH else STAGES
    for stage in stages:
        arguments = COMPARE if not (out / "study.sqlite").exists() else ("resume", "--no-progress")
        kills += killed(out, *arguments, stage=stage, delay=luck.uniform(0, 0.6 if THOROUGH else 0.1), native=native)
        if out.exists():
            assert thalweg.stored(out).study.workload == "digits"
    assert kills >= 2
    assert found(out, tmp_path / "found.json") == wholes(native)
