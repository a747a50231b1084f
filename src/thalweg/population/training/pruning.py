"""Pruning in training: after declared steps, weights of members are set to zero, where their masks hold them."""

from collections.abc import Iterable, Sequence

from thalweg.population.training.events import Training
from thalweg.population.training.job import Job
from thalweg.population.updates.members import Member
from thalweg.population.updates.snapshot import Snapshot


class Prune:
    """Updates the masks of members that have a `Pruning`, before what is measured after the same step.

    Of their parameters, those are pruned that the loss depends on.

    The masks are states of the step (`recipes.options.MASK`), which hold between two updates whatever the optimizer
    does, and are part of every checkpoint.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._of = [member.pruning for member in members]

    def steps(self, job: Job) -> Iterable[int]:
        last = job.workload.total_steps
        steps = {step for of in self._of if of is not None and of.given is None for step in of.schedule.steps}
        return sorted(step for step in steps if 0 < step <= last)

    def happen(self, training: Training) -> None:
        for place, m in enumerate(training.held):
            pruning = self._of[m]
            if pruning is None or not pruning.updates(training.step) or not training.history.active[m]:
                continue
            held = training.executor.maskable(place)
            names = pruning.names({n: of.parameter for n, of in held.items() if n in training.job.trained})
            tensors = {name: held[name].parameter for name in names}
            masks = pruning.masks(training.step, tensors, {name: held[name].mask for name in names})
            for name, kept in masks.items():
                held[name].set(kept)

    def state(self) -> Snapshot:
        return Snapshot()

    def restore(self, state: Snapshot) -> None:
        pass
