"""Training of members as one vectorized tensor program."""

import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution.dispatch import on_gpu
from thalweg.population.program.failures import Disagreement
from thalweg.population.program.gradients import GradientProgram, Made
from thalweg.population.program.models import Stack, build, stack
from thalweg.population.program.python_state import as_built, changed
from thalweg.population.program.reasons import of_seed
from thalweg.population.training.batches import Batch, batch_at, order
from thalweg.population.training.cuda_graphs import CapturedSteps
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.training.history import History
from thalweg.population.training.job import Job
from thalweg.population.training.live import LiveModel
from thalweg.population.training.start import start_of
from thalweg.population.training.stop import TrainingControl
from thalweg.population.updates.clipping import within
from thalweg.population.updates.hyperparameters import groups_of
from thalweg.population.updates.members import Member, Trained
from thalweg.population.updates.snapshot import Snapshot, copied, joined
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.workloads.workload import Split


def train_vectorized(
    job: Job, members: Sequence[Member], program: GradientProgram, watch: TrainingControl
) -> list[Trained]:
    """Trains members that are grouped by step variant; returns their outcomes in that order."""
    with torch.no_grad():
        run = _Vectorized(job, members, program, watch)
        run.restore(watch.checkpoint.load())
        run.begin()
        milestones, shown = job.workload.milestones, 0
        try:
            for start, end in pairwise([0, *milestones]):
                if end > run.step:
                    run.train(start, end)
                    run.evaluate(last=end == milestones[-1])
                    run.release()
                watch.progress(len(members))
                shown += len(members)
        except Disagreement:
            watch.progress(-shown)  # the runs start over
            raise
        return run.outcomes()


class _Vectorized:
    def __init__(self, job: Job, members: Sequence[Member], program: GradientProgram, watch: TrainingControl) -> None:
        self._job, self._program, self._watch = job, program, watch
        self._count, self._members = len(members), members
        self._seeds = [m.seed for m in members]
        self._models = models = {seed: build(job.workload, seed, job.device) for seed in dict.fromkeys(self._seeds)}
        other = next((name for m in models.values() if (name := changed(job.built, as_built(m)))), "")
        if job.built and other:
            raise Disagreement(of_seed(other))
        self._stack = stack(models, self._seeds, set(job.trained), program.output_major)
        groups = groups_of(job.workload, next(iter(models.values())))
        self._updates = PopulationUpdates(members, self._stack.parameters, groups)
        self._evaluator = Evaluator(job, next(iter(models.values())))
        follows = watch.live and not program.trusted
        self._live = LiveModel(job, program, self._seeds[0], len(members)) if follows else None
        self._order = order(list(models), job.workload)
        self._shared = len(models) == 1
        self._seed_index = torch.tensor([list(models).index(seed) for seed in self._seeds])
        self._curves = History(len(members), higher_is_better=job.workload.metric.maximized)
        self._here = np.arange(len(members))  # the members in the stack, in its order
        self._recorded: CapturedSteps | None = None
        self.step, self._seconds = 0, 0.0
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Measures the start of each member, unless a checkpoint holds it; frees the models built."""
        if not self.step:
            self._curves.starts = [start_of(self._job, seed, self._models[seed]) for seed in self._seeds]
        self._models = {}

    def train(self, start: int, end: int) -> None:
        """Trains steps `start + 1` to `end`; after a checkpoint, those that are left."""
        if not len(self._here):
            self.step = end
            return
        recorded = self._recording()
        if recorded is not None:
            recorded.begin(self.step + 1, end - self.step, self._curves.active[self._here])
        else:
            self._updates.plan(start + 1, end - start)
        rows = self._seed_index[self._here]
        while self.step < end:
            self._watch.check(self._state)
            index = self._order.next()
            self.step += 1
            index = index[0] if self._shared else index[rows]
            due = self._called(index)
            if recorded is None:
                self._train_batch(index, due=due)
                continue
            if due and self._live:
                self._live.compare(self._stack, self._made(batch_at(self._job.workload.train, index)))
            recorded.step(index)
        self._note()
        self._end_members_with_broken_parameters()

    def _recording(self) -> CapturedSteps | None:
        """The capturable steps; `None` if any part of a step needs the CPU."""
        possible = on_gpu(self._job.device) and not self._job.random and self._updates.can_follow
        if possible and self._recorded is None:
            seeds = [self._seeds[m] for m in self._here]
            self._recorded = CapturedSteps(self._job, self._stack, self._program, self._updates, seeds)
        return self._recorded

    def _note(self) -> None:
        """Records the losses of capturable steps, which are still on the device."""
        for step, losses, samples in self._recorded.notes() if self._recorded is not None else ():
            self._curves.batch(step, self._everyone(losses), samples)

    def _train_batch(self, index: Tensor, *, due: bool) -> None:
        batch = batch_at(self._job.workload.train, index)
        made, losses, buffers = result = self._made(batch)
        if due and self._live:
            self._live.compare(self._stack, result)
        self._stack.buffers = buffers
        gradients = within(made, self._job.clip_norm, self._stack.parameters)
        samples = batch[1].shape[0 if self._shared else 1]
        self._curves.batch(self.step, self._everyone(losses), samples)
        self._updates.step(self.step, gradients, self._curves.active[self._here])

    def _made(self, batch: Batch) -> Made:
        return self._program(self._stack, batch, [self._seeds[m] for m in self._here], self.step)

    def _called(self, index: Tensor) -> bool:
        """Calls the live model while its calls last; returns whether to compare it with the program."""
        if self._program.distrusted:
            raise Disagreement(self._program.distrusted)
        if self._live is None or not self._live.follows:
            self._live = None  # frees its memory
            return False
        seeds, going = [self._seeds[m] for m in self._here], self._curves.active[self._here]
        return self._live.call(self._stack, seeds, going.tolist(), index, self.step)

    def _everyone(self, values: Tensor | np.ndarray | list[float]) -> np.ndarray:
        """Scatters values of the members in the stack to `[all members]`, with NaN for those released."""
        out = np.full(self._count, np.nan)
        out[self._here] = values.double().cpu().numpy() if isinstance(values, Tensor) else values
        return out

    def _end_members_with_broken_parameters(self) -> None:
        broken = torch.zeros(len(self._here), dtype=torch.bool, device=self._job.device)
        for p in self._stack.parameters.values():
            if not torch.isfinite(p.sum()):  # one quick pass in the usual case
                broken |= ~torch.isfinite(p).flatten(1).all(1)
        everyone = np.zeros(self._count, np.bool_)
        everyone[self._here] = broken.cpu().numpy()
        self._curves.end(everyone, self.step)

    def evaluate(self, *, last: bool) -> None:
        if not len(self._here):
            return
        workload = self._job.workload
        metric, loss = self._measure(workload.validation, loss=True)
        improved = self._curves.measure(self.step, self._everyone(metric), self._everyone(loss))
        if self._job.test and workload.test is not None and (last or improved.any()):
            self._curves.tested(self._everyone(self._measure(workload.test)[0]), improved)

    def _measure(self, split: Split, *, loss: bool = False) -> tuple[list[float], list[float]]:
        seeds = [self._seeds[m] for m in self._here]
        evaluated = Stack(self._updates.weights(), self._stack.buffers)
        return self._evaluator.together(evaluated, split, seeds, self.step, loss=loss)

    def release(self) -> None:
        """Frees the memory of diverged members once they are a quarter of the stack."""
        going = np.flatnonzero(self._curves.active[self._here])
        if len(self._here) and len(going) <= 0.75 * len(self._here):
            self._hold(going)

    def _hold(self, index: NDArray[np.int64]) -> None:
        """Keeps only the members at these indices of the stack."""
        if len(index) < len(self._here):
            self._here = self._here[index]
            self._stack = self._stack.keep(torch.from_numpy(index).to(self._job.device)) if len(index) else self._stack
            self._updates.keep(index, self._stack.parameters)
            self._recorded = None

    def _state(self) -> Snapshot:
        self._note()
        parts = {
            "parameters": Snapshot(self._stack.parameters),
            "buffers": Snapshot(self._stack.buffers),
            "updates": self._updates.state(),
            "order": self._order.state(),
            "curves": self._curves.state(),
        }
        return joined(parts, step=self.step, here=self._here.tolist(), seconds=self._spent())

    def restore(self, state: Snapshot | None) -> None:
        """Continues from a checkpoint; `None` starts anew."""
        if state is None:
            return
        self._hold(np.array(state.facts["here"], np.int64))
        self.step, self._seconds = state.facts["step"], state.facts["seconds"]
        copied(self._stack.parameters, state.part("parameters"))
        copied(self._stack.buffers, state.part("buffers"))
        for part, name in ((self._updates, "updates"), (self._order, "order"), (self._curves, "curves")):
            part.restore(state.part(name))

    def _spent(self) -> float:
        """Seconds of training, including those before a checkpoint."""
        return self._seconds + time.perf_counter() - self._began

    def outcomes(self) -> list[Trained]:
        curves, share = self._curves, self._spent() / self._count
        train = np.full(self._count, np.nan)
        if len(self._here):
            train = self._everyone(self._measure(self._job.workload.train)[0])
        unrecorded = f" ({self._recorded.reason})" if self._recorded is not None and self._recorded.reason else ""
        how = f"population of {self._count}{unrecorded}"
        held = {**self._updates.weights(), **self._stack.buffers} if self._job.keep_weights else {}
        size = sum(p[0].numel() * p.element_size() for p in self._stack.parameters.values())
        return [
            Trained(
                curve=tuple(curves.measured[m]),
                initial_loss=curves.initial_loss[m],
                initial_validation_loss=curves.starts[m].loss,
                loss_spread=curves.starts[m].spread,
                train_metric=float(train[m]) if curves.active[m] and np.isfinite(train[m]) else None,
                test_metric=curves.test[m] if curves.active[m] else None,
                best_test_metric=curves.best_test[m],
                diverged_at=curves.diverged_at[m],
                seconds=share,
                memory=size * self._members[m].copies,
                execution=how,
                weights=self._of(m, held),
            )
            for m in range(self._count)
        ]

    def _of(self, member: int, held: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copies of a member's slices of tensors `[members in the stack, …]`; empty if it was released."""
        place = np.flatnonzero(self._here == member)
        if not len(place):
            return {}
        return {name: tensor[int(place[0])].clone().contiguous() for name, tensor in held.items()}
