"""What theory says of a rule: which changes of its task leave its steps as they are."""

import numpy as np

from thalweg.recipes.catalogue import Recipe
from thalweg.testing.trajectories import EXECUTIONS, Problem, problem, trajectory

FLOORS = ("eps", "initial_accumulator_value")
"""Hyperparameters that are compared with the gradient's size, and must be 0 for that size not to matter."""

SCALE = 2.0**7  # a power of two scales every number of a trajectory without rounding


def is_scale_free(recipe: Recipe) -> bool:
    """Whether gradients of another unit, all scaled alike, lead along the same path, to the last bits.

    Of Adam and its kin, of Adagrad and of rules by sign it should be so, where nothing such as ε is compared with the
    gradient's size: that is set to 0.
    """
    floors = {name: 0.0 for name in FLOORS if name in recipe.hyperparameters}
    values = recipe.resolve({**floors, "weight_decay": 0.0})
    task = problem(float(values[recipe.rule.rate]) if recipe.rule.rate else 1.0, steps=50, seed=11)
    scaled = Problem(task.start, SCALE * task.gradients, task.rates)
    plain, other = (trajectory(EXECUTIONS["reference"], recipe, values, on) for on in (task, scaled))
    moves = bool((plain[-1] != task.start).any())  # Adadelta with ε = 0 does not
    return moves and bool(np.allclose(plain, other, rtol=0, atol=1e-12 * np.abs(plain).max()))
