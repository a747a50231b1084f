"""What schedules gain, and rankings that flip, against numbers computed by hand."""

from dataclasses import replace
from typing import Any

import pytest
from handwritten import confirmed, curve, run, study

from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.schedules import ScheduleMatrix, schedule_matrix
from thalweg.records.types import RunRecord, StudyRecord

WSD = {"schedule": "wsd"}


def factors(optimizer: str, **more: str) -> dict[str, str]:
    return {"optimizer": optimizer, **more}


def made(scores: dict[str, list[float]], **changes: Any) -> tuple[StudyRecord, list[RunRecord]]:
    """Contender → final scores by seed."""
    own = {name: factors(name.partition(" + ")[0], **(WSD if "wsd" in name else {})) for name in scores}
    record = study(*scores, confirmation=3, factors=own, samples={"test": 1000}, **changes)
    runs = [r for name, values in scores.items() for r in confirmed(name, values, factors=own[name])]
    runs += [run(0.1, 0, values[0], name, factors=own[name]) for name, values in scores.items()]
    return record, runs


def matrix(record: StudyRecord, runs: list[RunRecord]) -> ScheduleMatrix:
    found = schedule_matrix(record, leaderboard(record, runs), runs)
    assert found is not None
    return found


def test_gains_are_paired_by_seed() -> None:
    scores = {"adam": [0.80, 0.82, 0.84], "adam + wsd": [0.81, 0.84, 0.85], "sgd": [0.7] * 3, "sgd + wsd": [0.72] * 3}
    found = matrix(*made(scores))
    assert (found.matrix.optimizers, found.matrix.levels) == (("adam", "sgd"), ("constant", "wsd"))
    gain = found.matrix.cells["adam", "wsd"].gain
    assert gain is not None
    assert gain.mean == pytest.approx(0.04 / 3)
    t, deviation = 4.302652729911275, 0.01 / 3**0.5  # Student's t of two degrees of freedom; of 0.01, 0.02 and 0.01
    assert gain.high - gain.mean == pytest.approx(t * deviation / 3**0.5)
    assert found.matrix.cells["adam", "constant"].gain is None
    over = found.matrix.gained("wsd")
    assert over is not None
    assert over.mean == pytest.approx((0.04 / 3 + 0.02) / 2)


def test_of_an_error_less_is_a_gain() -> None:
    found = matrix(*made({"sgd": [0.5, 0.6, 0.7], "sgd + wsd": [0.4, 0.5, 0.6]}, metric="loss", higher_is_better=False))
    gain = found.matrix.cells["sgd", "wsd"].gain
    assert gain is not None
    assert gain.mean == pytest.approx(0.1)


def with_curves(early: dict[str, list[float]], late: dict[str, list[float]]) -> tuple[StudyRecord, list[RunRecord]]:
    """Finals measured at half of a run and at its end."""
    record, runs = made(late)
    seeds = {1000: 0, 1001: 1, 1002: 2}
    curves = {
        (name, seed): curve(early[name][i], late[name][i], every=50) for name in late for seed, i in seeds.items()
    }
    return record, [replace(r, curve=curves.get((r.contender, r.seed), r.curve)) for r in runs]


def test_flips_beyond_their_intervals() -> None:
    early = {
        "adam": [0.6, 0.61, 0.62],
        "adam + wsd": [0.6, 0.61, 0.62],
        "sgd": [0.5, 0.52, 0.51],
        "sgd + wsd": [0.5, 0.52, 0.51],
    }
    late = {
        "adam": [0.8, 0.81, 0.82],
        "adam + wsd": [0.8, 0.81, 0.82],
        "sgd": [0.7, 0.71, 0.73],
        "sgd + wsd": [0.9, 0.92, 0.93],
    }
    (flip,) = matrix(*with_curves(early, late)).flips
    assert (flip.schedule, flip.first, flip.second) == ("wsd", "adam", "sgd")
    assert flip.lead == pytest.approx(0.1)
    assert flip.loss == pytest.approx((0.1 + 0.11 + 0.11) / 3)
    noisy = {**late, "sgd + wsd": [0.9, 0.7, 0.85]}
    assert matrix(*with_curves(early, noisy)).flips == ()


def test_a_study_of_one_schedule_has_none() -> None:
    record = study("adam", confirmation=3, factors={"adam": factors("adam")})
    runs = confirmed("adam", [0.8, 0.8, 0.9])
    assert schedule_matrix(record, leaderboard(record, runs), runs) is None


def test_what_is_missing_stays_missing() -> None:
    record, runs = made({"adam": [0.8] * 3, "adam + wsd": [0.9] * 3})
    without = [r for r in runs if r.contender == "adam + wsd"]
    found = matrix(record, without)
    assert found.matrix.cells["adam", "wsd"].gain is None
    assert not found.matrix.cells["adam", "constant"].row.score.count
