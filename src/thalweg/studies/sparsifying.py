"""Trains the models of a study of sparsity, and cuts those that became sparse by themselves to the sparsity asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.population.program.models import build
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.evaluation import Evaluator
from thalweg.population.updates.members import Member, Trained
from thalweg.records.events import Listener
from thalweg.records.sparsity import DENSE, KeptOutcomes, SparseRun
from thalweg.records.types import RunRecord
from thalweg.regularization import pruning
from thalweg.regularization.mask_updates import Pruning
from thalweg.regularization.pruning import Tensors
from thalweg.sparse.export import sizes
from thalweg.studies.contenders import Contender
from thalweg.studies.kept_models import KeptModels
from thalweg.studies.preparation import Prepared
from thalweg.studies.sparse_design import DENSE_ARM, SCHEDULED, SparseArm, SparseDesign
from thalweg.studies.training import RunSpec, Trainer
from thalweg.workloads.workload import Workload


@dataclass(frozen=True)
class SparseSpec(RunSpec):
    """A run that is sparse in training. pruning: what sets its weights to zero, if anything does."""

    arm: SparseArm = DENSE_ARM
    pruning: Pruning | None = None

    def member(self, workload: Workload) -> Member:
        return replace(super().member(workload), pruning=self.pruning)


@dataclass(frozen=True)
class SparseTraining:
    """What models are trained with, and where what becomes of them is kept."""

    tell: Listener
    earlier: Mapping[int, RunRecord]
    checkpoints: Checkpoints
    models: KeptModels
    outcomes: KeptOutcomes


@dataclass(frozen=True)
class Prunable:
    """A model, the names of its parameters that are pruned, and how many numbers they are."""

    model: nn.Module
    names: tuple[str, ...]
    weights: int

    @classmethod
    def of(cls, prepared: Prepared, design: SparseDesign) -> "Prunable":
        """Raises `InputError` where a pattern matches no parameter, none is left, or they cannot be so sparse."""
        job = prepared.planned.job
        model = build(job.workload, design.seeds[0], job.device)
        trained = {name: p for name, p in model.named_parameters() if name in job.trained}
        names = pruning.prunable(trained, design.exclude)
        tensors = {name: trained[name] for name in names}
        for sparsity in design.sparsities:
            pruning.require_scope(design.scope, sparsity, tensors)
            if set(SCHEDULED) & set(design.methods):
                design.when(sparsity)
        return cls(model, tuple(names), sum(p.numel() for p in tensors.values()))


class Sparsifying:
    """Trains all models, in a population for all methods and, for tickets, one more. Raises as `Prunable`."""

    def __init__(self, prepared: Prepared, design: SparseDesign, training: SparseTraining) -> None:
        self._prepared, self._design, self._training = prepared, design, training
        found, job = Prunable.of(prepared, design), prepared.planned.job
        self._workload, self._names, self._weights = job.workload, found.names, found.weights
        self._evaluator = Evaluator(job, found.model)
        self._specs: dict[int, SparseSpec] = {}

    def run(self) -> tuple[list[RunRecord], list[SparseRun]]:
        """Trains what is left; returns the runs, and what became of their models."""
        seeds, arms = self._design.seeds, self._design.trained
        of = dict(zip((*arms, *self._design.tickets), self._prepared.design.contenders, strict=True))
        specs = [self._spec(of[arm], arm, seed) for arm in arms for seed in seeds]
        runs = self._train("models", 0, specs)
        if self._design.tickets:
            runs += self._train("tickets", len(runs), self._tickets(of, runs[: len(seeds)]))
        return runs, [one for i, run in enumerate(runs) for one in self._of(i, run)]

    def _of(self, position: int, run: RunRecord) -> tuple[SparseRun, ...]:
        """What became of a run's model. Raises `InputError` where what is kept is another run's."""
        found, arm = self._training.outcomes.runs(position), self._specs[position].arm
        whole = [one for one in found if one.method == arm.method != "l1"]
        theirs = [one for one in found if one.seed != run.seed or one.strength != arm.strength]
        theirs += [one for one in whole if one.sparsity != arm.sparsity]
        theirs += [one for one in whole if not run.broke and one.validation_metric != run.validation_metric]
        if theirs or len(whole) != (arm.method != "l1"):
            raise InputError(f"What is kept of run {position} is another run's: put its file back, or begin anew.")
        return found

    def _tickets(self, of: Mapping[SparseArm, Contender], dense: Sequence[RunRecord]) -> list[SparseSpec]:
        """A ticket of each sparsity from each dense model that trained to its end."""
        weights = {run.seed: i for i, run in enumerate(dense) if not run.broke}
        found = []
        for arm in self._design.tickets:
            for seed, position in weights.items():
                masks = self._cut(self._training.models.weights(position), arm.sparsity)
                found.append(self._spec(of[arm], arm, seed, masks))
        return found

    def _spec(self, contender: Contender, arm: SparseArm, seed: int, masks: Tensors | None = None) -> SparseSpec:
        (given,) = contender.configurations(None)
        how = self._design.pruning(arm, seed, masks)
        return SparseSpec(contender, given, seed, "tuning", "coarse", arm, how)

    def _train(self, stage: str, first: int, specs: Sequence[SparseSpec]) -> list[RunRecord]:
        self._specs |= dict(enumerate(specs, first))
        of = self._training
        trainer = Trainer(of.earlier, of.tell, of.checkpoints, keep=self._finished)
        return trainer.train(self._prepared.jobs, specs, stage, first)

    def _finished(self, position: int, trained: Trained) -> None:
        """Keeps what becomes of a model: as it is, or cut to each sparsity."""
        spec, why = self._specs[position], _broken(trained)
        method = spec.arm.method
        runs = [] if method == "l1" else [self._as_trained(spec, trained, why)]
        cut = {DENSE: "threshold", "l1": "l1"}.get(method)
        if cut in self._design.methods:
            runs += [self._cut_to(sparsity, str(cut), spec, trained, why) for sparsity in self._design.sparsities]
        if method == DENSE and self._design.tickets:
            own = {name: trained.weights[name] for name in self._names if name in trained.weights}
            self._training.models.keep(position, replace(trained, weights=own))
        self._training.outcomes.add(position, runs)

    def _as_trained(self, spec: SparseSpec, trained: Trained, why: str) -> SparseRun:
        arm = spec.arm
        validation = trained.curve[-1].validation_metric if trained.curve and not why else None
        zeros = 0 if why else self._zeros(trained.weights)
        expected = pruning.pruned_count(self._weights, arm.sparsity)
        if not why and self._design.scope != "layer" and arm.method != DENSE and zeros < expected:
            raise AssertionError(f"{arm} with seed {spec.seed} has {zeros} zeros, not {expected}")
        return SparseRun(
            arm.method, arm.sparsity, spec.seed, validation, None if why else trained.test_metric, self._weights, zeros,
            None, None, *_sizes({} if why else trained.weights), execution=trained.execution, failure=why,
        )  # fmt: skip

    def _cut_to(self, sparsity: float, method: str, spec: SparseSpec, trained: Trained, why: str) -> SparseRun:
        """What becomes of a model whose smallest weights are set to zero after its training."""
        strength, how = spec.arm.strength, trained.execution
        about = (method, sparsity, spec.seed)
        if why:
            return SparseRun(
                *about, None, None, self._weights, 0, strength=strength, execution=how, failure=why,
            )  # fmt: skip
        masks = self._cut(trained.weights, sparsity)
        weights = {name: t * masks[name] if name in masks else t for name, t in trained.weights.items()}
        splits, step = (self._workload.validation, self._workload.test), self._workload.total_steps
        validation, test = (
            None if split is None else self._evaluator.alone(weights, split, spec.seed, step).metrics[0]
            for split in splits
        )
        own = None if strength is None else self._zeros(trained.weights)
        return SparseRun(
            *about, validation, test, self._weights, self._zeros(weights), own, strength, *_sizes(weights),
            execution=how,
        )  # fmt: skip

    def _cut(self, weights: Tensors, sparsity: float) -> dict[str, Tensor]:
        """Masks of the weights with the largest magnitude."""
        device = self._prepared.planned.job.device
        tensors = {name: weights[name].to(device) for name in self._names}
        return pruning.masks_of(pruning.magnitudes(tensors), sparsity, self._design.scope)

    def _zeros(self, weights: Tensors) -> int:
        return sum(int((weights[name] == 0).sum()) for name in self._names)


def _broken(trained: Trained) -> str:
    """Why a run broke off; empty if it did not."""
    if trained.failure:
        return trained.failure
    return "" if trained.diverged_at is None else f"diverged at step {trained.diverged_at}"


def _sizes(weights: Tensors) -> tuple[int | None, int | None]:
    """The bytes of a model's tensors on disk, in rows and densely; unknown of one that broke off."""
    return sizes(weights) if weights else (None, None)
