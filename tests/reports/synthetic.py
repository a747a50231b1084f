"""Studies that look like real ones, made of closed formulas: records for the report without any training."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from records_fixture import RUN, STUDY
from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.verdict import verdict
from thalweg.records.types import Measurement, Role, RunRecord, StudyRecord

STEPS = 844  # of an epoch


@dataclass(frozen=True)
class Character:
    """An optimizer's behaviour: its best rate and metric there, how many decades it forgives, its published rate."""

    name: str
    best: float
    peak: float
    forgives: float
    default: float
    rates: tuple[float, float]


TEXTBOOK = (
    Character("sgd", 0.6, 0.957, 0.8, 1e-3, (1e-3, 1e1)),
    Character("momentum", 0.06, 0.963, 0.7, 1e-3, (1e-3, 1e1)),
    Character("nesterov", 0.07, 0.964, 0.75, 1e-3, (1e-3, 1e1)),
    Character("adagrad", 0.03, 0.961, 0.8, 1e-2, (1e-4, 1.0)),
    Character("adadelta", 3.0, 0.962, 1.2, 1.0, (1e-2, 1e2)),
    Character("rmsprop", 0.001, 0.966, 0.6, 1e-2, (1e-5, 1e-1)),
    Character("adam", 0.0016, 0.9705, 0.85, 1e-3, (1e-5, 1e-1)),
    Character("adamw", 0.002, 0.972, 0.9, 1e-3, (1e-5, 1e-1)),
    Character("adamax", 0.006, 0.9690, 1.0, 2e-3, (1e-4, 1.0)),
    Character("nadam", 0.0014, 0.9715, 0.8, 2e-3, (1e-5, 1e-1)),
    Character("adabound", 0.003, 0.965, 0.9, 1e-3, (1e-5, 1e-1)),
)


@dataclass(frozen=True)
class Shape:
    """How big a study is, and what it measures."""

    contenders: tuple[Character, ...] = TEXTBOOK
    rates: int = 9
    seeds: int = 3
    fresh: int = 5
    epochs: int = 20
    metric: str = "accuracy"
    higher_is_better: bool = True
    target: float | None = 0.95
    test: bool = True
    workload: str = "mnist-mlp"


Parts = tuple[StudyRecord, list[Row], list[RunRecord], str]


def study_of(shape: Shape) -> tuple[StudyRecord, list[RunRecord]]:
    """The record and all its runs."""
    study = _record(shape)
    runs = [
        trained(shape, c, rate, seed, "tuning")
        for seed in study.tuning_seeds
        for c in shape.contenders
        for rate in study.learning_rates[c.name]
    ]
    chosen = {row.contender: row.learning_rate for row in leaderboard(study, runs)} if runs else {}
    for seed in study.confirmation_seeds:
        for c in shape.contenders:
            if (rate := chosen[c.name]) is not None:
                runs.append(trained(shape, c, rate, seed, "confirmation"))
            runs.append(trained(shape, c, c.default, seed, "defaults"))
    return study, runs


def parts(shape: Shape | None = None) -> Parts:
    """What `render` takes."""
    study, runs = study_of(shape or Shape())
    return complete(study, runs)


def complete(study: StudyRecord, runs: list[RunRecord]) -> Parts:
    rows = leaderboard(study, runs)
    return study, rows, runs, verdict(study, rows)


def grid(low: float, high: float, count: int) -> tuple[float, ...]:
    if count == 1:
        return (float(f"{math.sqrt(low * high):.3g}"),)
    return tuple(float(f"{low * (high / low) ** (i / (count - 1)):.3g}") for i in range(count))


def trained(shape: Shape, c: Character, rate: float, seed: int, role: Role) -> RunRecord:
    """One run: a parabola in log-rate on a logit scale, a curve that approaches its end, luck by seed."""
    luck = random.Random(f"{c.name} {rate} {seed} {role}")
    off = math.log10(rate / c.best)
    diverged_at = _diverges(off, c, luck, shape.epochs)
    end = _accuracy(c, off, luck)
    epochs = [_epoch(shape, end, off, i, luck) for i in range(1, shape.epochs + 1)]
    if diverged_at is not None:
        epochs = epochs[: (diverged_at - 1) // STEPS]
    tests = role != "tuning" and shape.test and diverged_at is None
    test = _metric(shape, end + luck.gauss(0, 0.0015)) if tests else None
    return replace(
        RUN,
        contender=c.name,
        factors={"optimizer": c.name.partition("(")[0]},
        hyperparameters={"lr": rate},
        seed=seed,
        role=role,
        curve=tuple(epochs),
        steps=STEPS * shape.epochs,
        initial_loss=2.31,
        train_metric=None if diverged_at else _metric(shape, min(end + 0.012, 0.9995)),
        test_metric=test,
        best_test_metric=test,
        diverged_at=diverged_at,
        seconds=0.31 + 0.1 * luck.random(),
        memory=101_770 * 4 * (2 + 2 * c.name.startswith("ada")),
        execution="population of 32, compiled",
    )


def _diverges(off: float, c: Character, luck: random.Random, epochs: int) -> int | None:
    edge = c.forgives + 0.35
    if off < edge or luck.random() > (off - edge) * 2.2:
        return None
    return 1 + luck.randrange(STEPS * epochs)


def _accuracy(c: Character, off: float, luck: random.Random) -> float:
    fall = max(0.0, abs(off) - c.forgives * 0.35)
    logit = math.log(c.peak / (1 - c.peak)) - (1.1 if off < 0 else 2.0) * fall**1.7
    noise = luck.gauss(0, 0.045 + (0.35 * fall if off > 0 else 0.03 * fall))
    return max(0.098, 1 / (1 + math.exp(-(logit + noise))))


def _epoch(shape: Shape, end: float, off: float, i: int, luck: random.Random) -> Measurement:
    pace = 3.2 if off > -0.5 else 0.9
    share = 1 - math.exp(-pace * (i / shape.epochs) ** 0.6 * 1.35)
    accuracy = end if i == shape.epochs else 0.1 + (end - 0.1) * share + luck.gauss(0, 0.0022)
    loss = 2.3 * (1 - share) + 1.2 * (1 - end) * share * (1 - 0.6 * i / shape.epochs) + 0.004
    return Measurement(
        step=STEPS * i,
        train_loss=loss * math.exp(luck.gauss(0, 0.03)),
        validation_loss=loss * 1.15,
        validation_metric=_metric(shape, accuracy),
    )


def _metric(shape: Shape, accuracy: float) -> float:
    """Accuracies as they are; as another metric, an error that is good where it is low."""
    if shape.higher_is_better:
        return accuracy
    return 3.0 * (1 - accuracy) ** 1.5


def _record(shape: Shape) -> StudyRecord:
    samples = {"train": 54_000, "validation": 6_000} | ({"test": 10_000} if shape.test else {})
    return replace(
        STUDY,
        workload=shape.workload,
        metric=shape.metric,
        higher_is_better=shape.higher_is_better,
        target=shape.target,
        steps=STEPS * shape.epochs,
        steps_per_epoch=STEPS,
        evaluate_every=STEPS,
        batch_size=64,
        samples=samples,
        parameters=101_770,
        contenders=tuple(c.name for c in shape.contenders),
        learning_rates={c.name: grid(*c.rates, shape.rates) for c in shape.contenders},
        tuning_seeds=tuple(range(shape.seeds)),
        confirmation_seeds=tuple(range(1000, 1000 + shape.fresh)),
        caps={
            "runs": (shape.rates + 4) * shape.seeds,
            "steps": (shape.rates + 4) * shape.seeds * STEPS * shape.epochs,
            "seconds": None,
        },
        environment={"thalweg": "0.1.0", "python": "3.11.2", "torch": "2.9.0", "device": "cpu (x86_64)", "cores": 2},
        plan={"execution": "population", "reason": "", "width": 32, "workers": 2},
        seconds=94.0,
    )


def crowd(count: int) -> Sequence[Character]:
    """So many contenders, some with names of sixty characters."""
    many = []
    for i in range(count):
        like = TEXTBOOK[i % len(TEXTBOOK)]
        name = (
            f"{like.name}(beta1=0.9, variant={i})"
            if i % 4
            else f"{like.name}(" + f"variant={i}, ".ljust(58 - len(like.name), "x") + ")"
        )
        many.append(replace(like, name=name, peak=like.peak - 0.001 * (i // len(TEXTBOOK))))
    return many
