"""Losses and metrics of members on a split, in evaluation mode."""

import copy
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from thalweg.errors import InputError, shown
from thalweg.options.kinds import as_number
from thalweg.population.job import Job, exhausted
from thalweg.population.losses import mean_loss
from thalweg.population.models import Stack
from thalweg.population.randomness import seeded
from thalweg.recipes.execution.storage import on_gpu
from thalweg.workloads.metrics import Metric
from thalweg.workloads.workload import Split

SAMPLES_AT_ONCE = 4096  # samples × members in one forward pass: more leave the caches
SAMPLES_ON_GPU = 1 << 18  # the same where there are hardly any


class Evaluator:
    """Evaluates stacks of one model. Holds a copy of the model in evaluation mode, so one thread uses it at a time."""

    def __init__(self, job: Job, model: nn.Module) -> None:
        self._workload, self._random = job.workload, job.random
        self._at_once = SAMPLES_ON_GPU if on_gpu(job.device) else SAMPLES_AT_ONCE
        self._model = copy.deepcopy(model).eval()
        self._one_by_one = False

    def together(
        self, stack: Stack, split: Split, seeds: Sequence[int], step: int, *, loss: bool = False
    ) -> tuple[list[float], list[float]]:
        """(metric of each member, loss of each member if asked for) over the whole split."""
        tensors = {**stack.parameters, **stack.buffers}
        if not self._one_by_one:
            try:
                return self._vectorized(tensors, split, stack.members, loss)
            except Exception as error:
                if exhausted(error) and self._at_once > SAMPLES_AT_ONCE:
                    self._at_once = max(SAMPLES_AT_ONCE, self._at_once // 8)
                    return self.together(stack, split, seeds, step, loss=loss)
                self._one_by_one = True  # random, or without a batching rule, in evaluation only; or wrong, as it says
        each = [
            self.alone({name: t[m] for name, t in tensors.items()}, split, seed, step, loss=loss)
            for m, seed in enumerate(seeds)
        ]
        return [metric for metric, _ in each], [value for _, value in each]

    def alone(
        self, tensors: Mapping[str, Tensor], split: Split, seed: int, step: int, *, loss: bool = False
    ) -> tuple[float, float]:
        """(metric, loss if asked for, else NaN) of one model with these tensors."""
        with torch.no_grad(), seeded(seed, -step, random=self._random):
            parts = [functional_call(self._model, dict(tensors), x) for x in _chunks(split, self._at_once)]
            outputs = _join(parts, 0)
            value = float(mean_loss(self._workload, outputs, split.targets)) if loss else math.nan
        return number(self._workload.metric, outputs, split.targets), value

    def loss(self, tensors: Mapping[str, Tensor], batch: Split, seed: int) -> float:
        """The loss of one model with these tensors on one batch, before its first step."""
        with torch.no_grad(), seeded(seed, 0, random=self._random):
            outputs = functional_call(self._model, dict(tensors), tuple(x.clone() for x in batch.inputs))
            return float(mean_loss(self._workload, outputs, batch.targets))

    def _vectorized(
        self, tensors: dict[str, Tensor], split: Split, members: int, loss: bool
    ) -> tuple[list[float], list[float]]:
        def one(of_member: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Any:
            return functional_call(self._model, of_member, inputs)

        with torch.no_grad():
            forward = vmap(one, in_dims=(0, None))
            size = max(1, self._at_once // members)
            outputs = _join([forward(tensors, inputs) for inputs in _chunks(split, size)], 1)
            losses = (
                vmap(partial(mean_loss, self._workload), in_dims=(0, None))(outputs, split.targets) if loss else None
            )
            measured = _measure(self._workload.metric, outputs, split.targets, members)
            return measured, [] if losses is None else losses.tolist()


def number(metric: Metric, outputs: Any, targets: Tensor) -> float:
    """The metric's value. Raises `InputError` where it is not a number."""
    value = metric.fresh()(outputs, targets)
    read = float(value) if isinstance(value, bool) else as_number(value)
    if read is None:
        raise InputError(f"The metric {metric.name!r} must return a number, got {shown(value)}.")
    return read


def _measure(metric: Metric, outputs: Any, targets: Tensor, members: int) -> list[float]:
    if metric.vectorized:
        values = vmap(metric.fresh(), in_dims=(0, None))(outputs, targets)
        if values.ndim != 1:
            raise InputError(
                f"The metric {metric.name!r} must return a number, got a tensor of shape {list(values.shape[1:])}."
            )
        return values.tolist()  # type: ignore[no-any-return]
    return [number(metric, _member(outputs, m), targets) for m in range(members)]


def _member(outputs: Any, m: int) -> Any:
    return tree_map(lambda o: o[m], outputs)


def _chunks(split: Split, size: int) -> list[tuple[Tensor, ...]]:
    """Copies: a model may write into its inputs."""
    return [tuple(x.clone() for x in xs) for xs in zip(*(torch.split(x, size) for x in split.inputs), strict=True)]


def _join(parts: list[Any], dim: int) -> Any:
    return parts[0] if len(parts) == 1 else tree_map(lambda *pieces: torch.cat(pieces, dim), parts[0], *parts[1:])
