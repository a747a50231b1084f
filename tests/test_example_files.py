"""The examples run as they stand in their README: from a directory of their own, in a process of their own."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from scope import THOROUGH

EXAMPLES = Path(__file__).parents[1] / "examples"


EVERY = {"own_optimizer.py": "softsign keeps every promise of a rule", "own_model.py": "Use "}


@pytest.mark.skipif(not THOROUGH, reason="takes half a minute; THALWEG_THOROUGH=1 runs it")
@pytest.mark.parametrize("name", EVERY)
def test_it_runs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert EVERY[name] in done.stdout


@pytest.mark.parametrize("name", EVERY)
def test_it_begins(name: str) -> None:
    """All that it imports and defines is there; what it does is `main`."""
    facts = runpy.run_path(str(EXAMPLES / name), run_name="imported")
    assert callable(facts["main"])


BROKEN = """
from thalweg.rules.states import Zeros
from thalweg.rules.hyperparameters import Decay, Rate
import thalweg

@thalweg.rule(paper="mine", rates=(1e-5, 1e-1))
def leaky(g, p, exp_avg: Zeros, t, *, lr: Rate = 1e-3, beta1: Decay = 0.9):
    exp_avg *= beta1
    exp_avg += (1 - beta1) * g
    return lr * exp_avg, exp_avg
"""


def test_a_rule_that_breaks_a_promise_is_told_which(tmp_path: Path) -> None:
    from thalweg.recipes.catalogue import Recipe
    from thalweg.testing.rules import check_rule

    (tmp_path / "broken.py").write_text(BROKEN)
    names: dict[str, object] = {}
    exec(compile(BROKEN, str(tmp_path / "broken.py"), "exec"), names)
    with pytest.raises(AssertionError, match=r"leaky\[defaults\]: .* modif"):
        check_rule(Recipe(names["leaky"]))  # type: ignore[arg-type]
