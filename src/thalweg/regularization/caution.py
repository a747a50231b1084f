"""Cautious updates: only elements whose update agrees with the gradient move (Liang et al. 2024, arXiv:2411.16085)."""

from thalweg.numerics import Value, maximum, where

LEAST = 1e-3  # lower bound of the share, as in the authors' code; their Algorithm 1 adds 1 to the count instead


def agrees(update: Value, gradient: Value) -> Value:
    """Whether the update has the gradient's sign, so that subtracting it descends."""
    return update * gradient > 0


def cautious(update: Value, gradient: Value, share: Value) -> Value:
    """The update where it agrees with the gradient, divided by the share of the tensor's elements that do; else 0."""
    return where(agrees(update, gradient), update, 0 * update) / maximum(share, LEAST)  # 0 * NaN stays NaN
