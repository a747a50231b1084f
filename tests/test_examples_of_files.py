"""The examples of a user's own files: from the command line, and member by member as the plain loop trains them."""

import importlib.util
import runpy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cli_process import Ended, Program
from scope import THOROUGH
from stopping import outcomes
from test_example_files import EXAMPLES
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload

FEW = ("--optimizers", "sgd,adam", "--learning-rates", "0.01", "--seeds", "1", "--confirm-seeds", "1", "--epochs", "1")
AT_ONCE = "up to 6 at once"
WHY: dict[str, str] = {
    "tabular_regression": AT_ONCE,
    "text_classifier": "by the plain loop: the model cannot be vectorized: torch.vmap has no rule for aten::",
    "two_inputs": AT_ONCE,
    "vae": AT_ONCE,
    "imbalanced": AT_ONCE,
    "augmentation": AT_ONCE,
    "control_flow": "by the plain loop: the model cannot be vectorized: its code asks for values of tensors",
    "keras_model": "by the plain loop: its layers are of Keras, which hold on to their own weights",
}
"""What the plan says of how each trains."""

NEEDS = {"keras_model": "keras"}
"""Name → the package without which it is left out here; `make conformance` has them."""

SHORT = ("tabular_regression", "control_flow")
THREE = 3  # batches


def call(*arguments: str, cwd: Path) -> Ended:
    return Program(*arguments, cwd=cwd).end()


def cases(names: Iterable[str]) -> list[Any]:
    lacking = {name: package for name, package in NEEDS.items() if importlib.util.find_spec(package) is None}
    skips = {name: pytest.mark.skip(reason=f"{package} is not installed") for name, package in lacking.items()}
    return [pytest.param(name, marks=[skips[name]] if name in skips else []) for name in names]


@pytest.mark.parametrize("name", cases(name for name in WHY if THOROUGH or name in SHORT))
def test_it_is_compared(name: str, tmp_path: Path) -> None:
    done = call("compare", str(EXAMPLES / f"{name}.py"), *FEW, cwd=tmp_path)
    assert done.status == 0, done.errors
    assert done.output.startswith("Use ")
    (plan,) = [line for line in done.errors.splitlines() if line.startswith("plan: ")]
    assert WHY[name] in plan


def test_all_are_listed() -> None:
    """In the README of the examples, and here: `thalweg compare FILE` takes those with a workload."""
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    files = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")}
    assert {name for name, text in files.items() if "\nworkload = " in text} == set(WHY)
    assert all(f"[`{name}.py`]({name}.py)" in listed for name in files)


def workload_of(name: str) -> Workload:
    """Cut to three batches of training."""
    found = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="imported")
    assert callable(found["main"])
    whole: Workload = found["workload"]
    short: Any = whole.train.head(THREE * whole.batch_size) if isinstance(whole.train, Split) else whole.train
    return replace(whole, train=short, test=None, steps=THREE, evaluate_every=1)


def trained(workload: Workload, execution: Any) -> Trained:
    adam = recipe("adam")
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution)
    return outcomes(planned, [Member(adam, adam.resolve({"lr": 0.01}), 0)])[0]


@pytest.mark.parametrize("name", cases(WHY))
def test_members_equal_the_plain_loop(name: str) -> None:
    workload = workload_of(name)
    ours, theirs = trained(workload, "auto"), trained(workload, "loop")
    assert theirs.execution.startswith("loop")
    assert ours.execution.startswith("loop" if "plain loop" in WHY[name] else ("population", "native")), ours.execution
    assert len(ours.curve) == THREE
    for measured, expected in zip(ours.curve, theirs.curve, strict=True):
        assert measured.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
        assert measured.validation_loss == pytest.approx(expected.validation_loss, rel=1e-4)


BROKEN = '''
import torch
from torch import nn
import thalweg

x = torch.randn(320, 6, generator=torch.Generator().manual_seed(0))


class Fragile(nn.Module):
    """Raises at the tenth step, if the learning rate was large."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 2)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        if self.steps == 10 and self.out.weight.abs().max() > 2:
            raise RuntimeError("too large")
        return self.out(x)


workload = thalweg.Workload(
    name="fragile", model=Fragile, train=(x, (x[:, 0] > 0).long()), validation=0.2, batch_size=16, epochs=2
)
'''


def test_a_run_that_raises_ends_alone(tmp_path: Path) -> None:
    """The others end, and what it raised is said with file and line."""
    (tmp_path / "fragile.py").write_text(BROKEN)
    few = ("--learning-rates", "0.01,10", "--seeds", "1", "--confirm-seeds", "1")
    done = call("compare", "fragile.py", "--optimizers", "sgd", *few, cwd=tmp_path)
    line = BROKEN.splitlines().index('            raise RuntimeError("too large")') + 1
    failure = f"RuntimeError: too large (raised at {tmp_path / 'fragile.py'}:{line})"
    assert "Use sgd at learning rate 1e-2" in done.output
    assert f"sgd: 1 of 4 runs failed: {failure}" in done.output
    assert done.status == 1
