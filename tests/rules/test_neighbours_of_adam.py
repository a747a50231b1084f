"""Adam's kin told apart: each differs from its neighbours, and is one of them where theory says so.

An oracle that repeats its rule's mistake agrees with it; what is known of a rule's limits does not.
"""

import numpy as np
import pytest

from thalweg.recipes.catalogue import recipe
from thalweg.testing.trajectories import EXECUTIONS, Problem, problem, trajectory

STEPS = 100
PLAIN = {"weight_decay": 0.0, "decoupled_weight_decay": False}
FIRST_ONLY = {"beta1": 0.0}

DIFFERENT = [
    ("adabelief", {}, "adam", {}, "the variance around the mean, not around 0"),
    ("adabelief", {"eps": 1e-8}, "adam", {"eps": 1e-8}, "with the same ε, too"),
    ("yogi", {"eps": 1e-8}, "adam", {"lr": 1e-2}, "v moves by g², not by a part of v"),
    ("adan", {}, "adam", {"beta1": 0.98, "beta2": 0.99}, "differences of gradients"),
    ("adan", {}, "nadam", {"lr": 1e-3, "beta1": 0.98, "beta2": 0.99}, "Nesterov's momentum by other means"),
    ("ademamix", {}, "adam", {}, "the slow average"),
    ("ademamix", {"beta3": 0.99, "t_alpha": 50.0}, "ademamix", {"beta3": 0.99}, "a warm-up of α"),
    ("ademamix", {"t_beta3": 50.0}, "ademamix", {}, "a warm-up of β3"),
    ("adopt", {}, "adam", {"beta2": 0.9999}, "v of the step before, and normalized first"),
    ("adopt", {"clipped": False}, "adopt", {}, "the clipping"),
    ("adopt", {}, "laprop", {"lr": 1e-3, "beta2": 0.9999}, "v of the step before, uncorrected"),
    ("qhadam", {}, "adam", {"beta1": 0.995}, "a part of the gradient itself"),
    ("qhadam", {"nu2": 0.5}, "qhadam", {}, "ν2 is at work"),
    ("diffgrad", {}, "adam", {}, "friction"),
    ("diffgrad", {}, "adam", {"lr": 5e-4}, "which is not always ½"),
    ("adamod", {}, "adam", {}, "rates bounded by their average"),
    ("adamod", {}, "adabound", {}, "and not by SGD's"),
    ("madgrad", {"momentum": 0.0}, "adagrad", {}, "a cube root, and the sum begins anew from the start"),
    ("schedule_free_sgd", {"lr": 1e-3}, "sgd", {"momentum": 0.9}, "averaging, not momentum"),
    ("schedule_free_adamw", {"lr": 1e-3}, "adam", {}, "averaging, not momentum"),
    ("schedule_free_adamw", {"decay": 0.1}, "schedule_free_adamw", PLAIN | {"weight_decay": 0.1}, "decay of y, not L2"),
    ("msvag", {}, "momentum", {"lr": 1e-1, "dampening": 0.9}, "the variance's damping"),
    ("nosadam", {}, "adam", {}, "all of the past in v"),
    ("nosadam", {"gamma": 0.5}, "nosadam", {}, "and its weights"),
    ("laprop", {"lr": 1e-3}, "adam", {}, "normalized first, averaged then"),
    ("laprop", {}, "rmsprop", {"lr": 4e-5, "alpha": 0.999, "momentum": 0.9}, "corrected for bias"),
    ("grams", {"eps": 1e-8}, "adam", {}, "the gradient's sign"),
    ("expectigrad", {}, "laprop", {"lr": 1e-3, "beta2": 0.99}, "all of the past in v"),
    ("expectigrad", {}, "nosadam", {"gamma": 0.0}, "normalized first, averaged then"),
    ("padam", {}, "padam", {"partial": 0.5}, "the power"),
    ("padam", {"partial": 0.5}, "adam", {"lr": 1e-1, "amsgrad": True}, "nothing is corrected for bias"),
]

EQUAL = [
    ("adan", {"beta1": 0.9, "beta2": 0.0, "beta3": 0.99}, "adam", {"beta2": 0.99}, "differences weigh nothing"),
    ("ademamix", {"alpha": 0.0}, "adam", {}, "the slow average weighs nothing"),
    ("ademamix", {"t_alpha": 1.0, "t_beta3": 1.0}, "ademamix", {}, "a warm-up over at the first step"),
    ("qhadam", {"beta1": 0.9, "nu1": 1.0, "nu2": 1.0}, "adam", {}, "nothing but the moments"),
    ("qhadam", {"nu1": 0.0, "nu2": 1.0}, "adam", FIRST_ONLY, "the gradient stands for its average"),
    ("adamod", {"beta3": 0.0}, "adam", {}, "a rate is never above itself"),
    ("grams", {**FIRST_ONLY, "eps": 1e-8}, "adam", FIRST_ONLY, "the gradient has its own sign"),
    ("laprop", {**FIRST_ONLY, "lr": 1e-3, "eps": 1e-8}, "adam", FIRST_ONLY, "nothing is averaged"),
    ("schedule_free_sgd", {"lr": 1e-3, "momentum": 0.0}, "sgd", {}, "y is z"),
    ("schedule_free_adamw", {**FIRST_ONLY, "lr": 1e-3, "eps": 0.0}, "adam", {**FIRST_ONLY, "eps": 0.0}, "y is z"),
    ("msvag", {"beta": 0.0, "lr": 1e-3}, "sgd", {}, "one gradient has no variance"),
    ("expectigrad", {"beta": 0.0}, "nosadam", {**FIRST_ONLY, "gamma": 0.0}, "the mean of all squares"),
]


def path(name, given, task):
    """The parameters under what is given over a recipe's defaults without decay; the task's rates multiply its own."""
    optimizer = recipe(name)
    values = optimizer.resolve({**PLAIN, **given})
    rates = task.rates * float(values[optimizer.rate])
    return trajectory(EXECUTIONS["reference"], optimizer, values, Problem(task.start, task.gradients, rates))


def apart(a, given_a, b, given_b, task):
    """How far two optimizers are from each other at most, in distances that the second went."""
    first, second = path(a, given_a, task), path(b, given_b, task)
    return np.abs(first - second).max() / np.abs(second - task.start).max()


@pytest.mark.parametrize(("a", "given_a", "b", "given_b", "why"), DIFFERENT)
def test_different(a, given_a, b, given_b, why):
    assert apart(a, given_a, b, given_b, problem(1.0, steps=STEPS)) > 1e-2, why


@pytest.mark.parametrize(("a", "given_a", "b", "given_b", "why"), EQUAL)
def test_equal(a, given_a, b, given_b, why):
    assert apart(a, given_a, b, given_b, problem(1.0, steps=STEPS)) < 1e-12, why


def test_diffgrad_is_adam_at_half_the_rate_where_gradients_hardly_change():
    task = problem(1.0, steps=STEPS)
    tiny = Problem(task.start, 1e-14 * task.gradients, task.rates)
    assert apart("diffgrad", {"eps": 0.0}, "adam", {"eps": 0.0, "lr": 5e-4}, tiny) < 1e-12


def test_adopt_does_nothing_but_look_at_first():
    task = problem(1.0, steps=2)
    assert np.array_equal(path("adopt", {}, task)[0], task.start)
    assert not np.array_equal(path("adopt", {}, task)[1], task.start)


def test_the_second_moment_of_yogi_grows_as_the_sum_where_gradients_grow():
    """v ← v + (1 - β2)·g² as long as v < g², where Adam's would forget."""
    growth = 2.0 ** np.arange(30)[:, None] * np.ones((30, 3))
    task = Problem(np.zeros(3), growth, np.ones(30))
    given = {"beta1": 0.0, "eps": 0.0, "initial_accumulator_value": 0.0}
    moment = 0.001 * np.cumsum(growth**2, axis=0)
    corrected = moment / (1 - 0.999 ** np.arange(1, 31))[:, None]
    np.testing.assert_allclose(path("yogi", given, task), -np.cumsum(1e-2 * growth / np.sqrt(corrected), axis=0), 1e-12)


def test_schedule_free_averages_what_it_steps():
    """x = z + (y - z)/μ is the mean of z, weighted by the squared rates."""
    task = problem(1e-3, steps=STEPS)
    y = trajectory(EXECUTIONS["reference"], recipe("schedule_free_sgd"), recipe("schedule_free_sgd").resolve({}), task)
    z = task.start - np.cumsum(task.rates[:, None] * task.gradients, axis=0)
    weights = task.rates[:, None] ** 2
    x = np.cumsum(weights * z, axis=0) / np.cumsum(weights, axis=0)
    np.testing.assert_allclose(z + (y - z) / 0.9, x, rtol=0, atol=1e-12)


def test_the_weights_of_nosadam_are_those_of_its_sum():
    task = problem(1.0, steps=STEPS)
    b = np.arange(1, STEPS + 1)[:, None] ** -0.1
    v = np.cumsum(b * task.gradients**2, axis=0) / np.cumsum(b, axis=0)
    steps = 1e-3 * task.rates[:, None] * task.gradients / np.sqrt(v)
    actual = path("nosadam", {**FIRST_ONLY, "eps": 0.0}, task)
    np.testing.assert_allclose(actual, task.start - np.cumsum(steps, axis=0), rtol=0, atol=1e-12)


def test_padam_at_one_half_divides_by_the_largest_gradient_so_far():
    task = problem(1.0, steps=STEPS)
    largest = np.maximum.accumulate(np.abs(task.gradients), axis=0)
    steps = 0.1 * task.rates[:, None] * task.gradients / largest
    actual = path("padam", {**FIRST_ONLY, "beta2": 0.0, "partial": 0.5, "eps": 0.0}, task)
    np.testing.assert_allclose(actual, task.start - np.cumsum(steps, axis=0), rtol=0, atol=1e-12)


def test_expectigrad_counts_only_gradients_that_are_not_0():
    task = problem(1.0, steps=STEPS)
    sparse = Problem(task.start, np.repeat(task.gradients, 2, axis=0), np.ones(2 * STEPS))
    sparse.gradients[1::2] = 0.0
    dense = Problem(task.start, task.gradients, np.ones(STEPS))
    ends = [path("expectigrad", {"beta": 0.0}, each)[-1] for each in (sparse, dense)]
    np.testing.assert_allclose(*ends, rtol=0, atol=1e-12)
