"""Symmetries of a rule: changes of the problem under which its steps are invariant."""

import numpy as np

from thalweg.recipes.catalogue import Recipe
from thalweg.testing.trajectories import EXECUTIONS, Problem, problem, shape_of, trajectory

FLOORS = ("eps", "initial_accumulator_value")
"""Hyperparameters that are compared with the gradient's magnitude, and must be 0 for scale invariance."""

SCALE = 2.0**7  # a power of two scales every number of a trajectory without rounding


def is_scale_free(recipe: Recipe) -> bool:
    """Whether scaling all gradients by a constant leaves the trajectory unchanged, to a relative 1e-12.

    Expected of Adam-like rules, of Adagrad and of sign-based rules, once ε and other values that are compared with the
    gradient's magnitude (`FLOORS`) are 0.
    """
    floors = {name: 0.0 for name in FLOORS if name in recipe.hyperparameters}
    values = recipe.resolve({**floors, "weight_decay": 0.0})
    shape, rate = shape_of(recipe.structure(values)), float(values[recipe.rule.rate]) if recipe.rule.rate else 1.0
    task = problem(rate, steps=50, shape=shape, seed=11)
    scaled = Problem(task.start, SCALE * task.gradients, task.rates)
    plain, other = (trajectory(EXECUTIONS["reference"], recipe, values, on) for on in (task, scaled))
    moves = bool((plain[-1] != task.start).any())  # Adadelta with ε = 0 does not
    return moves and bool(np.allclose(plain, other, rtol=0, atol=1e-12 * np.abs(plain).max()))
