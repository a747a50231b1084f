"""The learning curves' data against numbers computed by hand."""

from dataclasses import replace

import pytest
from handmade import finals, rates, study
from synthetic import Shape, parts

from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.recommendation import pick
from thalweg.records.types import Measurement, RunRecord
from thalweg.reports.figures.curves import curve, curves


def with_curve(run: RunRecord, metrics: list[float | None]) -> RunRecord:
    return replace(run, curve=tuple(Measurement(10 * i, m, m, m) for i, m in enumerate(metrics, 1)))


def three(*lines: list[float | None]) -> list[RunRecord]:
    return [with_curve(run, line) for run, line in zip(finals([0.5] * len(lines), 0.1), lines, strict=True)]


def metric(measured: Measurement) -> float | None:
    return measured.validation_metric


def test_mean_lowest_and_highest() -> None:
    drawn = curve(three([0.1, 0.4], [0.3, 0.5], [0.2, 0.9]), (1, 2), metric)
    assert drawn.mean == (pytest.approx(0.2), pytest.approx(0.6))
    assert drawn.low == (0.1, 0.4)
    assert drawn.high == (0.3, 0.9)
    assert (drawn.stopped, drawn.seeds) == (None, 3)


@pytest.mark.parametrize("rest", [[None, None], [float("nan"), 0.9], []])
def test_a_curve_ends_where_the_first_seed_diverged(rest: list[float | None]) -> None:
    drawn = curve(three([0.1, 0.4, 0.5], [0.3, *rest]), (1, 2, 3), metric)
    assert drawn.mean == (pytest.approx(0.2),)
    assert drawn.stopped == 2


def test_all_seeds_may_end_early() -> None:
    places = (1, 2, 3, 4, 5)
    assert curve(three([0.1], [0.3]), places, metric).stopped == 2
    assert curve(three([], []), places, metric) == curve(three([None], [None]), places, metric)


def test_confirmation_runs_are_drawn_where_there_are_any() -> None:
    record, runs = study(), [*rates({0.1: (0.8, 0.8)}), *finals((0.90, 0.94), 0.1)]
    drawn = curves(record, leaderboard(record, runs), runs).series[0]
    assert drawn.metric.mean[-1] == pytest.approx(0.92)
    assert drawn.loss.mean == (1.0, 0.5)


def test_tuning_runs_of_the_choice_otherwise() -> None:
    record, runs = study(confirmation_seeds=()), rates({0.1: (0.8, 0.9), 1.0: (0.2, 0.2)})
    drawn = curves(record, leaderboard(record, runs), runs).series[0]
    assert drawn.metric.mean[-1] == pytest.approx(0.85)


def test_the_leader_and_its_ties_stand_out() -> None:
    record, rows, runs, _ = parts()
    drawn = curves(record, rows, runs)
    tied = {row.contender for row in rows if row.tied}
    assert 1 < len(tied) <= 5
    assert {s.contender for s in drawn.series if s.highlighted} == tied
    assert [s.rank for s in drawn.series] == [row.rank for row in rows]


def test_runs_shorter_than_an_epoch_are_drawn_over_steps() -> None:
    record, runs = study(steps=7, steps_per_epoch=10, evaluate_every=3), finals((0.9, 0.9), 0.1)
    drawn = curves(record, leaderboard(record, runs), runs)
    assert (drawn.unit, drawn.places) == ("step", (3.0, 6.0, 7.0))
    record = study(steps=25, steps_per_epoch=10, evaluate_every=20)
    drawn = curves(record, leaderboard(record, runs), runs)
    assert (drawn.unit, drawn.places) == ("epoch", (2.0, 2.5))


def test_no_more_than_five_stand_out_and_the_recommended_does() -> None:
    record, rows, runs, _ = parts(Shape(fresh=1))
    assert all(row.tied for row in rows)
    standing = {s.contender for s in curves(record, rows, runs).series if s.highlighted}
    chosen = pick(rows)
    assert chosen is not None
    assert len(standing) == 5
    assert chosen.contender in standing
    assert {row.contender for row in rows[:4]} <= standing


def test_drawn_runs_are_those_of_the_table() -> None:
    """The last point of a whole curve is the leaderboard's validation mean."""
    for shape in (Shape(), Shape(fresh=0), Shape(test=False), Shape(higher_is_better=False, metric="loss")):
        record, rows, runs, _ = parts(shape)
        drawn = {s.contender: s for s in curves(record, rows, runs).series}
        whole = [row for row in rows if row.validation.count == row.runs]
        assert len(whole) > 8
        for row in whole:
            assert drawn[row.contender].metric.mean[-1] == pytest.approx(row.validation.mean)
            assert drawn[row.contender].metric.seeds == row.runs
