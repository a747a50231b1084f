"""The objective of a workload: loss and metric of a model and a batch, stated once for training and evaluation."""

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from thalweg.errors import ReturnValueError, shown
from thalweg.options.declared import FULL
from thalweg.options.metric_kinds import is_share
from thalweg.options.ranges import as_number
from thalweg.workloads.augmentation import Augment, augmented
from thalweg.workloads.layout import Layout
from thalweg.workloads.metrics import Metric
from thalweg.workloads.source import Batch

ROUNDING = 1e-3  # of a mean in float32, or in less

Model = Callable[..., Any]
"""A module, or a module called with other parameters: inputs → outputs."""


@dataclass(frozen=True)
class Objective:
    """What a workload minimizes and measures.

    workload: its name, for messages. layout: how the user's code is given a batch. augment: what changes a batch of
    training first. part: samples whose gradient is computed at once; 0 for all of a batch. precision: of the
    model's computing. also: metrics that are recorded beside the first, and decide nothing.
    """

    workload: str
    function: Callable[..., Any]
    metric: Metric
    layout: Layout
    augment: Augment | None = None
    part: int = 0
    precision: str = FULL
    also: tuple[Metric, ...] = ()

    def parts(self, batch: Batch) -> list[tuple[float, Batch]]:
        """The parts of a batch whose gradients are computed one after the other, and their shares of its samples."""
        samples = len(batch.targets)
        if not 0 < self.part < samples:
            return [(1.0, batch)]
        *inputs, targets = (torch.split(t, self.part) for t in batch.tensors)
        parts = [Batch(tuple(x[i] for x in inputs), y) for i, y in enumerate(targets)]
        return [(len(part.targets) / samples, part) for part in parts]

    def training_loss(self, model: Model, batch: Batch) -> Tensor:
        """The loss of a part of a batch that is trained on: as `loss`, of the augmented samples."""
        return self.loss(model, batch if self.augment is None else self.augmented(batch, self.augment))

    def computing(self, batch: Batch) -> AbstractContextManager[Any]:
        """A context in which the model computes in the objective's precision."""
        if self.precision == FULL:
            return nullcontext()
        return torch.autocast(batch.targets.device.type, torch.bfloat16, cache_enabled=False)

    def augmented(self, batch: Batch, augment: Augment) -> Batch:
        return augmented(augment, batch, self.layout, step=False)

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """The loss of a batch, a tensor without dimensions. Raises `ReturnValueError` unless it is one real number."""
        return self.loss_of(self.outputs(model, batch), batch.targets)

    def outputs(self, model: Model, batch: Batch) -> Any:
        """What loss and metric are functions of, beside the first targets: the model's outputs, and further targets."""
        with self.computing(batch):
            outputs = self.layout.call(model, batch)
        outputs, further = self._widened(outputs), self.layout.further(batch)
        return (outputs, *further) if further else outputs

    def loss_of(self, outputs: Any, targets: Tensor) -> Tensor:
        return self._read(self.function(*self._given(outputs, targets)))

    @property
    def follows(self) -> bool:
        """Whether the loss depends on how far training is."""
        return False

    def at(self, batch: Batch, step: int, total: int, *, several: bool = False) -> Batch:
        """A batch as this objective takes it in a step of `total`; several: whether it is that of several members."""
        return batch

    @property
    def is_plain(self) -> bool:
        """Whether loss and metric are functions of the model's outputs and one tensor of targets."""
        return not self.layout.targets

    def answers(self, outputs: Any) -> Any:
        """What the metric is a function of, beside targets, in what `outputs` returned."""
        return outputs[0] if self.layout.targets else outputs

    def _given(self, outputs: Any, targets: Tensor) -> tuple[Any, Any]:
        """Outputs and targets as the user's functions take them."""
        if not self.layout.targets:
            return outputs, targets
        outputs, *further = outputs
        return outputs, self.layout.targets_of(targets, tuple(further))

    def _widened(self, outputs: Any) -> Any:
        """Outputs in float32 where the model computes in less, for loss and metric."""
        return outputs if self.precision == FULL else tree_map(_in_single, outputs)

    def _read(self, loss: Any) -> Tensor:
        if isinstance(loss, Tensor) and loss.numel() == 1 and loss.is_floating_point():
            return loss if loss.ndim == 0 else loss.reshape(())
        if not isinstance(loss, Tensor):
            arrived, advice = shown(loss), "return a tensor that gradients flow through"
        else:
            arrived = f"a {str(loss.dtype).removeprefix('torch.')} tensor of shape {list(loss.shape)}"
            advice = "end it with .mean()" if loss.numel() > 1 else "return a mean in floating point"
        raise ReturnValueError(
            f"The loss of {self.workload!r} must return a real number as a tensor, the mean over a batch, got"
            f" {arrived}; {advice}."
        )

    def value_of(self, metric: Metric, outputs: Any, targets: Tensor) -> float:
        """The value of one of its metrics. Raises `ReturnValueError` where it is not a number."""
        return _number(metric, metric.fresh()(*self._given(outputs, targets)))

    def parts_of(self, outputs: Any) -> Mapping[str, Tensor]:
        """The parts of the loss in outputs, by their names, `[…, samples]` each; empty where it has none."""
        return {}


class TrainingProgress(NamedTuple):
    """How far training is. step: of the run, from 1; 0 before the first. share: of all its steps, in [0, 1].

    Both are tensors without dimensions, float64 if the data are, else float32, which holds whole numbers up to 2^24:
    compute with them, do not branch on them.
    """

    step: Tensor
    share: Tensor


def _number(metric: Metric, value: Any) -> float:
    read = float(value) if isinstance(value, bool) else as_number(value)
    if read is None:
        raise ReturnValueError(f"The metric {metric.name!r} must return a number, got {shown(value)}.")
    if is_share(metric.name) and not -ROUNDING <= read <= 1 + ROUNDING and math.isfinite(read):
        raise ReturnValueError(
            f"The metric {metric.name!r} must return a share from 0 to 1, which is printed in percent, got {read:.6g}:"
            " divide by 100, or give Metric(function, another name)."
        )
    return read


def _in_single(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype is torch.bfloat16 else value


def own_loss(outputs: Any, targets: Any) -> float:
    """Stands for the metric that is the loss of a step, which a `StepObjective` has; never called."""
    raise AssertionError("a StepObjective measures its loss itself")


def takes_progress(step: Callable[..., Any]) -> bool:
    """Whether a step of a user's own takes (model, batch, progress)."""
    try:
        of = [p for p in inspect.signature(step).parameters.values() if p.default is p.empty]
    except (TypeError, ValueError):
        return False
    return len([p for p in of if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]) == 3


@dataclass(frozen=True)
class StepObjective(Objective):
    """The objective of a custom step: `function(model, batch)` is its loss, or a dict of losses that add up to it.

    A function of three arguments is also given the `TrainingProgress`. Batches carry it as two further inputs then.

    predict: `predict(model, batch)`, the outputs for the metric, which is the loss itself where there is none.
    """

    predict: Callable[[Any, Any], Any] | None = None

    @property
    def follows(self) -> bool:
        return takes_progress(self.function)

    def at(self, batch: Batch, step: int, total: int, *, several: bool = False) -> Batch:
        if not self.follows:
            return batch
        lead, double = batch.targets.shape[: 1 + several], any(t.dtype is torch.float64 for t in batch.tensors)
        dtype = torch.float64 if double else torch.float32  # 16 bits would round the number of a step
        extra = (batch.targets.new_full(lead, value, dtype=dtype) for value in (step, min(step / total, 1.0)))
        return Batch((*batch.inputs, *extra), batch.targets)

    def _parted(self, batch: Batch) -> tuple[Batch, tuple[TrainingProgress, ...]]:
        """A batch as the data has it, and its progress, if the function takes it."""
        if not self.follows:
            return batch, ()
        *inputs, steps, shares = batch.inputs
        return Batch(tuple(inputs), batch.targets), (TrainingProgress(steps[0], shares[0]),)

    def augmented(self, batch: Batch, augment: Augment) -> Batch:
        own = augmented(augment, self._parted(batch)[0], self.layout, step=True)
        further = batch.inputs[len(own.inputs) :]  # the progress
        return Batch((*own.inputs, *further), own.targets)

    def loss(self, model: Model, batch: Batch) -> Tensor:
        return self._losses(model, batch)[0]

    def _losses(self, model: Model, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns (the loss, its parts by their names, if the step returns several)."""
        own, progress = self._parted(batch)
        with self.computing(batch):
            found = self.function(model, self.layout.packed(own), *progress)
        found = self._widened(found)
        if not isinstance(found, Mapping):
            return self._read(found), {}
        if not found:
            raise ReturnValueError(f"The step of {self.workload!r} returned no losses: return at least one.")
        parts = {str(name): self._read(part) for name, part in found.items()}
        total: Tensor = sum(parts.values())  # type: ignore[assignment]
        return total, parts

    @property
    def is_plain(self) -> bool:
        return False

    def answers(self, outputs: Any) -> Any:
        return () if self.predict is None else outputs[1]

    def outputs(self, model: Model, batch: Batch) -> Any:
        """(the batch's loss for each of its samples, what is predicted, the loss's parts, further targets)."""
        (loss, parts), own = self._losses(model, batch), self._parted(batch)[0]
        samples = len(batch.targets)
        each = loss.expand(samples)
        with self.computing(batch):
            answers = each if self.predict is None else self.predict(model, self.layout.packed(own))
        of_parts = {name: part.expand(samples) for name, part in parts.items()}
        return (each, self._widened(answers), of_parts, *self.layout.further(own))

    def parts_of(self, outputs: Any) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = outputs[2]
        return found

    def loss_of(self, outputs: Any, targets: Tensor) -> Tensor:
        loss: Tensor = outputs[0].mean()
        return loss

    def value_of(self, metric: Metric, outputs: Any, targets: Tensor) -> float:
        loss, answers, _, *further = outputs
        if metric.function is own_loss:
            return _number(metric, loss.mean())
        return super().value_of(metric, (answers, *further) if self.layout.targets else answers, targets)
