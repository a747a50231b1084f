"""Good ranges of learning rates, by hand."""

import math
from typing import Any

import pytest
from handwritten import run, tuning
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.analysis.good_range import GoodRange, good_range
from thalweg.analysis.selection import choose, points


def of(by_rate: Any, tolerance: float = 0.01, chosen: float | None = None, *, higher: bool = True) -> GoodRange | None:
    tried = points(tuning(by_rate))
    keep = next((p for p in tried if p.learning_rate == chosen), None)
    return good_range(tried, keep, tolerance, higher_is_better=higher)


def ends(by_rate: Any, tolerance: float = 0.01, chosen: float | None = None, **more: Any) -> tuple[float, float]:
    found = of(by_rate, tolerance, chosen, **more)
    assert found is not None
    return found.low, found.high


def widths(by_rate: Any, tolerance: float = 0.01, chosen: float | None = None) -> tuple[Any, Any]:
    found = of(by_rate, tolerance, chosen)
    assert found is not None
    return found.least, found.most


def test_the_ends_are_tried_rates_within_the_tolerance_and_contiguous() -> None:
    """Best 0.9 at 1e-2: 0.89 and more counts. 1e-5 does too, but lies beyond 1e-4, which does not."""
    by_rate = {1e-5: [0.899], 1e-4: [0.5], 1e-3: [0.89], 3e-3: [0.895], 1e-2: [0.9], 1e-1: [0.8899]}
    found = of(by_rate)
    assert found is not None
    assert (found.low, found.high) == (1e-3, 1e-2)
    assert found.decades == pytest.approx(1.0)
    assert ends(by_rate, 0.0) == (1e-2, 1e-2)
    assert ends(by_rate, 0.4) == (1e-5, 1e-1)


def test_lower_is_better_is_close_from_above() -> None:
    by_rate = {1e-4: [0.112], 1e-3: [0.109], 1e-2: [0.1], 1e-1: [0.05, None]}
    assert ends(by_rate, higher=False) == (1e-3, 1e-2)


def test_a_lonely_best_is_zero_wide_and_a_lonely_rate_has_no_range() -> None:
    assert ends({1e-3: [0.1], 1e-2: [0.9], 1e-1: [0.1]}) == (1e-2, 1e-2)
    assert of({1e-2: [0.9]}) is None
    assert of({}) is None
    assert of({1e-2: [None], 1e-1: [None]}) is None
    none = points([run(0.0, 0, 0.9, hyperparameters={}, rate=None)])
    assert good_range(none, none[0], 0.01, higher_is_better=True) is None


def test_a_rate_with_a_failed_seed_ends_the_range() -> None:
    assert ends({1e-3: [0.9, 0.9], 1e-2: [0.9, None], 1e-1: [0.905, 0.905], 1.0: [0.9, 0.9]}) == (1e-1, 1.0)


def test_other_settings_have_ranges_of_their_own() -> None:
    rows = {(1, 0.1): 0.9, (1, 1.0): 0.9, (2, 0.1): 0.95, (2, 1.0): 0.5}
    runs = [run(lr, 0, m, hyperparameters={"lr": lr, "eps": eps}) for (eps, lr), m in rows.items()]
    found = good_range(points(runs), None, 0.01, higher_is_better=True)
    assert found is not None
    assert (found.low, found.high) == (0.1, 0.1)


def test_the_chosen_rate_is_inside_where_another_is_better_by_more_than_the_tolerance() -> None:
    by_rate = {1e-3: [0.90], 1e-2: [0.95], 1e-1: [0.91]}
    assert ends(by_rate) == (1e-2, 1e-2)
    assert ends(by_rate, chosen=1e-1) == (1e-2, 1e-1)
    assert ends(by_rate, chosen=1e-3) == (1e-3, 1e-2)


def test_one_seed_tells_nothing_of_the_width() -> None:
    assert widths({1e-3: [0.9], 1e-2: [0.9]}) == (None, None)


def test_the_width_without_each_seed() -> None:
    """Means (0.9, 0.9, 0.9) at 1e-2, and (0.9, 0.9, 0.87) at 1e-1, 0.89 in the mean. Without seed 0 or 1: 0.885 against
    0.9, 0 decades; without seed 2: equal, 1 decade; of all 0.89, still within 0.01: 1 decade."""
    by_rate = {1e-3: [0.1] * 3, 1e-2: [0.9, 0.9, 0.9], 1e-1: [0.9, 0.9, 0.87]}
    assert widths(by_rate) == (pytest.approx(0.0), pytest.approx(1.0))
    assert widths(by_rate, 0.02) == (pytest.approx(1.0), pytest.approx(1.0))
    assert widths(by_rate, 0.001) == (pytest.approx(0.0), pytest.approx(1.0))


def test_the_best_may_be_another_without_a_seed_and_the_chosen_stays_inside() -> None:
    """Of all 1e-2 is best (0.9 against 0.8). Without seed 0, 1e-1 is, 0.9 against 0.85: alone, or up to the chosen."""
    by_rate = {1e-3: [0.1, 0.1, 0.1], 1e-2: [1.0, 0.85, 0.85], 1e-1: [0.6, 0.9, 0.9]}
    found = of(by_rate)
    assert found is not None
    assert (found.low, found.high) == (1e-2, 1e-2)
    assert widths(by_rate, chosen=1e-2) == (pytest.approx(0.0), pytest.approx(1.0))


def test_a_seed_that_is_all_a_rate_has_is_not_left_out() -> None:
    """A budget cut 1e-1 short: leaving seed 0 out would leave nothing of it."""
    by_rate = {1e-2: [0.9, 0.5], 1e-1: [0.9]}
    assert widths(by_rate, 0.05) == (pytest.approx(0.0), pytest.approx(1.0))


METRICS = st.one_of(st.none(), st.floats(0, 1))


@settings(max_examples=300)
@given(st.data(), st.floats(0, 0.3), st.booleans())
def test_the_chosen_rate_is_always_inside_and_every_number_is_ordered(
    data: Any, tolerance: float, higher: bool
) -> None:
    seeds, rates = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 7))
    row = st.lists(METRICS, min_size=seeds, max_size=seeds)
    tried = points(tuning({10.0 ** (i - 4): data.draw(row) for i in range(rates)}))
    choice = choose(tried, higher_is_better=higher)
    found = good_range(tried, choice.point if choice else None, tolerance, higher_is_better=higher)
    if choice is None:
        assert found is None
        return
    assert found is not None
    rate = choice.point.learning_rate
    assert rate is not None
    assert found.low <= rate <= found.high
    assert {found.low, found.high} <= {p.learning_rate for p in tried}
    assert found.decades == pytest.approx(math.log10(found.high) - math.log10(found.low))
    if found.least is not None and found.most is not None:
        assert 0 <= found.least <= found.decades <= found.most
    assert (found.least is None) == (found.most is None)
