"""Final runs that failed though they finished: by hand, and how often chance alone makes one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from handwritten import finals, study

from scope import THOROUGH
from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.outliers import FEW, GAP, GAP_OF_FEW, RULE, outliers


def failed(*rows: Sequence[float], least: float = 0.0, higher: bool = True, start: int = 1000) -> list[tuple[int, ...]]:
    """The failed seeds of each row of scores; its seeds are `start`, `start` + 1, …"""
    table: Mapping[str, Mapping[int, float]] = {
        f"o{i}": {start + j: score for j, score in enumerate(row)} for i, row in enumerate(rows)
    }
    found = outliers(table, dict.fromkeys(table, least), higher_is_better=higher)
    return [found[name] for name in table]


USUAL = [0.970, 0.972, 0.969, 0.971, 0.973]


def test_ten_percent_among_ninety_seven_is_failed() -> None:
    assert failed([0.97, 0.972, 0.10, 0.971, 0.969], USUAL) == [(1002,), ()]
    assert failed([0.97, 0.972, 0.10, 0.971, 0.969]) == [(1002,)]


def test_three_of_five_may_fail() -> None:
    """Though its own median then is a failed run; its scatter is not the usual one of the table."""
    assert failed([0.97, 0.10, 0.11, 0.972, 0.10], USUAL, USUAL) == [(1001, 1002, 1004), (), ()]
    assert failed([0.97, 0.10, 0.30, 0.972, 0.60], USUAL, USUAL) == [(1001, 1002, 1004), (), ()]


def test_the_gap_is_so_many_times_the_usual_scatter() -> None:
    """Scatter 1.4826 · 0.001 in both; with two better seeds 0.001 apart or more, whose own is less."""
    unit = 1.4826 * 0.001
    steady = [0.971, 0.970, 0.969, 0.972, 0.968]
    edge = 0.970 - GAP * unit
    assert failed([0.971, 0.9705, 0.970, 0.970, edge - 1e-6], steady, steady) == [(1004,), (), ()]
    assert failed([0.971, 0.9705, 0.970, 0.970, edge + 1e-6], steady, steady) == [(), (), ()]
    few = [0.971, 0.970, 0.969]
    edge = 0.970 - GAP_OF_FEW * unit
    assert len(few) == FEW
    assert failed([0.971, 0.970, edge - 1e-6], few, few) == [(1002,), (), ()]
    assert failed([0.971, 0.970, edge + 1e-6], few, few) == [(), (), ()]


def test_a_contender_s_own_scatter_counts_where_it_is_larger() -> None:
    """Its better runs lie 0.1 apart, a standard deviation of 0.0707: a gap of 0.5 is no more than 15 of them."""
    noisy = [0.95, 0.85, 0.35, 0.33, 0.31]
    assert failed(noisy, USUAL, USUAL, USUAL) == [(), (), (), ()]
    assert failed([0.95, 0.9499, 0.35, 0.33, 0.31], USUAL, USUAL, USUAL)[0] == (1002, 1003, 1004)


def test_two_seeds() -> None:
    """The better one is all there is above the gap; a single contender's two tell nothing of what is usual."""
    assert failed([0.97, 0.10], [0.97, 0.972], [0.969, 0.971]) == [(1001,), (), ()]
    assert failed([0.10, 0.97], [0.97, 0.972], [0.969, 0.971]) == [(1000,), (), ()]
    assert failed([0.97, 0.96], [0.97, 0.972], [0.969, 0.971]) == [(), (), ()]
    assert failed([0.97, 0.10]) == [()]


def test_one_seed_or_none_or_no_contender_says_nothing() -> None:
    assert failed([0.97], [0.1], [0.98]) == [(), (), ()]
    assert failed([], USUAL) == [(), ()]
    assert failed() == []


def test_four_of_five_failed_beside_what_others_reach() -> None:
    """One good run among failed ones; but one that is better than all others reach is luck, not the others' failure."""
    assert failed([0.9, 0.1, 0.1, 0.1, 0.1], [0.9, 0.91, 0.1, 0.9, 0.92]) == [(1001, 1002, 1003, 1004), (1002,)]
    assert failed([0.9, 0.1, 0.1, 0.1, 0.1], [0.5, 0.51, 0.52, 0.5, 0.51]) == [(1001, 1002, 1003, 1004), ()]
    assert failed([0.9, 0.1, 0.1, 0.1, 0.1]) == [()]
    assert failed([0.999, 0.97, 0.97, 0.97, 0.97], USUAL) == [(), ()]


def test_lower_is_better_looks_above() -> None:
    losses = [0.030, 0.028, 0.031, 0.029, 0.027]
    assert failed([0.03, 2.3, 0.029, 0.031, 0.028], losses, higher=False) == [(1001,), ()]
    assert failed([0.03, 0.0001, 0.029, 0.031, 0.028], losses, higher=False) == [(), ()]
    assert failed([0.97, 0.999, 0.969, 0.971, 0.972], USUAL) == [(), ()]


def test_equal_scores_leave_what_is_too_small_to_matter() -> None:
    """No scatter at all: any gap would be infinite times it; one below `least` is none."""
    equal = [0.97] * 5
    assert failed([0.97, 0.97, 0.9699, 0.97, 0.97], equal, equal, least=0.0006) == [(), (), ()]
    assert failed([0.97, 0.97, 0.9690, 0.97, 0.97], equal, equal, least=0.0006) == [(1002,), (), ()]
    assert failed(equal, equal) == [(), ()]


def test_an_accuracy_of_a_few_samples_is_no_scatter_of_nothing() -> None:
    """Of 100 samples: two more wrong in one of five runs is what rounding makes; 15 · 0.01 / √12 are 4.3 samples."""
    perfect = {"a": [1.0, 1.0, 1.0, 1.0, 0.98], "b": [1.0] * 5, "c": [1.0] * 5}
    runs = [run for name, scores in perfect.items() for run in finals(name, scores)]
    rows = leaderboard(study(*perfect, confirmation=5, samples={"test": 100, "validation": 100}), runs)
    assert all(row.reliable for row in rows), [(row.contender, row.failed) for row in rows]
    few = study("a", "b", confirmation=5, samples={"test": 100, "validation": 100})
    for wrong, failed_seeds in ((0.96, ()), (0.95, (1004,))):
        rows = leaderboard(few, [*finals("a", [1.0, 1.0, 1.0, 1.0, wrong]), *finals("b", [1.0] * 5)])
        assert {row.contender: row.failed for row in rows} == {"a": failed_seeds, "b": ()}


def test_runs_without_a_finite_score_are_not_scattered_but_failed() -> None:
    """NaN and infinite scores, and an absent one, are no scores; of the others the rule says what it says."""
    runs = [*finals("a", [*USUAL[:3], math.nan, 0.1]), *finals("b", USUAL), *finals("c", [math.inf, *USUAL[1:]])]
    runs += [replace(r, test_metric=None) if r.seed == 1000 else r for r in finals("d", USUAL)]
    rows = {row.contender: row for row in leaderboard(study("a", "b", "c", "d", confirmation=5), runs)}
    assert {name: row.failed for name, row in rows.items()} == {
        "a": (1003, 1004), "b": (), "c": (1000,), "d": (1000,)
    }  # fmt: skip
    assert [row.whole for row in rows.values()].count(True) == 1


def test_the_rule_says_its_numbers() -> None:
    assert f"{GAP:g} times the scatter ({GAP_OF_FEW:g} times with {FEW} seeds or fewer)" in RULE


STUDIES = 500 if THOROUGH else 150


@pytest.mark.parametrize("noise", ["normal", "tails", "one noisy"])
@pytest.mark.parametrize(("seeds", "promised"), [(2, 0.012), (5, 0.012), (10, 0.012)])
@pytest.mark.parametrize("contenders", [1, 2, 4, 11])
def test_chance_alone_seldom_fails_a_run(contenders: int, seeds: int, promised: float, noise: str) -> None:
    """What the module says, within three standard errors; one noisy contender has five times the noise."""
    rng = np.random.default_rng(1000 * contenders + seeds)
    shape = (STUDIES, contenders, seeds)
    drawn = rng.standard_t(5, shape) if noise == "tails" else rng.normal(0, 1, shape)
    if noise == "one noisy":
        drawn[:, 0] *= 5
    tables = 0.9 + 0.01 * drawn + rng.normal(0, 0.01, (STUDIES, 1, seeds))
    count = sum(any(failed(*table)) for table in tables.tolist())
    assert count / STUDIES <= promised + 3 * math.sqrt(promised * (1 - promised) / STUDIES)


@pytest.mark.parametrize("contenders", [1, 4, 11])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_planted_failure_is_found(contenders: int, seeds: int) -> None:
    """87 points below, with a noise of one: in every study with others beside it or four seeds and more."""
    rng = np.random.default_rng(contenders + seeds)
    tables = 0.97 + rng.normal(0, 0.003, (200, contenders, seeds))
    tables[:, -1, 1] = 0.10
    found = sum(failed(*table)[-1] == (1001,) for table in tables.tolist())
    assert found >= (198 if contenders > 1 or seeds > FEW else 100)
