"""What is tried next: coarse, beyond an edge, finely; never more than the cap."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from planted import Truth, run, tuned

import thalweg
from records_fixture import STEPS
from thalweg.numerics import sign
from thalweg.rules.hyperparameters import Rate
from thalweg.studies.contenders import Contender
from thalweg.studies.protocol import EXTENSIONS
from thalweg.studies.rates import around, beyond, grid
from thalweg.studies.tuning import FINE, GridTuner, cap_of, returned


def peak(at: float, diverges_above: float = math.inf) -> Truth:
    """Best at one learning rate, falling by the square of the distance in decades."""

    def truth(given: Mapping[str, Any]) -> float | None:
        rate = float(given["lr"])
        return None if rate > diverges_above else 0.9 - 0.1 * math.log10(rate / at) ** 2

    return truth


def tuner(name: str = "adam", **options: Any) -> GridTuner:
    contender = Contender(name, space=options.pop("space", {}))
    rates = options.pop("rates", None)
    cap = options.pop("cap", cap_of([contender], rates, 2, fine=True))
    return GridTuner(contender, rates, cap, higher_is_better=True, **options)


def rates_of(configurations: list[dict[str, Any]]) -> list[float]:
    return [c["lr"] for c in configurations]


def test_grid_is_two_per_decade_over_four_decades() -> None:
    assert grid(1e-5, 1e-1) == (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
    assert grid(1e-5, 1e-1, 1) == (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def test_five_per_decade_between_the_neighbours_of_the_best() -> None:
    assert around(1e-3, 3e-4, 3e-3) == (4e-4, 6e-4, 1.6e-3, 2.5e-3)
    assert around(3e-3, 1e-3, 1e-2) == (1.3e-3, 2e-3, 5e-3, 8e-3)
    assert around(1e-3, 1e-3, 3e-3) == (1.6e-3, 2.5e-3)
    assert around(1e-3, 1e-4, 1e-2) == (1.6e-4, 2.5e-4, 4e-4, 6e-4, 1.6e-3, 2.5e-3, 4e-3, 6e-3)


def test_rates_have_two_digits_unless_they_would_be_one() -> None:
    assert grid(0.9, 1.1) == (0.9, 1.1)
    assert beyond((1.0, 1.01), above=True) == (1.02, 1.03)
    assert grid(1e-300, 1e-298) == (1e-300, 3e-300, 1e-299, 3e-299, 1e-298)


def test_beyond_an_edge_in_the_spacing_that_it_has() -> None:
    assert beyond((1e-3, 3e-3, 1e-2), above=True) == (3e-2, 0.1)
    assert beyond((3e-3, 1e-2, 3e-2), above=True) == (0.1, 0.3)
    assert beyond((1e-3, 1e-2), above=False) == (1e-4, 1e-5)


def test_a_best_inside_is_refined_once() -> None:
    rounds = tuned(tuner(), peak(1.3e-3))
    assert [of for of, _ in rounds] == ["coarse", "fine"]
    assert rates_of(rounds[1][1]) == [4e-4, 6e-4, 1.6e-3, 2.5e-3]


@pytest.mark.parametrize(("at", "found"), [(1.0, [0.3, 1.0, 3.0, 10.0]), (1e-6, [3e-6, 1e-6, 3e-7, 1e-7])])
def test_a_planted_edge_is_extended_until_the_best_lies_inside(at: float, found: list[float]) -> None:
    rounds = tuned(tuner(), peak(at))
    assert [of for of, _ in rounds] == ["coarse", "extension", "extension", "fine"]
    assert rates_of(rounds[1][1] + rounds[2][1]) == found


def test_an_edge_that_the_cap_does_not_reach_is_said() -> None:
    far = tuner(cap=9 + 4)
    rounds = tuned(far, peak(1e3))
    assert [of for of, _ in rounds] == ["coarse", "extension", "extension"]
    assert sum(len(configurations) for _, configurations in rounds) == 13
    assert far.notes == ["adam: its best learning rate lies on the edge of those tried, and its cap is spent."]


def test_divergence_is_no_edge() -> None:
    """The best rate is the highest that survives; rates above it were tried and diverged."""
    rounds = tuned(tuner(), peak(1e-1, diverges_above=2e-2))
    assert [of for of, _ in rounds] == ["coarse", "fine"]
    assert rates_of(rounds[1][1]) == [4e-3, 6e-3, 1.6e-2, 2.5e-2]


def test_where_every_rate_diverges_lower_ones_are_tried() -> None:
    rounds = tuned(tuner(), peak(1e-7, diverges_above=2e-6))
    assert rates_of(rounds[1][1]) == [3e-6, 1e-6]
    assert rounds[-1][0] == "fine"


def test_rates_of_the_user_are_run_exactly_and_never_extended() -> None:
    rounds = tuned(tuner(rates=[0.1, 0.2]), peak(1e-3))
    assert [(of, rates_of(c)) for of, c in rounds] == [("coarse", [0.1, 0.2])]


def test_a_fixed_rate_is_one_run() -> None:
    assert [len(c) for _, c in tuned(tuner("adam(lr=0.1)"), peak(1e-3))] == [1]


def test_a_rule_without_a_learning_rate_is_one_run() -> None:
    @thalweg.rule(paper="none", rates=(1e-3, 1e-1), rate=None)
    def fixed_step(g, p, t, *, size: Rate = 1e-2):  # type: ignore[no-untyped-def]
        return (size * sign(g),)

    contender = Contender(fixed_step)
    (only,) = tuned(GridTuner(contender, None, 8, higher_is_better=True), lambda given: 0.5)
    assert only == ("coarse", [{}])


def test_the_best_combination_of_a_space_is_refined() -> None:
    def truth(given: Mapping[str, Any]) -> float | None:
        return (peak(1e-3)(given) or 0) - abs(given["beta1"] - 0.8)

    rounds = tuned(tuner(space={"beta1": [0.8, 0.9]}), truth)
    assert len(rounds[0][1]) == 18
    assert {c["beta1"] for c in rounds[1][1]} == {0.8}


def test_the_cap_is_what_the_largest_grid_needs() -> None:
    small, large = Contender("sgd"), Contender("adam", space={"beta1": [0.8, 0.9]})
    assert cap_of([small, large], None, 2, fine=True) == 18 + 4 + 4
    assert cap_of([small], [0.1], 2, fine=True) == 1


def test_steps_that_early_stopping_leaves_are_spent_on_further_rates() -> None:
    """Nine rates are the cap, and the best lies on the edge: of half of the steps two more are tried."""
    rising = lambda given: float(given["lr"])  # noqa: E731
    assert [len(c) for _, c in tuned(tuner(cap=9), rising)] == [9]
    rounds = tuned(tuner(cap=9), rising, stopped_at=STEPS // 2)
    assert sum(len(c) for _, c in rounds) > 9
    assert rates_of(rounds[1][1]) == [0.3, 1.0]


def test_what_is_left_is_counted_in_evaluations() -> None:
    contender, sam = Contender("sgd"), Contender("sgd(sam=0.05)")
    runs = [
        replace(run(of, {**of.fixed, "lr": 0.1}, seed, "coarse", lambda given: 0.5), stopped_at=STEPS // 2)
        for of in (contender, sam)
        for seed in (0, 1)
        for _ in range(3)
    ]
    assert returned(contender, runs[:6]) == 1  # 1.5 of an evaluation a step
    assert returned(sam, runs[6:]) == 3  # of two
    assert returned(contender, [replace(one, stopped_at=None) for one in runs[:6]]) == 0


def test_equal_rates_are_extended_no_further_than_a_few() -> None:
    """Where all rates are as good, the lowest is the best, and the next, too, however many steps are left."""
    rounds = tuned(tuner(), lambda given: 0.97, stopped_at=1)
    assert sum(len(c) for of, c in rounds if of == "extension") <= 2 * EXTENSIONS + FINE
    assert min(rates_of([c for _, several in rounds for c in several])) >= 1e-12
