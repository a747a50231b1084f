"""Trains the models of a study of sparsity, and cuts those that became sparse by themselves to the sparsity asked."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from thalweg.errors import InputError
from thalweg.population.engine.task import NOWHERE, MembersFinished, MembersMeasured
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.program.models import build
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.updates.members import Member, Trained
from thalweg.records.events import Finished, Listener, Measured, StageBegan
from thalweg.records.sparsity import DENSE, SparseRun, SparsityStore
from thalweg.records.types import RunRecord
from thalweg.regularization import pruning
from thalweg.regularization.pruning import Tensors
from thalweg.sparse.export import sizes
from thalweg.studies.sparse_design import SparseArm, SparseDesign

Weights = dict[str, Tensor]

NO_RECORD = RunRecord("", {}, {}, 0, "tuning", (), 0)
"""In the place of a comparison's run: displays count runs, and read none that is not on a leaderboard."""


@dataclass(frozen=True)
class PlannedModel:
    """A member to train: its arm and seed, and its masks where it has them from the start."""

    arm: SparseArm
    seed: int
    masks: Mapping[str, Tensor] | None = None


class Sparsifying:
    """Trains all models, in a population for all methods and, for tickets, one more; `runs` are what comes of them.

    store: where members that have finished are kept; `None` for nowhere. tell: hears of stages and how far they are.
    """

    def __init__(self, design: SparseDesign, planned: PlannedJob, store: SparsityStore | None, tell: Listener) -> None:
        self._design, self._store, self._tell = design, store, tell
        self._planned = replace(planned, models=None, job=replace(planned.job, test=True, keep_weights=True))
        self._workload = planned.job.workload
        self._model = build(self._workload, design.seeds[0], planned.job.device)
        self._evaluator = Evaluator(self._planned.job, self._model)
        trained = {name: p for name, p in self._model.named_parameters() if name in planned.job.trained}
        self._names = pruning.prunable(trained, design.exclude)
        tensors = {name: trained[name] for name in self._names}
        for sparsity in design.sparsities:
            pruning.require_scope(design.scope, sparsity, tensors)
        self._weights = sum(p.numel() for p in tensors.values())
        self._held: dict[int, Weights] = {}
        self.runs: dict[int, tuple[SparseRun, ...]] = {} if store is None else store.runs()

    def run(self) -> list[SparseRun]:
        """Trains what is left, and returns all runs."""
        seeds, first = self._design.seeds, self._design.trained
        self._train(0, [PlannedModel(arm, seed) for arm in first for seed in seeds])
        tickets = self._design.tickets
        if tickets:
            start = len(first) * len(seeds)
            dense = dict(zip(seeds, (self._dense(i) for i in range(len(seeds))), strict=True))
            chosen = [(arm, seed) for arm in tickets for seed in seeds if dense[seed] is not None]
            self._train(
                start, [PlannedModel(arm, seed, self._cut(dense[seed] or {}, arm.sparsity)) for arm, seed in chosen]
            )
        return [run for _, runs in sorted(self.runs.items()) for run in runs]

    def _train(self, start: int, models: Sequence[PlannedModel]) -> None:
        """Trains models at the positions from `start` on, but those that have finished."""
        members = [self._design.member(of.arm, of.seed, self._workload, of.masks) for of in models]
        done = [i for i in range(len(models)) if start + i in self.runs]
        if len(done) == len(models):
            return
        self._tell(StageBegan("tickets" if start else "models", start, len(models), self._workload.total_steps))
        self._tell(Finished({start + i: NO_RECORD for i in done}, earlier=True))
        where = NOWHERE if self._store is None else Checkpoints(self._store.path, first=start)
        with closing(train(self._planned, members, done, where)) as events:
            for event in events:
                if isinstance(event, MembersMeasured):
                    self._tell(Measured(event.step, {start + i: of for i, of in event.measurements.items()}))
                if isinstance(event, MembersFinished):
                    self._tell(Finished({start + i: NO_RECORD for i in event.outcomes}))
                    for i, outcome in event.outcomes.items():
                        self._finished(start + i, models[i], members[i], outcome)
                    where.of(event.outcomes, ()).discard()

    def _finished(self, position: int, model: PlannedModel, member: Member, outcome: Trained) -> None:
        """Keeps what comes of a member: a run, or one for each sparsity that it is cut to."""
        weights, runs = dict(outcome.weights), [self._outcome(model, outcome)]
        cut = {DENSE: "threshold", "l1": "l1"}.get(model.arm.method)
        if cut == "l1":
            runs = []
        if cut in self._design.methods:
            runs += [self._cut_run(cut, sparsity, model, outcome) for sparsity in self._design.sparsities]
        if model.arm.method == DENSE:
            self._keep_dense(position, weights)
        self.runs[position] = tuple(runs)
        if self._store is not None:
            self._store.add(position, runs)

    def _outcome(self, model: PlannedModel, outcome: Trained) -> SparseRun:
        """The run of a member as it was trained."""
        arm, why = model.arm, _broken(outcome)
        validation = outcome.curve[-1].validation_metric if outcome.curve and not why else None
        zeros = 0 if why else self._zeros(outcome.weights)
        expected = pruning.pruned_count(self._weights, arm.sparsity)
        if not why and self._design.scope != "layer" and arm.method != DENSE and zeros < expected:
            raise AssertionError(f"{arm} with seed {model.seed} has {zeros} zeros, not {expected}")
        test = None if why else outcome.test_metric
        return SparseRun(
            arm.method, arm.sparsity, model.seed, validation, test, self._weights, zeros,
            None, None, *_sizes({} if why else outcome.weights), execution=outcome.execution, failure=why,
        )  # fmt: skip

    def _cut_run(self, method: str, sparsity: float, model: PlannedModel, outcome: Trained) -> SparseRun:
        """The run of a model whose smallest weights are cut to a sparsity after its training."""
        why, strength = _broken(outcome), model.arm.strength
        if why:
            return SparseRun(
                method, sparsity, model.seed, None, None, self._weights, 0, strength=strength, failure=why,
                execution=outcome.execution,
            )  # fmt: skip
        masks = self._cut(outcome.weights, sparsity)
        weights = {name: t * masks[name] if name in masks else t for name, t in outcome.weights.items()}
        splits = (self._workload.validation, self._workload.test)
        step = self._workload.total_steps
        validation, test = (
            None if split is None else self._evaluator.alone(weights, split, model.seed, step).metrics[0]
            for split in splits
        )
        own = None if strength is None else self._zeros(outcome.weights)
        return SparseRun(
            method, sparsity, model.seed, validation, test, self._weights, self._zeros(weights), own, strength,
            *_sizes(weights), execution=outcome.execution,
        )  # fmt: skip

    def _cut(self, weights: Tensors, sparsity: float) -> dict[str, Tensor]:
        """Masks of the weights with the largest magnitude."""
        tensors = {name: weights[name] for name in self._names}
        return pruning.masks_of(pruning.magnitudes(tensors), sparsity, self._design.scope)

    def _zeros(self, weights: Tensors) -> int:
        return sum(int((weights[name] == 0).sum()) for name in self._names)

    def _keep_dense(self, position: int, weights: Weights) -> None:
        """Keeps the weights of a dense model, from which tickets are drawn."""
        if not self._design.tickets:
            return
        own = {name: weights[name] for name in self._names if name in weights}
        if self._store is None:
            self._held[position] = own
        else:
            from safetensors.torch import save_file

            save_file({name: t.cpu().contiguous() for name, t in own.items()}, self._place(self._store, position))

    def _dense(self, position: int) -> Weights | None:
        """The weights of a dense model; `None` of one that broke off."""
        if any(run.failure for run in self.runs[position]):
            return None
        if self._store is None:
            return self._held[position]
        from safetensors.torch import load_file

        where = self._place(self._store, position)
        if not where.exists():
            raise InputError(f"{where} is missing, from which tickets are drawn: delete {where.parent} and begin anew.")
        return {name: t.to(self._planned.job.device) for name, t in load_file(where).items()}

    @staticmethod
    def _place(store: SparsityStore, position: int) -> Path:
        return store.path / f"dense-{position}.safetensors"


def _broken(outcome: Trained) -> str:
    """Why a run broke off; empty if it did not."""
    if outcome.failure:
        return outcome.failure
    return "" if outcome.diverged_at is None else f"diverged at step {outcome.diverged_at}"


def _sizes(weights: Tensors) -> tuple[int | None, int | None]:
    """The bytes of a model's tensors on disk, in rows and densely; unknown of one that broke off."""
    return sizes(weights) if weights else (None, None)
