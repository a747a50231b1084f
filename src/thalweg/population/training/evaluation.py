"""Losses and metrics of members on a split, in evaluation mode.

Chunks of samples do not depend on how many runs are evaluated at once, as outputs may depend on the whole batch. To
save memory, members are split instead.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils._pytree import tree_leaves, tree_map

from thalweg.execution.dispatch import on_gpu
from thalweg.options.declared import MIXED
from thalweg.population.program.failures import exhausted
from thalweg.population.program.models import Stack, called_with
from thalweg.population.program.randomness import seeded
from thalweg.population.training.job import Job
from thalweg.population.training.pieces import Scores, Sums, divides, measured, piecewise
from thalweg.workloads.classification import reading_of
from thalweg.workloads.source import Batch, Source

CHUNK, CHUNK_ON_GPU = 256, 1024  # samples per forward pass, at most
CHUNK_ELEMENTS, LEAST = 1 << 20, 16  # input elements per forward pass, at most; samples, at least
SAMPLES_AT_ONCE = 4096  # samples × members per forward pass: more exceed the caches
SAMPLES_ON_GPU = 1 << 18  # the same on a GPU, which hardly depends on caches
MADE_OF_OUTPUTS = 5  # tensors of the outputs' size held at once: chunks, their concatenation, temporaries of the loss
ALIKE, ALIKE_IN_DOUBLE = 1e-3, 1e-6  # relative difference by rounding between two evaluations of one member
ALIKE_IN_BFLOAT16 = 3e-2  # the same where the model computes in bfloat16
LEAST_ALIKE = 1e-2  # the same, absolute, as a share of `ALIKE`: of metrics that cancel to about 0
FLIPPED = 2  # samples whose largest output may change by rounding
OUTPUTS, OUTPUTS_ON_GPU = 8 << 20, 1 << 30  # bytes of outputs held at once, if of more than one member

Evaluated = tuple[Any, Tensor | None]
"""Outputs `[members, chunk, …]`, and losses `[members]` where they are known already."""


class Unjoinable(Exception):  # noqa: N818 - not an error: the split is evaluated in one pass then
    """Outputs of chunks that cannot be concatenated into those of the split."""


class Evaluator:
    """Evaluates stacks of one model, or the model itself. Not thread-safe.

    live: whether the model is the one in training, which is put back into training mode. Otherwise its own tensors and
    mode do not matter. native: computes outputs `[members, …]` of members with given tensors, and losses `[members]`
    where it can, in the place of vmap.
    """

    def __init__(
        self, job: Job, model: nn.Module, *, live: bool = False, native: Callable[..., Evaluated] | None = None
    ) -> None:
        self._native = native
        self._job, self._workload, self._model, self._live = job, job.workload, model, live
        gpu = on_gpu(job.device)
        self._at_once = SAMPLES_ON_GPU if gpu else SAMPLES_AT_ONCE
        self._outputs = OUTPUTS_ON_GPU if gpu else OUTPUTS
        self._chunk = chunk_size(job)
        self._pieces = piecewise(job.workload)
        self._one_by_one = False
        self._checked: dict[int, Source] = {}
        self._step = 0
        if not live:
            model.eval()

    def together(self, stack: Stack, split: Source, seeds: Sequence[int], step: int, *, loss: bool = False) -> Scores:
        """The members' scores over the whole split, with losses if `loss`; vectorized where possible."""
        tensors, self._step = {**stack.parameters, **stack.buffers}, step
        if not self._one_by_one:
            try:
                found = self._vectorized(tensors, split, stack.members, loss)
                if id(split) in self._checked or self._agrees(tensors, split, seeds[0], step, found):
                    return found
                self._one_by_one = True
            except Exception as error:
                if self._native is not None:
                    self._native = None
                    return self.together(stack, split, seeds, step, loss=loss)
                if exhausted(error) and self._members_at_once(split) > 1:
                    self._at_once, self._outputs = self._at_once // 8, self._outputs // 8
                    return self.together(stack, split, seeds, step, loss=loss)
                self._one_by_one = True  # random or without a vmap rule in evaluation; a user's error is raised below
        each = (
            self.alone({name: t[m].contiguous() for name, t in tensors.items()}, split, seed, step, loss=loss)
            for m, seed in enumerate(seeds)
        )
        return reduce(Scores.and_of, each)

    def _agrees(self, tensors: Mapping[str, Tensor], split: Source, seed: int, step: int, found: Scores) -> bool:
        """Whether single evaluation of the first member agrees with the vectorized one; checked once per split."""
        self._checked[id(split)] = split  # referenced, so that its id is not reused
        own = {name: t[0].contiguous() for name, t in tensors.items()}
        one = self.alone(own, split, seed, step, loss=bool(found.losses))
        double = all(t.dtype is torch.float64 for t in own.values() if t.is_floating_point())
        mixed = self._workload.precision == MIXED
        relative = ALIKE_IN_DOUBLE if double else ALIKE_IN_BFLOAT16 if mixed else ALIKE
        flips = FLIPPED / len(split) if self._reads_classes else 0.0
        pairs = [(one.metrics[0], found.metrics[0]), *zip(one.of(0).values(), found.of(0).values(), strict=True)]
        agrees = all(_close(a, b, relative, LEAST_ALIKE * relative + flips) for a, b in pairs)
        return agrees and (not found.losses or _close(one.losses[0], found.losses[0], relative))

    @property
    def _reads_classes(self) -> bool:
        """Whether the metric goes by classes, of which rounding flips one at once."""
        function: Any = self._workload.metric.function
        return reading_of(getattr(function, "of_labels", function)) is not None  # a distilled workload's labels

    def alone(
        self, tensors: Mapping[str, Tensor] | None, split: Source, seed: int, step: int, *, loss: bool = False
    ) -> Scores:
        """The scores of one model with these tensors, with its loss if `loss`; `None`: its own."""
        self._step = step
        with torch.no_grad(), seeded(seed, -step, random=self._job.random, outside=self._job.outside):
            self._model.eval()
            try:
                return self._measured_alone(tensors, split, loss)
            except Unjoinable:
                self._chunk = max(self._chunk, len(split))
                return self._measured_alone(tensors, split, loss)
            finally:
                if self._live:
                    self._model.train()

    def _measured_alone(self, tensors: Mapping[str, Tensor] | None, split: Source, loss: bool) -> Scores:
        return self._measured(lambda batch: (_unsqueezed(self._called(tensors, batch)), None), split, 1, loss)

    def _called(self, tensors: Mapping[str, Tensor] | None, batch: Batch) -> Any:
        objective, batch = self._workload.objective, self._workload.at(batch, self._step)
        if tensors is None:
            return objective.outputs(self._model, batch)
        return called_with(self._model, tensors, lambda model: objective.outputs(model, batch))

    def _vectorized(self, tensors: dict[str, Tensor], split: Source, members: int, loss: bool) -> Scores:
        forward = vmap(self._called, in_dims=(0, None))

        def by_vmap(of_these: dict[str, Tensor], batch: Batch) -> Evaluated:
            return forward(of_these, batch), None

        def of_some(first: int) -> Scores:
            of_these = {name: t[first : first + count] for name, t in tensors.items()}
            evaluate = partial(self._natively if self._native else by_vmap, of_these)
            return self._measured(evaluate, split, min(count, members - first), loss)

        count = self._members_at_once(split)
        with torch.no_grad():
            return reduce(Scores.and_of, map(of_some, range(0, members, count)))

    def _natively(self, tensors: Mapping[str, Tensor], batch: Batch) -> Evaluated:
        assert self._native is not None
        return self._native(tensors, self._workload.at(batch, self._step))

    def _members_at_once(self, split: Source) -> int:
        """Members per forward pass, limited by samples × members and by the bytes of outputs held meanwhile.

        Native code evaluates one member after the other: only their outputs count.
        """
        samples = min(self._chunk, len(split))
        held = (samples if self._divides(split) else len(split)) * self._job.output_bytes
        fitting = self._outputs // max(1, held)
        return max(1, fitting if self._native else min(self._at_once // samples, fitting))

    def _measured(self, evaluate: Callable[[Batch], Evaluated], split: Source, members: int, loss: bool) -> Scores:
        """The scores of what is evaluated chunk by chunk."""
        chunks = split.chunks(self._chunk)
        if self._divides(split):
            sums = Sums(self._workload, members, loss=loss)
            for batch in chunks:
                sums.add(evaluate(batch), batch.targets)  # no reference to a chunk remains while the next is computed
            return sums.scores
        held = [(evaluate(batch)[0], batch.targets) for batch in chunks]
        joined, targets = _join([of for of, _ in held], [len(y) for _, y in held]), torch.cat([y for _, y in held])
        return measured(self._workload.objective, joined, targets, members, loss=loss)

    def _divides(self, split: Source) -> bool:
        return divides(self._pieces, split)


def _close(a: float, b: float, relative: float, absolute: float = 0.0) -> bool:
    """Whether two values differ by rounding at most; NaN equals NaN."""
    return a == b or math.isclose(a, b, rel_tol=relative, abs_tol=absolute) or (math.isnan(a) and math.isnan(b))


def evaluation_bytes(job: Job, members: int, one: int | None = None) -> int:
    """Bytes that one worker holds while it evaluates `members`: outputs of at least one member at once, and temporaries
    of loss and metric. one: `outputs_of_one`, where it is known already: it reads all labels."""
    one, most = outputs_of_one(job) if one is None else one, OUTPUTS_ON_GPU if on_gpu(job.device) else OUTPUTS
    return MADE_OF_OUTPUTS * max(one, min(members * one, most))


def outputs_of_one(job: Job) -> int:
    """Bytes of one member's outputs held at once: of a chunk, or of a whole split if it is not `piecewise`."""
    able = piecewise(job.workload)
    splits = [s for s in (job.workload.train, job.workload.validation, job.workload.test) if s is not None]
    samples = (min(chunk_size(job), len(s)) if divides(able, s) else len(s) for s in splits)
    return job.output_bytes * max(samples)


def chunk_size(job: Job) -> int:
    """Samples per forward pass of evaluation, whatever the number of members; all if outputs are not `[samples, …]`."""
    if job.whole_outputs:
        return max(len(s) for s in (job.workload.train, job.workload.validation, job.workload.test) if s is not None)
    most, elements = (CHUNK_ON_GPU, CHUNK_ELEMENTS << 4) if on_gpu(job.device) else (CHUNK, CHUNK_ELEMENTS)
    of_sample: int = sum(x.numel() for x in job.workload.train.first([1])[0].inputs)
    return max(LEAST, min(most, elements // max(1, of_sample)))


def output_bytes(outputs: Any, samples: int) -> int:
    """Bytes per sample of a model's outputs for `samples` samples."""
    tensors = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors) // max(1, samples)


def _unsqueezed(outputs: Any) -> Any:
    return tree_map(lambda o: o[None] if isinstance(o, Tensor) else o, outputs)


def _join(parts: list[Any], sizes: list[int]) -> Any:
    """The outputs of a split from those of its chunks of these sizes. Numbers without samples are averaged."""

    def join(*pieces: Any) -> Any:
        if isinstance(pieces[0], Tensor):
            if pieces[0].ndim == 1 and pieces[0].is_floating_point():  # [members]
                return sum(p * (size / sum(sizes)) for p, size in zip(pieces, sizes, strict=True))
            if len({(*p.shape[:1], *p.shape[2:]) for p in pieces}) > 1:
                raise Unjoinable
            return torch.cat(pieces, 1)
        if any(piece is not pieces[0] and repr(piece) != repr(pieces[0]) for piece in pieces):
            raise Unjoinable
        if not isinstance(pieces[0], bool | int | float | str | None):  # it may hold for this chunk only
            raise Unjoinable
        return pieces[0]

    return parts[0] if len(parts) == 1 else tree_map(join, *parts)
