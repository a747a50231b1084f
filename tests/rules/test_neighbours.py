"""Each rule is told from its nearest neighbours, and is one of them where theory says so."""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest

from thalweg.recipes.catalogue import recipe, recipes
from thalweg.testing.trajectories import EXECUTIONS, MATRIX, Problem, problem, trajectory

RATE = 2**-7  # ASGD's is rounded to float32, as torch's is
MATRICES = problem(RATE, shape=MATRIX, steps=100)  # which rules of elements step as vectors of as many
APART, EQUAL = 1e-3, 1e-12  # of the element's largest value

Given = dict[str, Any]


class Pair(NamedTuple):
    """Two optimizers with hyperparameters, and what makes them differ, or the same.

    constant: the learning rate does not change. scale: the second's rate over the first's.
    """

    first: str
    given: Given
    second: str
    other: Given
    why: str
    constant: bool = False
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.first}({_written(self.given)}) and {self.second}({_written(self.other)}): {self.why}"


DIFFERENT = [
    Pair("lion", {}, "signum", {}, "Lion's step mixes the gradient in beside a longer memory"),
    Pair("lion", {"betas": (0.9, 0.99)}, "lion", {"betas": (0.99, 0.9)}, "β1 is for the step, β2 for what is kept"),
    Pair("lion", {"weight_decay": 0.1}, "lion", {"weight_decay": 0.1, "decoupled_weight_decay": False},
         "decay apart from the sign"),
    Pair("signsgd", {}, "signum", {}, "the sign of the mean is not that of the gradient"),
    Pair("signsgd", {}, "sgd", {}, "the gradient's size does not count"),
    Pair("signsgd", {}, "rprop", {"step_sizes": (RATE, RATE)}, "Rprop rests after a change of sign", constant=True),
    Pair("rprop", {}, "rprop", {"step_sizes": (RATE, RATE)}, "sizes adapt"),
    Pair("qhm", {}, "sgd", {}, "ν of the step is momentum"),
    Pair("qhm", {"nu": 1.0, "momentum": 0.9}, "momentum", {}, "a mean starts at a tenth of a sum's size"),
    Pair("aggmo", {}, "momentum", {}, "three dampings"),
    Pair("aggmo", {"betas": (0.0, 0.9, 0.99)}, "aggmo", {"betas": (0.9, 0.9, 0.9)}, "dampings of their own"),
    Pair("nag", {}, "nesterov", {}, "the rate changes, inside the velocity or outside"),
    Pair("nag", {}, "momentum", {}, "the gradient is another's"),
    Pair("asgd", {"lambd": 0.1}, "sgd", {}, "a decay and a rate of its own"),
    Pair("asgd", {"lambd": 0.1}, "sgd", {"weight_decay": 0.1}, "its rate falls, and is one step late"),
    Pair("accsgd", {}, "sgd", {}, "the long step"),
    Pair("accsgd", {}, "nag", {}, "a mean of points, not of gradients alone"),
    Pair("ftrl", {}, "adagrad", {"initial_accumulator_value": 0.1}, "FTRL forgets where it began"),
    Pair("ftrl", {}, "ftrl", {"l1": 0.5}, "small sums stay at 0"),
    Pair("padam", {}, "adam", {"amsgrad": True}, "an eighth is not a half"),
    Pair("adadelta", {"lr": 0.1}, "rmsprop", {"lr": 0.1}, "updates come in the parameter's own units"),
    Pair("adam_uncorrected", {}, "adam", {"eps": 1e-6}, "neither moment is corrected"),
    Pair("adamax", {"lr": 1e-3}, "adam", {}, "the largest gradient, not the mean square"),
    Pair("adamw", {"weight_decay": 0.5}, "adam", {"weight_decay": 0.5}, "the decay stays out of the moments"),
    Pair("nadamw", {"weight_decay": 0.5}, "nadam", {"weight_decay": 0.5}, "the decay stays out of the moments"),
    Pair("amsbound", {"beta2": 0.9}, "adabound", {"beta2": 0.9}, "the largest second moment so far"),
    Pair("radam", {}, "adam", {}, "the first steps are those of momentum"),
    Pair("padam", {"beta2": 0.9}, "padam", {"beta2": 0.9, "amsgrad": False}, "the largest second moment so far"),
    Pair("muon", {}, "muon", {"nesterov": False}, "the gradient counts once more"),
    Pair("muon", {}, "muon", {"decoupled_weight_decay": False}, "the decay stays out of the momentum"),
    Pair("muon", {}, "sgd", {"weight_decay": 0.1, "decoupled_weight_decay": True}, "the directions count alike"),
    Pair("moonlight", {}, "muon", {}, "its updates are of AdamW's size"),
    Pair("normuon", {}, "moonlight", {}, "the rows move alike"),
    Pair("normuon", {}, "normuon", {"row_beta": 0.5}, "the rows' mean squares are remembered"),
]  # fmt: skip
"""Optimizers that differ for a reason of theory."""

SAME = [
    Pair("signum", {"momentum": 0.0}, "signsgd", {}, "no memory"),
    Pair("lion", {"betas": (0.9, 0.9)}, "signum", {"momentum": 0.9}, "one mean for the step and the memory"),
    Pair("lion", {"betas": (0.0, 0.9)}, "signsgd", {}, "the step is the gradient's alone"),
    Pair("qhm", {"nu": 0.0}, "sgd", {}, "no momentum"),
    Pair("qhm", {"nu": 1.0, "momentum": 0.9}, "momentum", {}, "a mean is a tenth of a sum", scale=0.1),
    Pair("qhm", {"nu": 0.9, "momentum": 0.9}, "nesterov", {}, "ν = β is Nesterov's", scale=0.1),
    Pair("aggmo", {"betas": (0.9, 0.9, 0.9)}, "momentum", {}, "one damping"),
    Pair("aggmo", {"betas": (0.0, 0.0, 0.0)}, "sgd", {}, "no damping"),
    Pair("nag", {}, "nesterov", {}, "inside or outside, while the rate is one", constant=True),
    Pair("nag", {"momentum": 0.0}, "sgd", {}, "nothing to look ahead by"),
    Pair("asgd", {"lambd": 0.0}, "sgd", {}, "no decay, and a rate that stays", constant=True),
    Pair("padam", {"partial": 0.0, "betas": (0.0, 0.0)}, "sgd", {}, "no moments"),
    Pair("padam", {"partial": 0.5, "eps": 0.0}, "adam", {"amsgrad": True, "eps": 0.0}, "½ is AMSGrad"),
    Pair("padam", {"partial": 0.5, "eps": 0.0, "amsgrad": False}, "adam", {"eps": 0.0}, "½ is Adam"),
    Pair("muon", {"weight_decay": 0.0}, "moonlight", {"weight_decay": 0.0}, "a factor of the shape",
         scale=1 / (0.2 * max(MATRIX) ** 0.5)),
    Pair("muon", {"match_rms_adamw": True}, "moonlight", {}, "its name for that"),
    Pair("muon", {"momentum": 0.0}, "muon", {"momentum": 0.0, "nesterov": False}, "nothing to look ahead by"),
    Pair("muon", {"adamw": True}, "adamw", {"betas": (0.9, 0.95), "weight_decay": 0.1}, "of what is no matrix"),
    Pair("normuon", {"adamw": True}, "muon", {"adamw": True}, "of what is no matrix"),
]  # fmt: skip
"""Optimizers that are the same where hyperparameters are special."""


SHARED = {"lr": RATE, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1}
"""What optimizers have in common, at equal values: what differs then is the rule, or what its name promises."""


def test_every_optimizer_is_told_from_all_others():
    paths = {}
    for name, made in recipes().items():
        paths[name] = _path(name, {key: SHARED[key] for key in SHARED if key in made.hyperparameters}, MATRICES)
    near = [pair for pair in combinations(paths, 2) if _apart(paths[pair[0]], paths[pair[1]]) <= APART]
    assert not near


@pytest.mark.parametrize("pair", DIFFERENT, ids=str)
def test_different(pair):
    assert _distance(pair) > APART


@pytest.mark.parametrize("pair", SAME, ids=str)
def test_same(pair):
    assert _distance(pair) <= EQUAL


def test_ftrl_from_zero_is_gradient_descent_with_adagrads_rates():
    """McMahan's equivalence: without regularizers, from zeros, at one rate."""
    task = problem(RATE)
    still = Problem(0 * task.start, task.gradients, np.full(len(task.rates), RATE))
    start = {"initial_accumulator_value": 0.1}
    paths = [_path("ftrl", start, still), _path("adagrad", {**start, "eps": 0.0}, still)]
    np.testing.assert_allclose(*paths, rtol=0, atol=EQUAL)


def _distance(pair: Pair) -> float:
    """The largest difference of two trajectories, by each element's largest value."""
    task = MATRICES
    rates = np.full(len(task.rates), RATE) if pair.constant else task.rates
    first = _path(pair.first, pair.given, Problem(task.start, task.gradients, rates))
    second = _path(pair.second, pair.other, Problem(task.start, task.gradients, pair.scale * rates))
    return _apart(first, second)


def _apart(first: np.ndarray, second: np.ndarray) -> float:
    scale = np.maximum(np.abs(first), np.abs(second)).max(axis=0)
    return float((np.abs(first - second) / scale).max())


def _path(name: str, given: Given, task: Problem) -> np.ndarray:
    made = recipe(name)
    return trajectory(EXECUTIONS["reference"], made, made.resolve(given), task)


def _written(given: Given) -> str:
    return ", ".join(f"{name}={value}" for name, value in given.items())
