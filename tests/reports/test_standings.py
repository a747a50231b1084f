"""The table's words, and its intervals as places on an axis."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from handmade import finals, rates, row, run, study
from pairs import sensitive_first
from synthetic import Shape, parts

from thalweg.analysis.formatting import number, rate_text
from thalweg.analysis.intervals import Interval
from thalweg.analysis.leaderboard import leaderboard
from thalweg.records.types import RunRecord
from thalweg.reports.figures.scales import Scale
from thalweg.reports.standings import note, setting, standings, whisker

AXIS = Scale(0.8, 1.0, False, (0.8, 1.0), ("80%", "100%"))


def test_a_whisker_is_fractions_of_the_axis() -> None:
    drawn = whisker(AXIS, Interval(0.9, 0.85, 0.95, 3))
    assert drawn is not None
    assert (drawn.at, drawn.low, drawn.high) == (pytest.approx(0.5), pytest.approx(0.25), pytest.approx(0.75))
    assert drawn.beyond is None


def test_a_whisker_is_cut_and_a_mean_beyond_the_axis_is_said() -> None:
    drawn = whisker(AXIS, Interval(0.5, 0.4, 0.6, 3))
    assert drawn is not None
    assert (drawn.at, drawn.beyond) == (0.0, "low")
    wide = whisker(AXIS, Interval(0.9, 0.1, 1.7, 2))
    assert wide is not None
    assert (wide.low, wide.high, wide.beyond) == (0.0, 1.0, None)


def test_one_seed_is_a_dot_and_none_is_nothing() -> None:
    alone = whisker(AXIS, Interval(0.9, math.nan, math.nan, 1))
    assert alone is not None
    assert (alone.low, alone.high) == (None, None)
    assert whisker(AXIS, None) is None
    assert whisker(AXIS, Interval(math.nan, math.nan, math.nan, 0)) is None


def test_numbers_are_the_analysis() -> None:
    record, rows, _, _ = parts()
    for line, of in zip(standings(record, rows).lines, rows, strict=True):
        assert of.test is not None
        assert of.defaults is not None
        pairs = (
            (line.score, of.test),
            (line.validation, of.validation),
            (line.train, of.train),
            (line.defaults, of.defaults),
        )
        for (mean, margin), interval in pairs:
            assert mean.removesuffix("%") + f" {margin}%" == number(record, interval)
        assert line.steps == f"{of.steps_to_target:,.0f}"
        assert line.diverged == f"{of.diverged}/{of.trained}"
        assert line.learning_rate == rate_text(of.learning_rate or 0.0)
        assert line.default_rate == rate_text(of.default_learning_rate or 0.0)
        assert of.good is not None
        assert line.good == f"{rate_text(of.good.low)}–{rate_text(of.good.high)}"
        assert line.failed == len(of.failed)


def test_validation_ranks_where_no_test_split_is_read() -> None:
    for shape in (Shape(fresh=0), Shape(test=False)):
        record, rows, _, _ = parts(shape)
        board = standings(record, rows)
        assert board.split == "validation"
        assert board.lines[0].score == board.lines[0].validation
        assert board.has_defaults == bool(shape.fresh)


def test_partly_reached_targets_are_said() -> None:
    record = study(target=0.85)
    runs = [*rates({0.1: (0.9, 0.9)}), *finals((0.80, 0.90), 0.1)]
    line = standings(record, leaderboard(record, runs)).lines[0]
    assert (line.steps, line.reached) == ("20", "1/2 reached")


def notes(contenders: Sequence[str], runs: Sequence[RunRecord]) -> dict[str, str]:
    record = study(contenders)
    return {row.contender: note(record, row) for row in leaderboard(record, runs)}


def test_notes() -> None:
    best = [*rates({0.1: (0.9, 0.9)}), *finals((0.90, 0.92), 0.1)]
    tied = [*rates({0.1: (0.9, 0.9)}, contender="sgd"), *finals((0.90, 0.90), 0.1, contender="sgd")]
    behind = [*rates({0.1: (0.5, 0.5)}, contender="far"), *finals((0.50, 0.52), 0.1, contender="far")]
    broken = [*rates({0.1: (0.9, 0.9)}, contender="half"), *finals((0.90, None), 0.1, contender="half")]
    lost = [*rates({0.1: (0.9, 0.9)}, contender="lost"), *finals((None, None), 0.1, contender="lost")]
    dead = rates({0.1: (None, None)}, contender="dead")
    runs = [*best, *tied, *behind, *broken, *lost, *dead]
    assert notes(tuple(dict.fromkeys(r.contender for r in runs)), runs) == {
        "adam": "best mean",
        "sgd": "",
        "far": "40.0 points behind, group\u00a02",
        "half": "unreliable: 1 of 2 final runs diverged",
        "lost": "every final run diverged",
        "dead": "every run diverged",
    }


def test_notes_where_something_else_failed_or_nothing_was_run() -> None:
    broken = {"failure": "no memory", "contender": "sgd"}
    runs = [*rates({0.1: (0.9, 0.9)}), *rates({0.1: (0.9, 0.9)}, contender="sgd"), *finals((0.9,), 0.1)]
    runs += [*finals((0.9,), 0.1, **broken), *rates({0.1: (0.9, 0.9)}, contender="idle")]
    assert notes(("adam", "sgd", "ghost", "idle"), runs) == {
        "adam": "best mean",
        "sgd": "every final run failed",
        "ghost": "no run was trained",
        "idle": "no final run was trained",
    }


def test_one_line_is_recommended_and_groups_are_the_analysis() -> None:
    record, runs = sensitive_first()
    rows = leaderboard(record, runs)
    lines = standings(record, rows).lines
    assert [(line.contender, line.picked) for line in lines] == [("adam", False), ("sgd", True)]
    assert [line.group for line in lines] == [row.group for row in rows]


def test_what_else_was_tuned_is_said() -> None:
    runs = [
        run(rate, seed, 0.9 - rate + beta / 10, hyperparameters={"lr": rate, "beta1": beta, "eps": 0.1})
        for rate in (0.1, 0.2)
        for beta in (0.5, 0.9)
        for seed in (0, 1)
    ]
    assert setting(row(study(), runs)) == "beta1=0.9"
    assert setting(row(study(), rates({0.1: (0.9, 0.9), 0.2: (0.8, 0.8)}))) == ""


def test_an_outlying_default_does_not_crush_the_axis() -> None:
    record, rows, _, _ = parts()
    board = standings(record, rows)
    assert board.axis.low > 0.9
    sgd = next(line for line in board.lines if line.contender == "sgd")
    assert sgd.default_whisker is not None
    assert sgd.default_whisker.beyond == "low"
    assert board.reference == board.lines[0].whisker.at  # type: ignore[union-attr]


def test_an_interval_far_wider_than_the_others_does_not_crush_the_axis() -> None:
    """One seed of five failed: its line runs beyond the axis, the others keep theirs."""
    scores = {"a": (0.97, 0.971, 0.972), "b": (0.968, 0.97, 0.971), "c": (0.96, 0.965, 0.97), "d": (0.97, 0.97, 0.1)}
    runs = [r for name, each in scores.items() for r in finals(each, 0.1, contender=name)]
    record = study(contenders=tuple(scores), confirmation_seeds=(1000, 1001, 1002))
    board = standings(record, leaderboard(record, runs))
    assert 0.9 < board.axis.low < board.axis.high <= 1.0
    whiskers = {line.contender: line.whisker for line in board.lines}
    assert whiskers["d"] is not None
    assert whiskers["d"].beyond == "low"
    assert all(w is not None and w.beyond is None for name, w in whiskers.items() if name != "d")


def test_infinite_metrics_are_no_scores_and_not_drawn() -> None:
    record = study(metric="perplexity", higher_is_better=False, tuning_seeds=(0,), confirmation_seeds=())
    run_ = run(0.1, 0, math.inf)
    line = standings(record, leaderboard(record, [replace(run_, train_metric=math.inf)])).lines[0]
    assert line.score == ("–", "")
    assert line.whisker is None
