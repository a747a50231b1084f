"""Every optimizer's kernel against the reference: in every setting of its flags, and with everything around it."""

import pytest
import torch
from there import DEVICE

from thalweg.recipes.catalogue import recipes
from thalweg.recipes.execution import compiled
from thalweg.recipes.execution.reference import Elements
from thalweg.testing.modifiers import everything
from thalweg.testing.settings import cases
from thalweg.testing.trajectories import EXECUTIONS, problem, trajectory

CASES = [case for recipe in recipes().values() for case in cases(recipe)]
CASES += [everything(cases(recipe)[0]) for recipe in recipes().values() if recipe.name == recipe.rule.name]


def on_device(structure, rows, which, values):
    """The pass on the device, of rows on the CPU."""
    moved = [Elements(row.g.to(DEVICE), row.p.to(DEVICE), tuple(s.to(DEVICE) for s in row.states)) for row in rows]
    after = compiled.update(structure, moved, which, values)
    for row, other in zip(rows, moved, strict=True):
        for before, now in zip(row.tensors, other.tensors, strict=True):
            before.copy_(now)
    return after


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernel_takes_the_steps_of_the_reference(case):
    for dtype, rounding in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        task = problem(case.rate, seed=1, steps=8, n=1100)  # more than a block
        actual = trajectory(on_device, case.recipe, case.values, task, dtype)
        expected = trajectory(EXECUTIONS["reference"], case.recipe, case.values, task, dtype)
        torch.testing.assert_close(actual, expected, rtol=rounding, atol=rounding)
