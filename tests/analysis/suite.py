"""Studies drawn from a planted truth, recorded as if they had been trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log10
from typing import Any

import numpy as np
from handwritten import study

from records_fixture import RUN, STEPS
from thalweg.records.types import Measurement, Role, RunRecord, StudyRecord

RATES = tuple(float(f"{10 ** (i / 2 - 4):.3g}") for i in range(7))  # 1e-4 … 1e-1, two a decade
TUNING, CONFIRMATION = (0, 1, 2), (1000, 1001, 1002, 1003, 1004)
SEED_EFFECT = 0.01  # standard deviation of what all contenders share with one seed
CHANCE, USUAL = 0.1, 1e-3  # accuracy of a run that failed; the published rate of every contender


@dataclass(frozen=True)
class Truth:
    """A contender: its accuracy at the best rate, which rate that is, how soon it gets there, how noisy it is.

    dome: accuracy lost a decade away from the best rate, growing with the square. speed: steps to 1 − 1/e of the way.
    luck: added to every tuning run at the rate `lucky`, and to no other. fails: probability that a final run ends at
    chance level, `CHANCE`. untuned: accuracy of its published defaults at 1e-3, on the fresh seeds; `None` without any.
    """

    name: str
    accuracy: float = 0.8
    best: float = 1e-2
    dome: float = 0.05
    speed: float = 10.0
    noise: float = 0.01
    luck: float = 0.0
    lucky: float = 0.0
    diverges_above: float = 1.0
    fails: float = 0.0
    untuned: float | None = None

    def at(self, rate: float) -> float:
        return self.accuracy - self.dome * log10(rate / self.best) ** 2


class Suite:
    """Draws whole studies: coarse tuning of every contender, then confirmation of what `choices` chose."""

    def __init__(self, seed: int, *truths: Truth, samples: int = 0, rates: Sequence[float] = RATES) -> None:
        self._random = np.random.default_rng(seed)
        self.truths, self.samples, self._rates = truths, samples, rates
        self.record: StudyRecord = study(
            *(t.name for t in truths),
            target=0.7,
            confirmation=len(CONFIRMATION),
            samples={"test": samples, "validation": samples} if samples else {},
            learning_rates={t.name: tuple(rates) for t in truths},
        )

    def tuning(self) -> list[RunRecord]:
        shared = self._shared(TUNING)
        return [self._run(t, rate, s, "tuning", shared[s]) for t in self.truths for rate in self._rates for s in TUNING]

    def confirmation(self, chosen: Any) -> list[RunRecord]:
        shared = self._shared(self.record.confirmation_seeds)
        published = [
            self._run(replace(t, accuracy=t.untuned, dome=0.0, fails=0.0), USUAL, seed, "defaults", effect)
            for t in self.truths
            if t.untuned is not None
            for seed, effect in shared.items()
        ]
        return published + [
            self._run(t, chosen[t.name].point.learning_rate, seed, "confirmation", effect)
            for t in self.truths
            if chosen[t.name]
            for seed, effect in shared.items()
        ]

    def _shared(self, seeds: Sequence[int]) -> dict[int, float]:
        return {seed: self._random.normal(0, SEED_EFFECT) for seed in seeds}

    def _run(self, truth: Truth, rate: float, seed: int, role: Role, shared: float) -> RunRecord:
        lucky = truth.luck if role == "tuning" and rate == truth.lucky else 0.0
        drawn = self._random.normal(0, truth.noise, 2)
        validation, test = (self._rounded(truth.at(rate) + shared + noise + lucky) for noise in drawn)
        diverged = rate > truth.diverges_above
        if role == "confirmation" and truth.fails and self._random.random() < truth.fails:
            test = CHANCE
        return replace(
            RUN,
            contender=truth.name,
            factors={"optimizer": truth.name},
            hyperparameters={"lr": rate},
            seed=seed,
            role=role,
            curve=() if diverged else self._curve(truth, validation),
            test_metric=test if role != "tuning" and not diverged else None,
            diverged_at=5 if diverged else None,
        )

    def _curve(self, truth: Truth, end: float) -> tuple[Measurement, ...]:
        """Exponentially, and there at the end; a single measurement where there is a single rate."""
        if len(self._rates) == 1:
            return (Measurement(STEPS, 0.5, 0.5, end),)
        steps = range(5, STEPS + 1, 5)
        values = [*(end * (1 - exp(-step / truth.speed)) for step in steps[:-1]), end]
        return tuple(Measurement(step, 0.5, 0.5, value) for step, value in zip(steps, values, strict=True))

    def _rounded(self, accuracy: float) -> float:
        return round(accuracy * self.samples) / self.samples if self.samples else accuracy
