"""Metrics of numbers: squared and absolute errors, and the share of the variance that is explained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.errors import InputError, ReturnValueError
from thalweg.workloads.accuracy import require_one_shape
from thalweg.workloads.metrics import Metric, OfMean


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error over all elements of two tensors of one shape."""
    require_one_shape("mse", outputs, targets)
    return (outputs - targets).double().square().mean()


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error over all elements of two tensors of one shape."""
    require_one_shape("mae", outputs, targets)
    return (outputs - targets).double().abs().mean()


@dataclass(frozen=True)
class R2:
    """Coefficient of determination: 1 - SS_res / SS_tot of each column, and the mean of the columns.

    Of outputs and targets of one shape, `[samples]` or `[samples, columns]`; at most 1, and 0 for a model that always
    answers the mean. It is `sklearn.metrics.r2_score`, except that a constant column is an error here.

    Raises:
        InputError: the shapes differ, or have more than two dimensions.
        ReturnValueError: a column of targets is constant, so that there is no variance to explain.
    """

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        require_one_shape("r2", outputs, targets)
        self.require_targets("the split", targets)
        truth = _columns(targets)
        residual = (_columns(outputs) - truth).square().sum(0)
        return (1 - residual / (truth - truth.mean(0)).square().sum(0)).mean()

    def require_targets(self, split: str, targets: Tensor) -> None:
        """Raises `ReturnValueError` if a column of a split's targets is constant. split: its name, for the message."""
        truth = _columns(targets)
        # Of equal numbers the mean may be off by rounding, so that the sum of squares is not exactly 0.
        constant = (truth == truth[:1]).all(0).nonzero().flatten()
        if len(constant):
            column = int(constant[0])
            of = f"column {column} of y" if targets.ndim > 1 and truth.shape[1] > 1 else "y"
            raise ReturnValueError(
                f"{split}: r2 compares errors with the variance of the targets, and {of} is {truth[0, column].item():g}"
                " in every sample: give targets that vary, or another metric, such as 'rmse'."
            )


def _columns(values: Tensor) -> Tensor:
    """In float64, `[samples, columns]`."""
    if values.ndim not in (1, 2):
        raise InputError(
            f"r2 takes outputs and targets [samples] or [samples, columns], got {values.ndim} dimensions: give"
            " thalweg.Metric(f, higher_is_better=True) of a function f(outputs, targets) that reshapes them."
        )
    return values.double().reshape(len(values), -1)


RMSE = OfMean(mse, torch.sqrt)
"""The root of the mean squared error over all elements; of several columns not the mean of their roots."""

METRICS = (
    Metric("mse", mse, False, vectorized=True),
    Metric("mae", mae, False, vectorized=True),
    Metric("rmse", RMSE, False, vectorized=True),
    Metric("r2", R2(), True, vectorized=True),
)
