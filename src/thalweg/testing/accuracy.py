"""Numerical checks of a rule: against its oracle, and between executions."""

import numpy as np
import torch

from thalweg.recipes.row_table import Array
from thalweg.recipes.trace import trace
from thalweg.testing.settings import Case, oracle_arguments
from thalweg.testing.trajectories import EXECUTIONS, Problem, advance, begin, problem, trajectory

ROUNDING = 1e-12  # 300 steps of ten roundings of 1.1e-16 each, all in one direction, make 3.3e-13


def check_oracle(case: Case) -> None:
    """The rule itself and the compiled pass stay within 1e-12 of the float64 oracle over 100 or 300 steps."""
    _check_oracle(case, "eager", "compiled")


def check_formula(case: Case) -> None:
    """Of `check_oracle` the rule itself: nothing is compiled."""
    _check_oracle(case, "eager")


def _check_oracle(case: Case, *executions: str) -> None:
    task = _task(case, 0)
    expected = _expected(case, task)
    for name in executions:
        actual = trajectory(EXECUTIONS[name], case.recipe, case.values, task)
        _assert_close(f"{case}: the {name} execution against the oracle", task, actual, expected)


def check_compiled_equals_reference(case: Case) -> None:
    """The compiled pass and the reference stay within 1e-12 of the rule itself over 100 or 300 steps."""
    task = _task(case, 1)
    expected = trajectory(EXECUTIONS["eager"], case.recipe, case.values, task)
    for name in ("compiled", "reference"):
        actual = trajectory(EXECUTIONS[name], case.recipe, case.values, task)
        _assert_close(f"{case}: the {name} execution against the rule itself", task, actual, expected)


def check_float32(case: Case) -> None:
    """The compiled pass in float32 is no further from the oracle than twice the reference in float32, plus one ulp."""
    task = _task(case, 2)
    expected = _expected(case, task)
    errors = {}
    for name in ("reference", "compiled"):
        actual = trajectory(EXECUTIONS[name], case.recipe, case.values, task, torch.float32)
        errors[name] = np.abs(actual - expected).max()
    ulp = np.finfo(np.float32).eps * np.abs(expected).max()
    allowed = 2 * errors["reference"] + ulp
    assert errors["compiled"] <= allowed, (
        f"{case}: in float32 the compiled pass is {errors['compiled']:.3g} from the oracle, the reference"
        f" {errors['reference']:.3g}. Keep hyperparameter arithmetic apart from elements, so that it stays in float64."
    )


def check_maximize(case: Case) -> None:
    """`maximize` equals the negated gradient, bitwise: in the rule itself and in its trace."""
    task = problem(case.rate, shape=case.shape, seed=3, steps=50)
    negated = Problem(task.start, -task.gradients, task.rates)
    upward = {**case.values, "maximize": not case.values["maximize"]}
    for name in ("eager", "reference"):  # the compiled pass may fuse other products into sums
        actual = trajectory(EXECUTIONS[name], case.recipe, upward, task)
        expected = trajectory(EXECUTIONS[name], case.recipe, case.values, negated)
        assert np.array_equal(actual, expected), f"{case}: maximize is not the negated gradient ({name})."


def check_clip_value(case: Case) -> None:
    """`clip_value` equals the clipped gradient, bitwise: in the rule itself and in its trace."""
    task, limit = problem(case.rate, shape=case.shape, seed=7, steps=50), 0.125
    clipped = Problem(task.start, task.gradients.clip(-limit, limit), task.rates)
    limited = {**case.values, "clip_value": limit}
    for name in ("eager", "reference"):  # the compiled pass may fuse other products into sums
        actual = trajectory(EXECUTIONS[name], case.recipe, limited, task)
        expected = trajectory(EXECUTIONS[name], case.recipe, case.values, clipped)
        assert np.array_equal(actual, expected), f"{case}: clip_value is not the clipped gradient ({name})."


def check_mask(case: Case) -> None:
    """Where the mask is 1, a masked step equals the unmasked one, bitwise (compiled: to 1e-12); where 0, p is 0.

    Of a rule that measures the whole tensor only the latter: masked elements are not in its norms.
    """
    task = problem(case.rate, shape=case.shape, seed=8, steps=20)
    gradients = torch.tensor(task.gradients)
    trained = (torch.arange(task.start.size) % 3 > 0).reshape(task.start.shape)
    for name in ("eager", "reference", "compiled"):
        plain, masked = (begin(case.recipe, {**case.values, "masked": m}, torch.tensor(task.start)) for m in (0, 1))
        masked.states[-1].copy_(trained)
        for g in gradients:
            for run in (plain, masked):
                advance(EXECUTIONS[name], [run], [g])
        assert not masked.p[~trained].any(), f"{case}: a masked element is not 0 ({name})."
        if trace(plain.structure).before:
            continue
        same = torch.equal(plain.p[trained], masked.p[trained])
        assert same or name == "compiled", f"{case}: an element that no mask holds differs ({name})."
        torch.testing.assert_close(masked.p[trained], plain.p[trained], rtol=ROUNDING, atol=ROUNDING)


def check_bfloat16(case: Case) -> None:
    """With bfloat16 parameters and bfloat16 or float32 states, compiled and reference round alike: once, at the end.

    From the same state, results differ by at most one bfloat16 ulp, where float32 results round to different sides.
    """
    task = problem(case.rate, shape=case.shape, seed=9, steps=20)
    for of_states in (torch.bfloat16, torch.float32):
        run = begin(case.recipe, case.values, torch.tensor(task.start, dtype=torch.bfloat16))
        run.states = tuple(s.to(of_states) for s in run.states)
        for gradient in torch.tensor(task.gradients, dtype=torch.bfloat16):
            other = run.copy()
            advance(EXECUTIONS["reference"], [run], [gradient])
            advance(EXECUTIONS["compiled"], [other], [gradient])
            held = ((of.p, *of.states, *of.matrices) for of in (run, other))
            for expected, actual in zip(*held, strict=True):
                finest = 2**-7 if expected.dtype == torch.bfloat16 else 1e-5
                atol = 1e-5 * float(expected.abs().max())
                torch.testing.assert_close(actual, expected, rtol=finest, atol=atol, msg=lambda m: f"{case}: {m}")


def _task(case: Case, seed: int) -> Problem:
    """300 steps at the published defaults, 100 at every other setting."""
    return problem(case.rate, shape=case.shape, seed=seed, steps=300 if case.label == "defaults" else 100)


def _expected(case: Case, task: Problem) -> Array:
    assert case.oracle is not None, f"{case} has no oracle to compare with."
    return np.asarray(case.oracle(task.start, task.gradients, task.rates, **oracle_arguments(case)))


def _assert_close(what: str, task: Problem, actual: Array, expected: Array) -> None:
    """Asserts every element within `ROUNDING` of expected, relative to the largest magnitude that the element took."""
    assert np.isfinite(expected).all(), f"{what}: what is expected is not finite."
    scale = np.maximum(np.abs(expected).max(axis=0), np.abs(task.start))
    error = np.where(np.isnan(actual), np.inf, np.abs(actual - expected)) / scale
    step, *element = np.unravel_index(error.argmax(), error.shape)
    assert error.max() <= ROUNDING, (
        f"{what}: off by {error.max():.3g} of the element's size at step {step + 1}, element {[*map(int, element)]}:"
        f" {actual[step, *element]!r} where {expected[step, *element]!r} is expected (allowed: {ROUNDING:g})."
    )
