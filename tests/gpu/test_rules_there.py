"""Every optimizer's kernel against the reference: in every setting of its flags, and with everything around it."""

import numpy as np
import pytest
import torch
from there import DEVICE

from thalweg.execution.elements import Elements
from thalweg.recipes.catalogue import recipes
from thalweg.testing.modifiers import everything
from thalweg.testing.settings import cases
from thalweg.testing.trajectories import EXECUTIONS, by_passes, problem, trajectory

CASES = [case for recipe in recipes().values() for case in cases(recipe)]
CASES += [everything(cases(recipe)[0]) for recipe in recipes().values() if recipe.name == recipe.rule.name]


def on_device(structure, rows, values):
    """The pass on the device, of rows on the CPU."""
    moved = [
        Elements(
            row.g.to(DEVICE),
            row.p.to(DEVICE),
            tuple(s.to(DEVICE) for s in row.states),
            has_units=row.has_units,
            matrices=tuple(s.to(DEVICE) for s in row.matrices),
        )
        for row in rows
    ]
    after = by_passes(structure, moved, values)
    for row, other in zip(rows, moved, strict=True):
        for before, now in zip((*row.tensors, *row.matrices), (*other.tensors, *other.matrices), strict=True):
            before.copy_(now)
    return after


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernel_takes_the_steps_of_the_reference(case):
    shape = (25, 44) if len(case.shape) > 1 else (1100,)  # more than a block
    task = problem(case.rate, seed=1, steps=8, shape=shape)

    def stepped(execution, dtype):
        return trajectory(execution, case.recipe, case.values, task, dtype)

    exact = stepped(EXECUTIONS["reference"], torch.float64)
    np.testing.assert_allclose(stepped(on_device, torch.float64), exact, rtol=1e-12, atol=1e-12)
    if case.label == "defaults" or DEVICE.type == "cuda":  # the interpreter takes half a second for it
        single, narrow = (stepped(of, torch.float32) for of in (EXECUTIONS["reference"], on_device))
        ulp = np.finfo(np.float32).eps * np.abs(exact).max()
        assert np.abs(narrow - exact).max() <= 2 * np.abs(single - exact).max() + ulp
