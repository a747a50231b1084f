"""The plateau rule and the leaderboard, on records whose answer is known by hand."""

from dataclasses import replace
from typing import Any

import pytest

from thalweg.analysis.intervals import mean_interval, standard_error
from thalweg.analysis.leaderboard import leaderboard, steps_to_target
from thalweg.analysis.selection import choose, points
from thalweg.analysis.verdict import verdict
from thalweg.records.types import Epoch, RunRecord, StudyRecord


def run(
    lr: float, seed: int, metric: float | None, contender: str = "adam", role: Any = "tuning", **more: Any
) -> RunRecord:
    """A run that ends at `metric`, or diverged where it is None."""
    epochs = (Epoch(1.0, 1.0, 0.0), Epoch(0.5, 0.5, metric)) if metric is not None else ()
    diverged = None if metric is not None else 3
    values = {"hyperparameters": {"lr": lr}, "learning_rate": lr, "steps_per_epoch": 10, "initial_loss": 2.0} | more
    return RunRecord(
        contender=contender, optimizer="adam", seed=seed, role=role, epochs=epochs, diverged_at=diverged, **values
    )


def tuning(by_rate: dict[float, list[float | None]], contender: str = "adam") -> list[RunRecord]:
    return [run(lr, s, m, contender) for lr, ms in by_rate.items() for s, m in enumerate(ms)]


def study(*contenders: str, confirmation: int = 0, **more: Any) -> StudyRecord:
    values: dict[str, Any] = {
        "workload": "w", "metric": "accuracy", "higher_is_better": True, "target": 0.9, "epochs": 2, "batch_size": 8,
        "samples": {}, "parameters": 1, "contenders": contenders, "learning_rates": {}, "tuning_seeds": (0, 1, 2),
        "confirmation_seeds": tuple(range(1000, 1000 + confirmation)), "protocol": 1, "environment": {},
    }  # fmt: skip
    return StudyRecord(**(values | more))


def chosen(by_rate: dict[float, list[float | None]], **options: Any) -> Any:
    return choose(points(tuning(by_rate)), **({"higher_is_better": True} | options))


def test_the_middle_of_the_plateau_is_chosen_not_the_luckiest_rate() -> None:
    choice = chosen(
        {
            1e-4: [0.5] * 3,
            1e-3: [0.94, 0.95, 0.96],
            1e-2: [0.945, 0.95, 0.955],
            1e-1: [0.945, 0.95, 0.962],
            1.0: [0.2] * 3,
        }
    )
    assert choice.plateau == (1e-3, 1e-1)
    assert choice.point.learning_rate == 1e-2
    assert choice.edge is None


def test_of_two_middles_the_lower() -> None:
    choice = chosen({1e-3: [0.5] * 3, 1e-2: [0.94, 0.95, 0.96], 1e-1: [0.94, 0.95, 0.96], 1.0: [0.2] * 3})
    assert choice.plateau == (1e-2, 1e-1)
    assert choice.point.learning_rate == 1e-2


def test_a_plateau_has_no_gaps() -> None:
    """A rate as good as the best beyond a bad one does not count."""
    choice = chosen({1e-4: [0.949, 0.95, 0.951], 1e-3: [0.6] * 3, 1e-2: [0.94, 0.951, 0.962], 1e-1: [0.1] * 3})
    assert choice.plateau == (1e-2, 1e-2)


def test_a_rate_with_a_diverged_seed_is_never_chosen() -> None:
    choice = chosen({1e-2: [0.8, 0.8, 0.8], 1e-1: [0.99, 0.99, None]})
    assert choice.point.learning_rate == 1e-2
    assert choice.plateau == (1e-2, 1e-2)


@pytest.mark.parametrize(
    ("order", "edge"), [((0.9, 0.5, 0.4), "lowest"), ((0.4, 0.5, 0.9), "highest"), ((0.4, 0.9, 0.5), None)]
)
def test_an_edge_is_told(order: tuple[float, ...], edge: str | None) -> None:
    by_rate: dict[float, list[float | None]] = {10.0**-i: [m] * 3 for i, m in zip((3, 2, 1), order, strict=True)}
    assert chosen(by_rate).edge == edge


def test_lower_is_better() -> None:
    choice = chosen({1e-3: [0.5] * 3, 1e-2: [0.1] * 3, 1e-1: [0.9] * 3}, higher_is_better=False)
    assert choice.point.learning_rate == 1e-2


def test_nothing_to_choose_where_all_diverged() -> None:
    assert chosen({1e-3: [None] * 3, 1e-2: [None, 0.9, 0.9]}) is None


def test_a_single_rate_is_its_own_plateau() -> None:
    choice = chosen({1e-3: [0.5, 0.6, 0.7]})
    assert (choice.point.learning_rate, choice.plateau, choice.edge) == (1e-3, None, None)


def test_other_hyperparameters_are_lines_of_their_own() -> None:
    """The plateau runs along the learning rate only, at the best of the other hyperparameters."""
    runs = [
        run(lr, s, metric, hyperparameters={"lr": lr, "eps": eps})
        for eps, by_rate in {1e-8: {1e-3: 0.90, 1e-2: 0.5}, 1e-2: {1e-3: 0.2, 1e-2: 0.95}}.items()
        for lr, metric in by_rate.items()
        for s in range(2)
    ]
    choice = choose(points(runs), higher_is_better=True)
    assert choice is not None
    assert choice.point.hyperparameters == {"lr": 1e-2, "eps": 1e-2}
    assert choice.plateau == (1e-2, 1e-2)


def test_intervals_against_hand_computation() -> None:
    """Student's t with 2 degrees of freedom: 4.302653 standard errors."""
    interval = mean_interval([0.9, 0.92, 0.94])
    assert interval.mean == pytest.approx(0.92)
    assert standard_error([0.9, 0.92, 0.94]) == pytest.approx(0.02 / 3**0.5)
    assert interval.high - interval.mean == pytest.approx(4.3026527 * 0.02 / 3**0.5, rel=1e-6)
    assert mean_interval([0.5]).count == 1
    assert mean_interval([]).count == 0


def finals(contender: str, metrics: list[float | None]) -> list[RunRecord]:
    tuned = [run(0.1, s, 0.5, contender) for s in range(3)]
    return tuned + [run(0.1, 1000 + i, m, contender, role="confirmation", test_metric=m) for i, m in enumerate(metrics)]


def test_ranking_is_by_test_and_ties_are_paired() -> None:
    """b trails a by 0.01 on every seed though their spreads overlap: no tie. c trails by noise: a tie."""
    a = [0.90, 0.92, 0.94, 0.96, 0.98]
    runs = finals("c", [0.93, 0.89, 0.95, 0.94, 0.985]) + finals("a", a) + finals("b", [x - 0.01 for x in a])
    rows = leaderboard(study("c", "a", "b", confirmation=5), runs)
    assert [row.contender for row in rows] == ["a", "c", "b"]
    assert [row.tied for row in rows] == [True, True, False]
    assert rows[2].behind is not None
    assert rows[2].behind.mean == pytest.approx(0.01)
    text = verdict(study("c", "a", "b", confirmation=5), rows)
    assert "Use a at learning rate 0.1" in text
    assert "c cannot be told from it" in text
    assert "b, by 1.0 points" in text


def test_a_contender_that_diverged_when_confirmed_ranks_last() -> None:
    rows = leaderboard(study("a", "b", confirmation=2), finals("a", [0.99, None]) + finals("b", [0.5, 0.5]))
    assert [row.contender for row in rows] == ["b", "a"]
    assert rows[1].diverged == 1
    assert not rows[1].tied


def test_without_confirmation_validation_of_the_choice_ranks() -> None:
    runs = tuning({1e-3: [0.9, 0.91, 0.9], 1e-2: [0.5] * 3}, "a") + tuning(
        {1e-3: [0.95, 0.96, 0.97], 1e-2: [0.1] * 3}, "b"
    )
    rows = leaderboard(study("a", "b"), runs)
    assert [row.contender for row in rows] == ["b", "a"]
    assert rows[0].test is None
    assert rows[0].validation.mean == pytest.approx(0.96)
    assert rows[0].runs == 3
    assert "validation accuracy 96.0" in verdict(study("a", "b"), rows)


def test_steps_to_target_is_the_first_crossing() -> None:
    epochs = tuple(Epoch(1.0, 1.0, m) for m in (0.5, 0.91, 0.7, 0.95))
    reached = replace(run(0.1, 0, 0.9), epochs=epochs)
    assert steps_to_target(reached, study("a")) == 20
    assert steps_to_target(reached, study("a", target=0.99)) is None
    assert steps_to_target(reached, study("a", target=None)) is None
    assert steps_to_target(reached, study("a", target=0.6, higher_is_better=False)) == 10


def test_a_run_that_ends_above_its_first_loss_counts_as_diverged() -> None:
    worse = replace(run(0.1, 0, 0.9), initial_loss=0.1)
    assert worse.diverged
    assert worse.diverged_at is None
    assert not run(0.1, 0, 0.9).diverged


def test_a_verdict_on_one_contender_is_one_sentence() -> None:
    rows = leaderboard(study("a", confirmation=3), finals("a", [0.9, 0.91, 0.92]))
    assert verdict(study("a", confirmation=3), rows) == (
        "Use a at learning rate 0.1: test accuracy 91.0 ± 2.5% over 3 fresh seeds."
    )


def test_a_verdict_names_an_edge() -> None:
    rows = leaderboard(study("a", "b"), tuning({1e-3: [0.5] * 3, 1e-2: [0.9] * 3}, "a") + tuning({0.1: [0.2] * 3}, "b"))
    assert verdict(study("a", "b"), rows) == (
        "Use a at learning rate 0.01: validation accuracy 90.0 ± 0.0% over 3 tuning seeds (its best rate is the highest"
        " tried: widen the grid). The first clearly behind is b, by 70.0 points."
    )


def test_a_verdict_does_not_list_forty_names() -> None:
    names = [f"a{i}" for i in range(40)]
    runs = [run for name in names for run in finals(name, [0.9, 0.91, 0.92])]
    assert "and 30 others cannot be told from it" in verdict(
        study(*names, confirmation=3), leaderboard(study(*names, confirmation=3), runs)
    )


def test_a_verdict_where_nothing_finished() -> None:
    rows = leaderboard(study("a"), tuning({1e-3: [None] * 3}, "a"))
    assert "No optimizer finished a run" in verdict(study("a"), rows)
