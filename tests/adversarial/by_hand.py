"""The training that `compare` promises, written out in plain PyTorch, and how a comparison is held to it."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import thalweg

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "torch.optim:SGD": torch.optim.SGD,
}
DOUBLE, SINGLE = 1e-7, 2e-3
"""How far two ways to compute one number may lie apart, relative, after a short training in float64 and float32."""


def numbers(samples: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Four numbers and one that depends on them."""
    x = torch.randn(samples, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.to(dtype), (x.sum(1, keepdim=True) + x[:, :1] * x[:, 1:2]).to(dtype)


def problem(model: Callable[[], nn.Module], **changes: Any) -> thalweg.Workload:
    """40 samples in batches of 8, 3 epochs, in float64; the model is made so unless `own` says that it is already."""
    own = changes.pop("own", False)
    given: dict[str, Any] = {
        "name": "own", "model": model if own else (lambda: model().double()), "train": numbers(40, 1),
        "validation": numbers(20, 2), "loss": F.mse_loss, "metric": "mse", "batch_size": 8, "epochs": 3, **changes,
    }  # fmt: skip
    return thalweg.Workload(**given)


def trained(
    workload: thalweg.Workload, optimizer: str, rate: float, seed: int, clip: float | None = None
) -> tuple[list[float], nn.Module]:
    """Validation losses at the ends of the epochs, and the model, by the documented recipe."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    model, order = workload.model(), torch.Generator().manual_seed(seed)
    steps, losses = OPTIMIZERS[optimizer](model.parameters(), lr=rate), []
    for _ in range(workload.epochs):
        for index in torch.randperm(len(workload.train), generator=order).split(workload.batch_size):
            steps.zero_grad()
            outputs = model(*(x[index] for x in workload.train.inputs))
            workload.loss(outputs, workload.train.targets[index]).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            steps.step()
        with torch.no_grad():
            outputs = model.eval()(*workload.validation.inputs)
            losses.append(float(workload.loss(outputs, workload.validation.targets)))
        model.train()
    return losses, model


def compared(workload: thalweg.Workload, optimizers: Sequence[Any] = ("sgd", "adam"), **options: Any) -> thalweg.Result:
    """A comparison of a few runs, silently."""
    given: dict[str, Any] = {"learning_rates": [0.02, 0.1], "seeds": 1, "confirm_seeds": 0, "progress": False}
    return thalweg.compare(workload, optimizers=list(optimizers), **{**given, **options})


def held(
    model: Callable[[], nn.Module] | thalweg.Workload,
    *,
    optimizers: Sequence[str] = ("sgd", "adam"),
    close: float = DOUBLE,
    options: dict[str, Any] | None = None,
    **changes: Any,
) -> thalweg.Result:
    """Holds every run of a comparison to the same training by hand; the comparison."""
    workload = model if isinstance(model, thalweg.Workload) else problem(model, **changes)
    options = options or {}
    result = compared(workload, optimizers, **options)
    for run in result.runs:
        assert not run.failure, run.failure
        with torch.random.fork_rng(devices=[]):
            losses, _ = trained(workload, run.optimizer, run.learning_rate, run.seed, options.get("clip_norm"))
        ours = [m.validation_loss for m in run.curve]
        assert ours == pytest.approx(losses[: len(ours)], rel=close), (run.optimizer, run.learning_rate, run.execution)
        if run.diverged_at is None:
            assert len(ours) == len(losses)
    return result


def executions(result: thalweg.Result) -> set[str]:
    """How the runs were trained: "loop" or "population"."""
    return {run.execution.split(":")[0].split(" ")[0] for run in result.runs}
