"""The panels' data against numbers computed by hand."""

import handmade
import pytest
from handmade import finals, rates, run, study

from thalweg.analysis.leaderboard import leaderboard
from thalweg.reports.captions import sweep_title
from thalweg.reports.figures.sweep import Panel, sweep

T_2 = 12.706204736  # Student's t for two seeds, 97.5%


def panel(runs: list, **changes: object) -> Panel:
    record = study(**changes)
    return sweep(record, leaderboard(record, runs), runs).panels[0]


def test_means_intervals_and_seeds() -> None:
    spot = panel(rates({0.01: (0.80, 0.81), 0.1: (0.90, 0.90), 1.0: (0.30, 0.30)})).spots[0]
    half = T_2 * 0.005  # the standard error of two values that differ by 0.01
    assert spot.rate == 0.01
    assert spot.mean == pytest.approx(0.805)
    assert (spot.low, spot.high) == (pytest.approx(0.805 - half), pytest.approx(0.805 + half))
    assert spot.seeds == (0.80, 0.81)
    assert (spot.diverged, spot.runs) == (0, 2)


def test_an_interval_stays_inside_what_accuracy_can_be() -> None:
    spot = panel(rates({0.1: (0.90, 0.98)})).spots[0]
    assert (spot.low, spot.high) == (pytest.approx(0.94 - T_2 * 0.04), 1.0)


def test_one_seed_has_no_interval() -> None:
    spot = panel(rates({0.1: (0.9,)}), tuning_seeds=(0,)).spots[0]
    assert (spot.mean, spot.low, spot.high) == (0.9, None, None)


def test_a_rate_with_a_failed_seed_has_dots_but_no_mean() -> None:
    spots = panel(rates({0.01: (0.8, 0.8), 0.1: (0.9, 0.9), 1.0: (0.7, None), 10.0: (None, None)})).spots
    assert [spot.mean for spot in spots] == [pytest.approx(0.8), pytest.approx(0.9), None, None]
    assert [spot.seeds for spot in spots] == [(0.8, 0.8), (0.9, 0.9), (0.7,), ()]
    assert [spot.diverged for spot in spots] == [0, 0, 1, 2]


def test_a_worsened_run_counts_as_diverged_and_keeps_its_mean() -> None:
    runs = [run(0.1, 0, 0.4), run(0.1, 1, 0.2, initial_loss=0.1)]
    spot = panel(runs).spots[0]
    assert spot.mean == pytest.approx(0.3)
    assert spot.diverged == 1


def test_choice_and_good_range() -> None:
    """0.1 is best with a standard error of 0.02 or more; 0.01 is 0.01 behind and chosen, so that the range holds it."""
    drawn = panel(rates({0.001: (0.5, 0.5), 0.01: (0.93, 0.89), 0.1: (0.90, 0.94), 1.0: (0.8, 0.8)}))
    assert drawn.good == (0.01, 0.1)
    assert drawn.chosen is not None
    assert drawn.chosen.rate == 0.01
    assert drawn.shade == (pytest.approx(0.01 / 10**0.4), pytest.approx(0.1 * 10**0.4))
    assert drawn.edge is None


def test_a_best_rate_at_the_edge_is_said() -> None:
    assert panel(rates({0.01: (0.8, 0.8), 0.1: (0.9, 0.9)})).edge == "highest"


def test_nothing_is_chosen_where_all_diverged() -> None:
    drawn = panel(rates({0.1: (None, None), 1.0: (None, None)}))
    assert (drawn.chosen, drawn.good, drawn.shade, drawn.default) == (None, None, None, None)


def test_the_published_default_stands_at_its_mean() -> None:
    runs = [*rates({0.1: (0.9, 0.9)}), *finals((0.9, 0.9), 0.1), *finals((0.70, 0.80), 0.001, "defaults")]
    assert panel(runs).default == (0.001, pytest.approx(0.75))


def test_a_default_that_diverged_is_not_drawn() -> None:
    runs = [*rates({0.1: (0.9, 0.9)}), *finals((0.70, None), 0.001, "defaults")]
    assert panel(runs).default is None


def test_other_settings_are_lines_of_their_own() -> None:
    fast = rates({0.01: (0.8, 0.8), 0.1: (0.7, 0.7)})
    slow = [
        run(rate, seed, 0.9 - rate, hyperparameters={"lr": rate, "beta1": 0.5})
        for rate in (0.01, 0.1)
        for seed in (0, 1)
    ]
    drawn = panel([*fast, *slow])
    assert [spot.mean for spot in drawn.spots] == [pytest.approx(0.89), pytest.approx(0.80)]
    assert [[spot.mean for spot in line] for line in drawn.others] == [[pytest.approx(0.8), pytest.approx(0.7)]]
    assert drawn.chosen is not None
    assert drawn.chosen.mean == pytest.approx(0.89)


def test_what_a_search_tried_is_said_as_what_it_is() -> None:
    """Every rate with another decay: not one rate, and what diverged counts whatever stood beside its rate."""

    def title(last: float | None) -> str:
        tried = [(0.1, 0.9, 0.0), (0.2, 0.8, 0.1), (0.3, last, 0.2)]
        runs = [run(lr, seed, m, hyperparameters={"lr": lr, "decay": of}) for lr, m, of in tried for seed in (0, 1)]
        return sweep_title(sweep(study(), leaderboard(study(), runs), runs))

    assert title(0.7) == "Of 3 configurations of adam, one at rate 0.1 was chosen. No tuning run diverged."
    assert title(None).endswith(" 1 of 1 optimizer diverged at some rate.")


def test_panels_share_axes_and_follow_the_ranking() -> None:
    record = study(("adam", "sgd"))
    adam = [*rates({0.001: (0.8, 0.8)}), *finals((0.8, 0.8), 0.001)]
    sgd = [*rates({1.0: (0.9, 0.9)}, contender="sgd"), *finals((0.9, 0.9), 1.0, contender="sgd")]
    whole = sweep(record, leaderboard(record, [*adam, *sgd]), [*adam, *sgd])
    assert [p.contender for p in whole.panels] == ["sgd", "adam"]
    assert [p.spots[0].mean for p in whole.panels] == [pytest.approx(0.9), pytest.approx(0.8)]
    assert whole.rates.low < 0.001 < 1.0 < whole.rates.high
    assert whole.metric.low < 0.8 < 0.9 < whole.metric.high


def test_contenders_without_a_rate_have_no_panel() -> None:
    record = handmade.study(learning_rates={"adam": ()})
    runs = [run(0.1, seed, 0.9, hyperparameters={}, rate=None) for seed in (0, 1)]
    whole = sweep(record, leaderboard(record, runs), runs)
    assert (whole.panels, whole.fixed) == ((), ("adam",))
