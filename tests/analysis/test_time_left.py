"""The time that a study will still take, against what recorded studies took.

`recorded_studies.json` holds the events of real studies of digits on two shared cores: when each was heard, the runs of
each stage by contender, measurements (of lone runs every fourth), and the seconds of each run that ended.
"""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from records_fixture import RUN, STUDY
from thalweg.analysis import time_left
from thalweg.analysis.time_left import Foreseen, Outlook
from thalweg.records.events import Chosen, Event, Finished, Measured, Planned, PlannedRun, StageBegan
from thalweg.records.types import Measurement, RunRecord, StudyRecord
from thalweg.studies import protocol

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded_studies.json").read_text(encoding="utf-8"))
POINT = Measurement(1, 0.0, 0.0, 0.0)


def record_of(recorded: dict[str, Any]) -> StudyRecord:
    return replace(
        STUDY,
        contenders=tuple(map(str, range(recorded["contenders"]))),
        confirmation_seeds=tuple(range(recorded["confirmation_seeds"])),
        evaluate_every=recorded["evaluate_every"],
        plan={"expected": recorded["expected"]},
        request={"budget": recorded["budget"]},
    )


def positions(ranges: list[tuple[int, int]]) -> list[int]:
    return [i for low, high in ranges for i in range(low, high + 1)]


def planned(groups: list[Any]) -> tuple[PlannedRun, ...]:
    """Other libraries' optimizers train in the plain loop."""
    return tuple(
        PlannedRun(name, {}, None, 0, role, of, alone=name.startswith("torch.optim"))
        for name, role, of, count in groups
        for _ in range(count)
    )


def replayed(name: str) -> Iterator[tuple[float, Event | None]]:
    """(seconds since the plan, event); the last is that of the end, `None`."""
    yield 0.0, Planned(record_of(RECORDED[name]), "")
    for at, kind, *rest in RECORDED[name]["events"]:
        if kind == "stage":
            yield at, StageBegan(*rest[:4], planned(rest[4]))
        elif kind == "measured":
            yield at, Measured(rest[0], dict.fromkeys(positions(rest[1]), POINT))
        elif kind == "finished":
            yield at, Finished({i: replace(RUN, seconds=s) for s, ranges in rest[0] for i in positions(ranges)})
        else:
            yield at, None


def told(name: str) -> tuple[float, list[tuple[float, float | None]]]:
    """(seconds of the study, what was told: (when, seconds left) at each event and half-way to the next)."""
    heard = list(replayed(name))
    outlook, found = Outlook(Foreseen.of(record_of(RECORDED[name]))), []
    for (at, event), (following, _) in itertools.pairwise(heard):
        assert event is not None
        outlook.follow(event, 1000.0 + at)
        found += [(t, outlook.left(1000.0 + t)) for t in (at, (at + following) / 2)]
    return heard[-1][0], found


@pytest.mark.parametrize("name", RECORDED)
def test_after_a_third_it_is_within_a_factor_of_two(name: str) -> None:
    """Of the time left, and at the end of a tenth of the study, in which a factor says nothing."""
    whole, found = told(name)
    later = [(whole - at, left) for at, left in found if at >= whole / 3]
    assert len(later) > 10
    for true, left in later:
        assert left is not None
        near = abs(left - true) <= 0.1 * whole
        assert 0.5 <= left / true <= 2 if true > 0.1 * whole else near, (true, left)


@pytest.mark.parametrize("name", RECORDED)
def test_it_is_never_negative_and_never_nonsense(name: str) -> None:
    whole, found = told(name)
    assert all(left is None or 0 <= left <= 5 * whole for _, left in found)
    assert any(left is not None for at, left in found if at < whole / 3), "told early"


@pytest.mark.parametrize("name", RECORDED)
def test_it_does_not_jump(name: str) -> None:
    """After a third of the study, from one event to the next it grows by at most a fifth of the study."""
    whole, found = told(name)
    later = [left for at, left in found if at >= whole / 3 and left is not None]
    assert max(b - a for a, b in itertools.pairwise(later)) <= 0.2 * whole


@pytest.mark.parametrize("name", RECORDED)
def test_runs_are_counted_to_the_last(name: str) -> None:
    outlook = Outlook(Foreseen.of(record_of(RECORDED[name])))
    done = 0.0
    for at, event in replayed(name):
        if event is not None:
            outlook.follow(event, at)
        assert done <= outlook.done + 1e-6
        assert outlook.done <= outlook.total + 1e-6
        done = outlook.done
    ended = sum(len(event.runs) for _, event in replayed(name) if isinstance(event, Finished))
    assert done == pytest.approx(ended)


def test_constants_are_those_of_the_protocol() -> None:
    assert time_left.LOOK == protocol.LOOK


# One contender, 10 runs of 100 steps, no confirmation: what is said can be computed by hand.
PLAN = {"expected": {"runs": 10, "finals": 0}}


def outlook(**changed: Any) -> Outlook:
    found = Outlook(Foreseen.of(replace(STUDY, **{"plan": PLAN, **changed})))
    found.follow(Planned(STUDY, ""), 0.0)
    found.follow(StageBegan("tuning, coarse", 0, 10, 100), 0.0)
    return found


def test_a_steady_study_by_hand() -> None:
    of = outlook()
    assert of.left(0.0) is None, "nothing is known"
    for i in range(9):
        of.follow(Finished({i: RUN}), 10.0 * (i + 1))
        assert of.left(10.0 * (i + 1)) == pytest.approx(10.0 * (9 - i))
    assert of.left(95.0) == pytest.approx(5.0)
    assert of.left(1e9) == pytest.approx(2.5), "overdue: a quarter of the last word"
    of.follow(Finished({9: RUN}), 100.0)
    assert of.left(100.0) == 0.0


def test_a_change_of_pace_is_followed() -> None:
    """Ten seconds a run, then a hundred: the later count more."""
    of = outlook()
    for i in range(4):
        of.follow(Finished({i: RUN}), 10.0 * (i + 1))
    for i in range(3):
        of.follow(Finished({4 + i: RUN}), 40.0 + 100.0 * (i + 1))
    assert (of.left(340.0) or 0) > 3 * 340.0 / 7, "more than by the mean pace"


def test_the_pace_of_the_plan_counts_before_anything_was_trained() -> None:
    of = outlook(plan={"expected": {"runs": 10, "finals": 0, "preparing": 5.0, "seconds": 105.0}})
    assert of.left(0.0) == pytest.approx(100.0)


def test_runs_of_earlier_sessions_cost_nothing_now() -> None:
    of = outlook()
    of.follow(Finished(dict.fromkeys(range(5), RUN), earlier=True), 0.0)
    of.follow(Finished({5: RUN}), 10.0)
    assert of.done == 6
    assert of.left(10.0) == pytest.approx(40.0)


def test_what_a_checkpoint_had_costs_nothing_now() -> None:
    """A run whose first point is at its step 60 of 100, measured every 10, had been trained for 50 before."""
    of = outlook()
    of.follow(Measured(60, {0: POINT, 1: POINT}), 1.0)
    assert of.done == pytest.approx(1.2)
    assert of.left(1.0) == pytest.approx(44.0), "0.2 of a run took a second"


def test_a_run_that_is_trained_again_is_less_far() -> None:
    of = outlook()
    of.follow(Measured(10, {0: POINT}), 1.0)
    of.follow(Measured(90, {0: POINT}), 9.0)
    of.follow(Measured(10, {0: POINT}), 10.0)
    assert of.done == pytest.approx(0.1)
    left = of.left(10.0)
    assert left is not None
    assert math.isfinite(left)
    assert left >= 0


def test_a_budget_bounds_it() -> None:
    of = outlook(request={"budget": 30.0}, plan={"expected": {"runs": 10, "finals": 0, "preparing": 5.0}})
    of.follow(Finished({0: RUN}), 10.0)
    assert of.left(10.0) == pytest.approx(15.0), "30 s, less 5 s of preparation and 10 s of training"
    assert of.left(26.0) == 0.0
    assert of.expected.may_end_early


def test_extensions_and_looks_are_counted() -> None:
    seeds = tuple(range(20))
    of = outlook(
        plan={"expected": {"runs": 50, "finals": 2, "most_seeds": 20}}, confirmation_seeds=seeds, contenders="ab"
    )
    assert of.total == 50
    assert of.expected.may_end_early, "after five seeds the ranking may be settled"
    of.follow(StageBegan("tuning, extension", 10, 4, 100, planned([["a", "tuning", "extension", 4]])), 1.0)
    assert of.total == 54
    of.follow(StageBegan("confirmation", 14, 10, 100), 2.0)
    assert of.total == 14 + 40
    of.follow(StageBegan("confirmation", 24, 10, 100), 3.0)
    assert of.total == 14 + 40, "of 20 seeds, five are done and five in training"


def test_one_contender_is_settled_after_the_first_look() -> None:
    plan = {"expected": {"runs": 50, "finals": 2, "most_seeds": 20}}
    of = outlook(plan=plan, confirmation_seeds=tuple(range(20)))
    assert of.total == 20, "50 less the 30 runs of 15 seeds"


def test_costs_go_by_contender() -> None:
    """One in the plain loop takes 10 s, one of a population 1 s: 4 + 5 of each are left after one of each."""
    of = Outlook(Foreseen.of(replace(STUDY, plan=PLAN)))
    of.follow(Planned(STUDY, ""), 0.0)
    groups = [["slow", "tuning", "coarse", 5], ["quick", "tuning", "coarse", 5]]
    of.follow(StageBegan("tuning, coarse", 0, 10, 100, planned(groups)), 0.0)
    slow, quick = (replace(RUN, seconds=seconds) for seconds in (10.0, 1.0))
    of.follow(Finished({0: slow, 5: quick}), 11.0)
    assert of.left(11.0) == pytest.approx(44.0)


def test_a_store_by_an_earlier_version_foresaw_nothing() -> None:
    of = outlook(plan={})
    of.follow(Finished({0: RUN}), 10.0)
    assert (of.total, of.left(10.0)) == (0.0, None)


def test_runs_outside_of_their_stage_are_no_error() -> None:
    of = Outlook(Foreseen.of(replace(STUDY, plan={"expected": {"runs": 1, "finals": 0}})))
    of.follow(Finished({7: RUN}), 1.0)
    of.follow(Measured(50, {-1: POINT}), 2.0)
    of.follow(StageBegan("tuning, coarse", 0, 0, 1), 3.0)
    assert of.left(3.0) is None or (of.left(3.0) or 0) >= 0


def test_other_events_change_nothing() -> None:
    of = outlook()
    of.follow(Finished({0: RUN}), 10.0)
    of.follow(Chosen({"adam": None}), 500.0)
    assert of.left(10.0) == pytest.approx(90.0)


def test_a_million_seconds_without_a_word() -> None:
    run: RunRecord = replace(RUN, seconds=math.nan)
    of = outlook()
    of.follow(Finished({0: run}), 10.0)
    left = of.left(1e6)
    assert left is not None
    assert left >= 0
