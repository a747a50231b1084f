"""Cautious updates: only elements whose update agrees with the gradient move (Liang et al. 2024, arXiv:2411.16085)."""

from thalweg.numerics import Value, maximum, mean, where

LEAST = 1e-3  # lower bound of the share, as in the authors' code; their Algorithm 1 adds 1 to the count instead


def cautious(update: Value, gradient: Value) -> Value:
    """The update where it has the gradient's sign, divided by the share of the tensor's elements that do; else 0."""
    agrees = update * gradient > 0  # subtracting it descends
    share = mean(where(agrees, 1.0, 0.0))
    return where(agrees, update, 0 * update) / maximum(share, LEAST)  # 0 * NaN stays NaN
