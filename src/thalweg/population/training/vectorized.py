"""Training of members as one vectorized tensor program."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thalweg.execution.dispatch import on_gpu
from thalweg.population.program.failures import Disagreement
from thalweg.population.program.gradients import GradientProgram, Made, whole
from thalweg.population.program.late_draws import Exposure
from thalweg.population.program.models import Stack, build, like, stack
from thalweg.population.program.python_state import as_built, changed
from thalweg.population.program.reasons import of_seed
from thalweg.population.training.cuda_graphs import CapturedSteps
from thalweg.population.training.evaluation import Evaluated, Evaluator
from thalweg.population.training.executor import Floats, Weights
from thalweg.population.training.job import Job
from thalweg.population.training.live import LiveModel
from thalweg.population.training.performance import begun
from thalweg.population.training.pieces import Scores
from thalweg.population.training.start import Start, start_of
from thalweg.population.training.stop import TrainingControl
from thalweg.population.training.training_loop import TrainingLoop
from thalweg.population.updates.hyperparameters import groups_of
from thalweg.population.updates.maskable import Maskable
from thalweg.population.updates.members import Member, Trained
from thalweg.population.updates.model_rules import ModelRules, model_rule_of
from thalweg.population.updates.parts import Mask
from thalweg.population.updates.snapshot import Snapshot, copied, joined
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.workloads.source import Batch, DrawnBatches, Source
from thalweg.workloads.split import Indexed

CAPTURED_STRIDE = 256  # steps launched between two looks at a GPU's losses


def train_vectorized(
    job: Job,
    members: Sequence[Member],
    program: GradientProgram,
    control: TrainingControl,
    executor: "type[Vectorized] | None" = None,
) -> list[Trained]:
    """Trains members that are grouped by step variant; returns their outcomes in that order.

    executor: `Vectorized` by default.
    """
    executor = executor or Vectorized
    members, rates = zip(*map(begun, members), strict=True)
    with torch.no_grad():
        loop = TrainingLoop(job, members, executor(job, members, program, live=control.live), control, rates)
        loop.restore()
        loop.train()
        return loop.outcomes()


class Vectorized:
    """The `Executor` of stacked members. live: whether to compare the program with the live model."""

    replays = True
    evaluated: NDArray[np.int64]

    def __init__(self, job: Job, members: Sequence[Member], program: GradientProgram, *, live: bool) -> None:
        self._job, self._program, self._members = job, program, members
        self._seeds = [m.seed for m in members]  # of those held
        self._models = models = {seed: build(job.workload, seed, job.device) for seed in dict.fromkeys(self._seeds)}
        other = next((name for m in models.values() if (name := changed(job.built, as_built(m)))), "")
        if job.built and other:
            raise Disagreement(of_seed(other))
        self._stack = stack(models, self._seeds, set(job.trained), program.output_major)
        groups = groups_of(job.workload, next(iter(models.values())), [m.recipe for m in members])
        self._updates = PopulationUpdates(members, self._stack.parameters, groups)
        model = next(iter(models.values()))
        self._evaluator = Evaluator(job, model, native=self._forward(model))
        rule = model_rule_of(members)
        self._rules: ModelRules | None = None if rule is None else ModelRules(rule, members)
        self._each = 1 if rule is None else rule.evaluations
        follows = live and not program.trusted
        self._live = LiveModel(job, program, self._seeds[0], len(members)) if follows else None
        self._shared, self._exposure = len(models) == 1, Exposure()
        self._rows = torch.tensor([list(models).index(seed) for seed in self._seeds])  # of a batch's `[seeds, batch]`
        self._captured: CapturedSteps | None = None
        self._size = sum(p[0].numel() * p.element_size() for p in self._stack.parameters.values())

    def _forward(self, model: nn.Module) -> Callable[..., Evaluated] | None:
        """What computes the outputs of several members in the place of vmap."""
        return None

    @property
    def stride(self) -> int:
        return 1 if self._capturing() is None else CAPTURED_STRIDE

    @property
    def execution(self) -> str:
        unrecorded = self._captured.reason if self._captured is not None else ""
        return f"population of {len(self._members)}" + (f" ({unrecorded})" if unrecorded else "")

    def starts(self) -> list[Start]:
        return [start_of(self._job, seed, self._models.get(seed)) for seed in self._seeds]

    def plan(self, start: int, end: int, done: int, active: Mask) -> None:
        self._models = {}  # frees what `starts` used
        captured = self._capturing()
        if self._rules is not None:
            self._rules.plan(start + 1, end - start)
        if captured is None:
            self._plan_updates(start, end, done)
        else:
            captured.begin(done + 1, end - done, active)

    def _plan_updates(self, start: int, end: int, done: int) -> None:
        self._updates.plan(start + 1, end - start)

    def carry_out(self, first: int, batches: Sequence[DrawnBatches], active: Mask) -> Floats:
        captured, self.evaluated = self._capturing(), np.full(len(self._seeds), len(batches))
        if captured is None:
            return np.stack([self._step(first + i, drawn, active) for i, drawn in enumerate(batches)])
        for i, drawn in enumerate(batches):
            assert isinstance(drawn, Indexed), "streams are not captured"
            if self._calls_live(first + i, drawn, active) and self._live is not None:
                self._live.compare(self._stack, self._made(self._batch(drawn, first + i), first + i))
            captured.step(drawn.index[0] if self._shared else drawn.index[self._rows])
        return captured.losses()

    def _capturing(self) -> CapturedSteps | None:
        """The capturable steps; `None` if any part of a step needs the CPU."""
        possible = on_gpu(self._job.device) and not self._job.random and self._updates.capturable
        workload = self._job.workload
        possible = possible and self._rules is None and workload.train.indexed and not workload.objective.follows
        if possible and self._captured is None:
            self._captured = CapturedSteps(self._job, self._stack, self._program, self._updates, self._seeds)
        return self._captured

    def _step(self, step: int, drawn: DrawnBatches, active: Mask) -> Floats:
        follows = self._calls_live(step, drawn, active)
        made, losses, buffers = result = self._made(batch := self._batch(drawn, step), step)
        if follows and self._live is not None:
            self._live.compare(self._stack, result)
        if self._rules is not None:
            made, losses, buffers = self._by_rule(result, batch, step)
        self._stack.buffers = buffers
        found: Floats = losses.double().cpu().numpy()
        self.evaluated = self.evaluated + (self._each - 1) * np.isfinite(found)  # the others end at the first
        self._updates.step(step, made, active & np.isfinite(found))
        return found

    def _by_rule(self, first: Made, batch: Batch, step: int) -> Made:
        """The gradients of the model rule; losses and buffers of the first evaluation, at the parameters."""
        assert self._rules is not None
        losses, buffers = first[1].clone(), {name: b.clone() for name, b in first[2].items()}
        parameters, made = self._stack.parameters, first

        def evaluate(at: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            moved = {n: _alike(parameters[n], p) for n, p in at.items()}
            stack = Stack(moved, buffers)
            gradients, values, _ = made if at is parameters else self._program(stack, batch, self._seeds, step)
            return values, whole(gradients, moved)

        return dict(self._rules.evaluated(step, evaluate, parameters)), losses, buffers

    def _batch(self, drawn: DrawnBatches, step: int) -> Batch:
        batch = drawn.of(0) if self._shared else drawn.several(self._rows)
        return self._job.workload.at(batch, step, several=not self._shared)

    def _made(self, batch: Batch, step: int) -> Made:
        return self._program(self._stack, batch, self._seeds, step)

    def _calls_live(self, step: int, drawn: DrawnBatches, active: Mask) -> bool:
        """Calls the live model while its calls last; returns whether to compare it with the program."""
        if self._program.distrusted:
            raise Disagreement(self._program.distrusted)
        if self._live is None or not self._live.follows:
            self._live = None  # frees its memory
            return False
        return self._live.call(self._stack, self._seeds, active.tolist(), lambda m: drawn.of(int(self._rows[m])), step)

    def finite(self) -> Mask:
        if self._job.random:
            self._exposure.require_none()
        broken = torch.zeros(len(self._seeds), dtype=torch.bool, device=self._job.device)
        for p in self._stack.parameters.values():
            if not torch.isfinite(p.sum()):  # one quick pass in the usual case
                broken |= ~torch.isfinite(p).flatten(1).all(1)
        return ~broken.cpu().numpy()

    def measure(self, split: Source, step: int, *, loss: bool = False) -> Scores:
        evaluated = Stack(self._updates.weights(), self._stack.buffers)
        return self._evaluator.together(evaluated, split, self._seeds, step, loss=loss)

    def metric_of(self, weights: Sequence[Weights], seeds: Sequence[int], split: Source, step: int) -> Sequence[float]:
        stacked = {name: torch.stack([of[name] for of in weights]) for name in weights[0]}
        return self._evaluator.together(Stack(stacked, {}), split, seeds, step).metrics

    def copies(self, members: Sequence[int]) -> list[dict[str, Tensor]]:
        held = {**self._updates.weights(), **self._stack.buffers}
        return [{name: tensor[m].clone().contiguous() for name, tensor in held.items()} for m in members]

    def keep(self, index: NDArray[np.int64]) -> None:
        self._seeds, self._rows = [self._seeds[i] for i in index], self._rows[torch.from_numpy(index)]
        if len(index):
            self._stack = self._stack.keep(torch.from_numpy(index).to(self._job.device))
        self._updates.keep(index, self._stack.parameters)
        if self._rules is not None:
            self._rules.keep(index)
        self._captured = None

    def maskable(self, member: int) -> dict[str, Maskable]:
        return self._updates.maskable(member)

    def bytes_of(self, member: int) -> int:
        return self._size * self._members[member].copies

    def state(self) -> Snapshot:
        parts = {"parameters": Snapshot(self._stack.parameters), "buffers": Snapshot(self._stack.buffers)}
        return joined(parts | {"updates": self._updates.state()})

    def restore(self, state: Snapshot) -> None:
        copied(self._stack.parameters, state.part("parameters"))
        copied(self._stack.buffers, state.part("buffers"))
        self._updates.restore(state.part("updates"))


def _alike(parameter: Tensor, moved: Tensor) -> Tensor:
    """The values in the parameter's dtype and memory layout."""
    moved = moved.to(parameter.dtype)
    return moved if moved.stride() == parameter.stride() else like(parameter, moved)
