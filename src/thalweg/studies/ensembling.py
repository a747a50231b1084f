"""Trains the models of an ensemble at once, keeps them, and scores them alone and together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from thalweg.analysis.ensembles import EnsembleScores, ensemble_scores, stored_interval
from thalweg.errors import InputError
from thalweg.options.ensembling import EnsembleSettings
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.evaluation import FLIPPED
from thalweg.population.training.job import Job
from thalweg.records.events import Listener
from thalweg.records.types import RunRecord
from thalweg.regularization.weight_averaging import greedy_soup, mean, recompute_statistics
from thalweg.studies.answers import Answers
from thalweg.studies.kept_models import KeptModels, Weights, model_with
from thalweg.studies.preparation import Prepared
from thalweg.studies.training import RunSpec, Trainer
from thalweg.workloads.classification import reading_of
from thalweg.workloads.combining import has_probabilities
from thalweg.workloads.workload import Workload

ALIKE = 1e-3
"""Relative difference between a model's score in training and that of its kept weights, by rounding at most."""
STATISTICS = 64
"""Batches of training data over which batch norm's statistics of averaged weights are computed anew, at most."""


@dataclass(frozen=True)
class TrainedModel:
    """A model of an ensemble, in evaluation mode. step: after which it was taken; `None` for the end of its run."""

    seed: int
    step: int | None
    weights: Weights
    model: nn.Module


def with_models(prepared: Prepared, snapshots: Sequence[int] = ()) -> Prepared:
    """The prepared study with jobs that read the test split and return weights, also after the steps `snapshots`."""
    jobs = prepared.jobs.with_job(test=True, keep_weights=True, snapshots=tuple(snapshots))
    return replace(prepared, jobs=jobs)


def snapshot_steps(cycles: int, steps: int) -> tuple[int, ...]:
    """The last step of each cycle of a cyclic schedule over a run. Raises `InputError` where the run is too short."""
    if steps < 2 * cycles:
        raise InputError(f"A run of {steps:,} steps is too short for {cycles} snapshots: train longer, or take fewer.")
    return tuple(math.ceil(k * steps / cycles) for k in range(1, cycles + 1))


def train_members(
    prepared: Prepared, tell: Listener, earlier: Mapping[int, RunRecord], checkpoints: Checkpoints, kept: KeptModels
) -> list[RunRecord]:
    """Trains the design's one contender with all its seeds at once; weights go to `kept` before a run is recorded."""
    (contender,) = prepared.design.contenders
    (given,) = contender.configurations(None)
    specs = [RunSpec(contender, given, seed, "tuning", "coarse") for seed in prepared.record.tuning_seeds]
    trainer = Trainer(earlier, tell, checkpoints, keep=kept.keep)
    return trainer.train(prepared.jobs, specs, "members", 0)


def models_of(job: Job, runs: Sequence[RunRecord], kept: KeptModels) -> list[TrainedModel]:
    """The models of the runs that ended, by run and step; raises `InputError` for fewer than two."""
    at: list[int | None] = [*job.snapshots] or [None]
    found = []
    for position, run in enumerate(runs):
        for step in at if not run.broke else ():
            weights = kept.weights(position, step)
            found.append(TrainedModel(run.seed, step, weights, model_with(job, run.seed, weights)))
    if len(found) < 2:
        failed = next((run.failure for run in runs if run.failure), "they diverged: lower the learning rate")
        raise InputError(f"An ensemble needs two models that trained to their end, and {len(found)} did: {failed}.")
    return found


def require_reproduced(job: Job, runs: Sequence[RunRecord], models: Sequence[TrainedModel]) -> None:
    """Raises `InputError` where kept weights do not score as in training: a model then has state elsewhere."""
    if job.random or job.whole_outputs:
        return
    workload, ended = job.workload, {run.seed: run for run in runs if not run.broke}
    slack = FLIPPED / len(workload.validation) if reading_of(workload.metric.function) is not None else 0.0
    first = next(m for m in reversed(models))
    run = ended[first.seed]
    if run.validation_metric is None or first.step not in (None, run.steps):
        return
    found = Answers.of(job, [first.model], workload.validation, "probabilities").score([0])
    if not math.isclose(found, run.validation_metric, rel_tol=10 * ALIKE, abs_tol=slack + 1e-9):
        raise InputError(
            f"The model of seed {run.seed} scores {run.validation_metric:.6g} in training and {found:.6g} with the"
            " weights that were kept: it has state outside of its parameters and buffers; register it as a buffer."
        )


def findings(
    prepared: Prepared, runs: Sequence[RunRecord], models: Sequence[TrainedModel], asked: EnsembleSettings
) -> dict[str, Any]:
    """What the study found, as JSON data: scores on the split that decides, the test split where there is one."""
    job = prepared.planned.job
    workload, name = job.workload, "validation" if job.workload.test is None else "test"
    split = workload.validation if workload.test is None else workload.test
    require_reproduced(job, runs, models)
    answers = Answers.of(job, [m.model for m in models], split, asked.average)
    found = ensemble_scores(len(models), answers.score, higher_is_better=workload.metric.maximized)
    everyone = range(len(models))
    return {
        "split": name,
        "samples": len(answers.targets),
        "average": asked.average if has_probabilities(workload.loss) else "outputs",
        "snapshots": bool(asked.snapshots),
        "members": [{"seed": m.seed, "step": m.step, "score": s} for m, s in zip(models, found.members, strict=True)],
        **_scores(found),
        "loss": {"members": [answers.loss([i]) for i in everyone], "ensemble": answers.loss(everyone)},
        "averaged_weights": _averaged(job, models, split, asked) if _one_start(workload, asked) else None,
        "broke": sum(run.broke for run in runs),
    }


def _scores(found: EnsembleScores) -> dict[str, Any]:
    sizes = [{**asdict(s), "margin": None if math.isnan(s.margin) else s.margin} for s in found.sizes]
    return {
        "mean": stored_interval(found.mean),
        "ensemble": found.ensemble,
        "gain": stored_interval(found.gain),
        "sizes": sizes,
    }


def _one_start(workload: Workload, asked: EnsembleSettings) -> bool:
    """Whether the models have one start in common, so that their weights can be averaged."""
    return asked.snapshots or workload.initial is not None


def _averaged(job: Job, models: Sequence[TrainedModel], split: Any, asked: EnsembleSettings) -> dict[str, Any]:
    """Scores of the mean of all weights, and of a greedy soup chosen on the validation split."""
    workload, first = job.workload, models[0]

    def scored(weights: Weights, on: Any) -> float:
        model = with_statistics(job, model_with(job, first.seed, weights))
        return Answers.of(job, [model], on, asked.average).score([0])

    states = [m.weights for m in models]
    higher = workload.metric.maximized
    soup, chosen = greedy_soup(states, lambda w: scored(w, workload.validation), higher_is_better=higher)
    return {"mean": scored(mean(states), split), "soup": scored(soup, split), "ingredients": sorted(chosen)}


def with_statistics(job: Job, model: nn.Module) -> nn.Module:
    """A model with batch norm's statistics computed anew over batches of the training split."""
    workload = job.workload
    size, batches = workload.batch_size, min(STATISTICS, max(1, len(workload.train) // workload.batch_size))
    layout = workload.objective.layout
    return recompute_statistics(model, workload.train.first([size] * batches), layout.call)
