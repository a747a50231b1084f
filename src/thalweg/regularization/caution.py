"""Cautious updates: only elements that descend are moved (Liang et al. 2024, arXiv:2411.16085)."""

from thalweg.numerics import Value, maximum, where

LEAST = 1e-3  # of the share, as in the authors' code; their Algorithm 1 adds 1 to the count instead


def agrees(update: Value, gradient: Value) -> Value:
    """Whether subtracting the update goes down the gradient."""
    return update * gradient > 0


def cautious(update: Value, gradient: Value, share: Value) -> Value:
    """The update where it agrees with the gradient, scaled up by the share of the tensor's elements that do; else 0."""
    return where(agrees(update, gradient), update, 0 * update) / maximum(share, LEAST)  # 0 * NaN stays NaN
