"""Nesterov's gradient in its three forms: one sequence after a change of variables, with any learning rates."""

import numpy as np
import pytest
import torch

from thalweg.recipes.catalogue import recipe
from thalweg.testing.trajectories import EXECUTIONS, advance, begin

STEPS, MOMENTUM = 200, 0.9
RATES = 0.05 * np.exp(np.random.default_rng(0).uniform(-1.0, 1.0, STEPS))
START = np.random.default_rng(1).standard_normal(12)
PULL = np.random.default_rng(2).standard_normal((12, 12)) / 4
ROUNDING = 1e-12


def gradient(x):
    """Of Σ log cosh(x) + Σ log cosh(PULL·x): smooth, convex, and no quadratic."""
    return np.tanh(x) + PULL.T @ np.tanh(PULL @ x)


def two_points():
    """As published: the gradient is taken at θ + μv, and θ moves. Returns θ and the points ahead, `[steps, n]`."""
    theta, v, behind, ahead = START, np.zeros_like(START), [], []
    for rate in RATES:
        v = MOMENTUM * v - rate * gradient(theta + MOMENTUM * v)
        theta = theta + v
        behind.append(theta)
        ahead.append(theta + MOMENTUM * v)
    return np.array(behind), np.array(ahead)


def rewritten():
    """One point w, which is θ + μv: w ← w - μ·v_old + (1 + μ)·v_new. Returns w and v, `[steps, n]`."""
    w, v, points, velocities = START, np.zeros_like(START), [], []
    for rate in RATES:
        before = v
        v = MOMENTUM * v - rate * gradient(w)
        w = w - MOMENTUM * before + (1 + MOMENTUM) * v
        points.append(w)
        velocities.append(v)
    return np.array(points), np.array(velocities)


def ours(name, execution, **given):
    """The parameter, and the one state, after every step, `[steps, n]`."""
    made = recipe(name)
    run = begin(made, made.resolve({"momentum": MOMENTUM, **given}), torch.tensor(START), RATES[0])
    points, states = [], []
    for rate in RATES:
        advance(EXECUTIONS[execution], [run], [torch.tensor(gradient(run.p.numpy()))], [rate])
        points.append(run.p.numpy().copy())
        states.append(run.states[0].numpy().copy())
    return np.array(points), np.array(states)


def test_the_rewritten_form_is_the_published_one():
    (behind, ahead), (points, velocities) = two_points(), rewritten()
    np.testing.assert_allclose(points, ahead, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(points - MOMENTUM * velocities, behind, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_nag_is_the_published_form_at_the_point_ahead(execution):
    behind, ahead = two_points()
    points, velocities = ours("nag", execution)
    np.testing.assert_allclose(points, ahead, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(points - MOMENTUM * velocities, behind, rtol=0, atol=ROUNDING)


def test_it_reaches_the_minimum():
    behind, ahead = two_points()
    assert np.abs(behind[-1]).max() < 1e-3 * np.abs(START).max()
    assert np.abs(ahead[-1] - behind[-1]).max() < 1e-3


def test_with_the_rate_outside_the_velocity_it_is_another_sequence(monkeypatch):
    """torch's form, unless the rate stays as it is."""
    assert np.abs(ours("nesterov", "reference")[0] - two_points()[1]).max() > 1e-2
    monkeypatch.setattr(f"{__name__}.RATES", np.full(STEPS, 0.05))
    np.testing.assert_allclose(ours("nesterov", "reference")[0], two_points()[1], rtol=0, atol=ROUNDING)
