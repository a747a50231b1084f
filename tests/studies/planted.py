"""Runs as a planted truth would give them, without training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from records_fixture import RUN, STEPS
from thalweg.records.types import Measurement, Round, RunRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.tuning import Tuner

Truth = Callable[[Mapping[str, Any]], float | None]
"""Hyperparameters → validation metric at the end; `None` where the run diverges."""


def run(contender: Contender, given: Mapping[str, Any], seed: int, of: Round, truth: Truth) -> RunRecord:
    metric = truth(given)
    return replace(
        RUN,
        contender=contender.label,
        factors=contender.factors,
        hyperparameters=dict(given),
        rate=contender.recipe.rate,
        seed=seed,
        round=of,
        curve=() if metric is None else (Measurement(STEPS, 0.1, 0.1, metric + 1e-4 * (seed - 1)),),
        diverged_at=3 if metric is None else None,
    )


def tuned(
    tuner: Tuner, truth: Truth, seeds: Sequence[int] = (0, 1, 2), stopped_at: int | None = None
) -> list[tuple[Round, list[dict[str, Any]]]]:
    """The rounds that a tuner asks for, each answered by the truth. stopped_at: the step at which all runs end."""
    runs: list[RunRecord] = []
    rounds = []
    while True:
        of, configurations = tuner.next(runs)
        if not configurations:
            return rounds
        rounds.append((of, configurations))
        found = [run(tuner.contender, c, seed, of, truth) for c in configurations for seed in seeds]
        runs += [replace(one, stopped_at=stopped_at) for one in found]
