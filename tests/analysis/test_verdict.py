"""The verdict's words, and each doubt exactly where it applies."""

from dataclasses import replace
from typing import Any

import pytest
from handwritten import confirmed, curve, finals, run, study, tuning

from thalweg.analysis.caveats import doubts
from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.verdict import verdict

A = [0.90, 0.92, 0.94, 0.96, 0.98]
LITTLE = (0.001, -0.001, 0.0, 0.0005, -0.0005)


def told(record: Any, runs: Any) -> str:
    return verdict(record, leaderboard(record, runs))


def doubted(record: Any, runs: Any) -> str:
    return " ".join(doubts(record, leaderboard(record, runs)))


def test_a_verdict_on_one_contender() -> None:
    assert told(study("a", confirmation=5), finals("a", [0.9, 0.91, 0.92, 0.93, 0.94])) == (
        "Use a at learning rate 0.1: test accuracy 92.0 ± 2.0% over 5 fresh seeds."
    )


def test_ties_and_the_first_behind_are_named() -> None:
    c = [x - 0.0001 + e for x, e in zip(A, LITTLE, strict=True)]
    text = told(
        study("c", "a", "b", confirmation=5), finals("c", c) + finals("a", A) + finals("b", [x - 0.01 for x in A])
    )
    assert text.startswith("Use a at learning rate 0.1: test accuracy 94.0")
    assert "c is not separated from it: 5 fresh seeds show a difference of " in text
    assert "The first clearly behind is b, 1.0 points worse than a." in text


def test_of_what_is_not_separated_a_clearly_wider_range_is_used_and_said() -> None:
    """b's mean is a little lower, but it is as good over two decades, whichever tuning seed is left out."""
    b = [x - 0.0001 + e for x, e in zip(A, LITTLE, strict=True)]
    narrow = {0.01: [0.1] * 3, 0.1: [0.9, 0.91, 0.92], 1.0: [0.1] * 3}
    wide = {0.001: [0.1] * 3, **{lr: [0.9, 0.91, 0.92] for lr in (0.01, 0.1, 1.0)}, 10.0: [0.1] * 3}
    runs = tuning(narrow, "a") + confirmed("a", A) + tuning(wide, "b") + confirmed("b", b)
    rows = leaderboard(study("a", "b", confirmation=5), runs)
    assert [row.contender for row in rows] == ["a", "b"]
    text = verdict(study("a", "b", confirmation=5), rows)
    assert text.startswith(
        "Use b at learning rate 0.1 (1e-2 to 1 do as well): test accuracy 94.0 ± 3.9% over 5 fresh seeds. "
    )
    assert (
        "The mean of a is better, but by less than is separated; b does well over 2.0 decades of learning rates "
        "against 0.0, whichever tuning seed is left out."
    ) in text
    assert "b is not separated from a" in text
    worse = tuning(narrow, "a") + confirmed("a", A) + tuning(wide, "b") + confirmed("b", [x - 0.1 for x in A])
    assert told(study("a", "b", confirmation=5), worse).startswith("Use a")


def test_a_contender_that_broke_is_never_used_while_another_finished() -> None:
    text = told(study("a", "b", confirmation=2), finals("a", [0.99, None]) + finals("b", [0.5, 0.5]))
    assert text.startswith("Use b")
    text = told(study("a", confirmation=2), finals("a", [0.99, None]))
    assert text.startswith("Use a")
    assert "a is unreliable: 1 of 2 final runs failed to train (1 broke off)." in text


def test_a_verdict_does_not_list_forty_names() -> None:
    names = [f"a{i}" for i in range(40)]
    runs = [run for name in names for run in finals(name, [0.9, 0.91, 0.92])]
    text = told(study(*names, confirmation=3), runs)
    assert "All 39 others are not separated from it" in text
    assert not any(name in text.replace("Use a0", "").split(". The seeds")[0] for name in names)
    worse = [run for name in names for run in finals(name, [0.9, 0.91, 0.92] if name != "a39" else [0.1, 0.11, 0.12])]
    assert "and 29 others are not separated from it" in told(study(*names, confirmation=3), worse)


def test_a_verdict_where_nothing_finished() -> None:
    assert "No optimizer finished a run" in told(study("a"), tuning({1e-3: [None] * 3}, "a"))
    assert "No optimizer finished a run" in told(study("a"), [])
    assert doubts(study("a"), leaderboard(study("a"), [])) == []


def test_other_metrics_are_neither_percent_nor_points() -> None:
    record = study("a", "b", confirmation=3, metric="mse", higher_is_better=False, target=None)
    text = told(record, finals("a", [0.2, 0.21, 0.22]) + finals("b", [0.1, 0.11, 0.12]))
    assert text.startswith("Use b at learning rate 0.1: test MSE 0.110 ± 0.025 over 3 fresh seeds.")
    assert "a, 0.1 worse than b." in text


def test_an_edge_is_doubted_and_the_others_behind_it() -> None:
    runs = tuning({1e-3: [0.5] * 3, 1e-2: [0.9] * 3}, "a") + tuning({0.1: [0.2] * 3, 1.0: [0.1] * 3}, "b")
    text = doubted(study("a", "b"), runs)
    assert text.startswith("The best rate of a is the highest tried: widen the grid.")
    assert "The best rate of b lies on the edge of those tried" in text
    assert "Nothing was confirmed on fresh seeds" in text


@pytest.mark.parametrize(("tuned", "fresh", "words"), [(2, 5, "2 tuning seeds (better 3)"), (1, 5, "1 tuning seed (")])
def test_few_tuning_seeds_are_doubted(tuned: int, fresh: int, words: str) -> None:
    record = study("a", confirmation=fresh, tuning_seeds=tuple(range(tuned)))
    assert f"The answer is based on {words}" in doubted(record, finals("a", A))


def test_few_confirmation_seeds_are_doubted() -> None:
    assert "The answer is based on 3 fresh seeds (better 5)." in doubted(study("a", confirmation=3), finals("a", A[:3]))
    assert "based on" not in doubted(study("a", confirmation=5), finals("a", A))


def test_training_that_was_cut_short_is_doubted() -> None:
    flat = [replace(r, curve=curve(*[0.93] * 9, 0.93)) for r in finals("a", A)]
    rising = [replace(r, curve=curve(*[0.9] * 9, 0.93)) for r in finals("a", A)]
    assert "still improving" not in doubted(study("a", confirmation=5), flat)
    assert "a was still improving, by 3.0 points over the last tenth" in doubted(study("a", confirmation=5), rising)


def test_defaults_that_beat_the_tuned_are_doubted() -> None:
    def defaults(gain: float) -> Any:
        return [run(0.1, 1000 + i, x, "a", "defaults", test_metric=x + gain) for i, x in enumerate(A)]

    record = study("a", confirmation=5)
    assert "defaults of a do better than what was tuned, by 2.0" in doubted(record, finals("a", A) + defaults(0.02))
    assert "defaults" not in doubted(record, finals("a", A) + defaults(-0.02))


def test_seeds_that_differ_more_than_the_field_are_doubted() -> None:
    close, far = [x - 0.001 for x in A], [x - 0.2 for x in A]
    record = study("a", "b", confirmation=5)
    assert "The seeds of a differ a lot" in doubted(record, finals("a", A) + finals("b", close))
    assert "differ a lot" not in doubted(record, finals("a", A) + finals("b", far))


def test_adam_far_behind_sgd_is_suspicious_only_when_tuned() -> None:
    grid = {0.01: [0.1] * 3, 0.1: [0.5] * 3, 1.0: [0.1] * 3}

    def adam(behind: float) -> Any:
        return tuning(grid, "adam") + confirmed("adam", [x - behind for x in A])

    sgd = finals("sgd", A, factors={"optimizer": "sgd"})
    record = study("adam", "sgd", confirmation=5)
    assert "The search space looks suspicious: adam" in told(record, sgd + adam(0.1))
    assert "suspicious" not in told(record, sgd + adam(0.04))  # 4.3% of 94
    fixed = finals("adam", [x - 0.1 for x in A])
    assert "suspicious" not in told(record, sgd + fixed)


def test_the_verdict_tells_the_gravest_doubts_only() -> None:
    record = study("a", "b", tuning_seeds=(0,))
    runs = tuning({1e-3: [0.5], 1e-2: [0.9]}, "a") + tuning({1e-3: [0.8], 1e-2: [0.9]}, "b")
    text = told(record, runs)
    assert "widen the grid" in text
    assert len(doubts(record, leaderboard(record, runs))) >= 3
    assert text.count(". ") <= 5
