"""Rows of a study of sparse models: the strength of a penalty is chosen by validation, and what is told of losses."""

import dataclasses
from typing import Any

import pytest

from thalweg.analysis.sparsity import sparsity_rows
from thalweg.analysis.sparsity_verdict import sparsity_verdict
from thalweg.records.sparsity import DENSE, SparseRun, SparsityRecord
from thalweg.reports.figures.sparsity_curves import sparsity_figure

RECORD = SparsityRecord("w", "accuracy", True, "adam", 10, (0, 1, 2), ("l1", "prune"), (0.5, 0.9), True)


def run(
    method: str, sparsity: float, seed: int, validation: float | None, test: float | None, **more: Any
) -> SparseRun:
    return SparseRun(method, sparsity, seed, validation, test, 100, round(100 * sparsity), **more)


def runs() -> list[SparseRun]:
    out = [run(DENSE, 0.0, seed, 0.9, 0.9 + 0.01 * seed) for seed in range(3)]
    for seed in range(3):
        out += [run("prune", 0.5, seed, 0.9, 0.9 + 0.01 * seed + (-1) ** seed * 0.002) for _ in range(1)]
        out.append(run("prune", 0.9, seed, 0.8, 0.7 + 0.01 * seed + 0.001 * (seed == 1)))
        for sparsity in (0.5, 0.9):
            out.append(run("l1", sparsity, seed, 0.85, 0.5, strength=1e-2, own_zeros=95))
            out.append(run("l1", sparsity, seed, 0.84, 0.95, strength=1e-3, own_zeros=40))
    return out


def test_the_strength_is_chosen_by_validation_not_by_test() -> None:
    row = next(row for row in sparsity_rows(RECORD, runs()) if (row.method, row.sparsity) == ("l1", 0.9))
    assert row.strength == 1e-2
    assert row.metric.mean == 0.5
    assert row.own_sparsity == pytest.approx(0.95)


def test_a_strength_that_broke_off_is_the_worst() -> None:
    broken = [
        dataclasses.replace(of, validation_metric=None, test_metric=None, failure="diverged at step 3")
        if of.strength == 1e-2 and of.seed == 0
        else of
        for of in runs()
    ]
    row = next(row for row in sparsity_rows(RECORD, broken) if (row.method, row.sparsity) == ("l1", 0.9))
    assert row.strength == 1e-3
    assert row.broken == 0


def test_lower_is_better_turns_the_loss_round() -> None:
    lower = dataclasses.replace(RECORD, metric="mse", higher_is_better=False)
    up, down = (
        next(r for r in sparsity_rows(of, runs()) if r.sparsity == 0.9 and r.method == "prune")
        for of in (RECORD, lower)
    )
    assert up.loss.mean == pytest.approx(-down.loss.mean)
    assert up.loss.mean == pytest.approx(0.2 - 0.001 / 3)


def test_what_is_told_of_losses() -> None:
    told = sparsity_verdict(RECORD, sparsity_rows(RECORD, runs()))
    l1 = "l1: a loss at every sparsity tried, from 50% (41.0 ± 2.5 points) on."
    none = "3 seeds do not tell a loss from none up to 50% (-0.1 ± 0.6 points)"
    assert told == f"prune: {none}, a loss from 90% (20.0 ± 0.1 points) on. {l1}"


def test_a_gain_is_told() -> None:
    better = [dataclasses.replace(of, test_metric=0.99) if of.method == "prune" else of for of in runs()]
    told = sparsity_verdict(RECORD, sparsity_rows(RECORD, better))
    assert told.startswith(
        "prune: better than dense at 50% (-8.0 ± 2.5 points) and 90% (-8.0 ± 2.5 points). l1: a loss"
    )


def test_a_loss_that_is_not_told_again_is_not_said_to_go_on() -> None:
    noisy = [
        dataclasses.replace(of, test_metric=0.9 * (of.seed == 1)) if (of.method, of.sparsity) == ("l1", 0.9) else of
        for of in runs()
    ]
    assert "l1: a loss at 50% (41.0 ± 2.5 points)." in sparsity_verdict(RECORD, sparsity_rows(RECORD, noisy))


def test_points_of_the_figure() -> None:
    figure = sparsity_figure(RECORD, sparsity_rows(RECORD, runs()))
    assert [(c.method, [p.x for p in c.points]) for c in figure.curves] == [("l1", [0, 1]), ("prune", [0, 1])]
    assert figure.xs == ("50%", "90%")
    assert figure.dense is not None
    assert figure.dense.mean == pytest.approx(91.0)
