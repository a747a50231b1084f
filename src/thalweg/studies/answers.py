"""What several models answer on a split, and how the mean of their answers scores."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.population.training.evaluation import chunk_size
from thalweg.population.training.job import Job
from thalweg.workloads.combining import Average, combined
from thalweg.workloads.source import Source
from thalweg.workloads.workload import Workload


def require_combinable(workload: Workload) -> None:
    """Raises `InputError` where a workload has no outputs that could be averaged."""
    if workload.step is not None:
        raise InputError(
            f"The workload {workload.name!r} has a step of its own, so that it is not known what its models answer:"
            " give it a loss(outputs, targets) to average models."
        )


@torch.no_grad()
def answers_of(job: Job, model: nn.Module, split: Source) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """(outputs, further targets, targets) of one model in evaluation mode over a split, on the CPU.

    Raises `InputError` where the model does not return one tensor `[samples, …]`.
    """
    objective, layout = job.workload.objective, job.workload.objective.layout
    parts, further, targets = [], list[tuple[Tensor, ...]](), []
    for batch in split.chunks(chunk_size(job)):
        found = objective.answers(objective.outputs(model, batch))
        if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != len(batch.targets):
            raise InputError(
                f"The outputs of {job.workload.name!r} cannot be averaged over models: they must be one tensor"
                " [samples, …]."
            )
        parts.append(found.cpu())
        further.append(tuple(t.cpu() for t in layout.further(batch)))
        targets.append(batch.targets.cpu())
    return torch.cat(parts), tuple(torch.cat(of) for of in zip(*further, strict=True)), torch.cat(targets)


@dataclass(frozen=True)
class Answers:
    """Outputs `[models, samples, …]` of several models over one split, and its targets."""

    workload: Workload
    outputs: Tensor
    further: tuple[Tensor, ...]
    targets: Tensor
    average: Average
    _cache: dict[tuple[int, ...], float] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, job: Job, models: Sequence[nn.Module], split: Source, average: Average) -> "Answers":
        each = [answers_of(job, model, split) for model in models]
        return cls(job.workload, torch.stack([o for o, _, _ in each]), each[0][1], each[0][2], average)

    def score(self, members: Sequence[int]) -> float:
        """The workload's metric of the mean answer of the members at these indices."""
        key = tuple(members)
        if key not in self._cache:
            objective = self.workload.objective
            self._cache[key] = objective.value_of(objective.metric, self._given(members), self.targets)
        return self._cache[key]

    def loss(self, members: Sequence[int]) -> float:
        """The workload's loss of the mean answer of the members at these indices."""
        return float(self.workload.objective.loss_of(self._given(members), self.targets))

    def _given(self, members: Sequence[int]) -> object:
        chosen = self.outputs[list(members)]
        mean = chosen[0].double() if len(chosen) == 1 else combined(chosen, self.workload.loss, self.average)
        mean = mean.to(self.targets.dtype) if self.targets.is_floating_point() else mean
        return (mean, *self.further) if self.further else mean
