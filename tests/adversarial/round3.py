"""What the attempts of round 3 share: the mark of a find, and a loop that uses nothing but what every loop uses."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import OPTIMIZERS, compared

import thalweg


def lower(function: Callable[..., Any]) -> thalweg.Metric:
    return thalweg.Metric(function, name="error", higher_is_better=False)


ERROR = lower(lambda o, t: F.mse_loss(o, t))
BOTH = {"seeds": 2}


def plain(workload: thalweg.Workload, make: Any, rate: float, seed: int) -> list[float]:
    """Validation losses by a loop that uses nothing but what every loop uses: no value of train(), eval() or to()."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    model, order, losses = workload.model(), torch.Generator().manual_seed(seed), []
    optimizer = make(model.parameters(), lr=rate)
    for _ in range(workload.epochs):
        model.train()
        for index in torch.randperm(len(workload.train), generator=order).split(workload.batch_size):
            optimizer.zero_grad()
            outputs = model(*(x[index] for x in workload.train.inputs))
            workload.loss(outputs, workload.train.targets[index]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            outputs = model(*(x.clone() for x in workload.validation.inputs))
            losses.append(float(workload.loss(outputs, workload.validation.targets)))
    return losses


def alike(workload: thalweg.Workload, **options: Any) -> thalweg.Result:
    result = compared(workload, ["sgd"], **options)
    for run in result.runs:
        assert not run.failure, run.failure
        with torch.random.fork_rng(devices=[]):
            expected = plain(workload, OPTIMIZERS["sgd"], run.learning_rate, run.seed)
        assert [m.validation_loss for m in run.curve] == pytest.approx(expected, rel=1e-7), run.execution
    return result
