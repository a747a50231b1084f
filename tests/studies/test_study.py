"""A whole study on a tiny problem: its rounds, what is read when, and what a clock cuts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from problems import tiny
from thalweg.population.planning.planned_job import plan_job
from thalweg.records.events import Chosen, Event, Finished, Listener
from thalweg.records.types import RunRecord
from thalweg.studies.budget import Clock, Pace
from thalweg.studies.contenders import contenders
from thalweg.studies.design import Design, describe
from thalweg.studies.jobs import Jobs
from thalweg.studies.preparation import Prepared
from thalweg.studies.study import Study
from thalweg.workloads.workload import Workload


def listing(told: list[Any]) -> Listener:
    """A listener that lists the runs and the selection in order."""

    def tell(event: Event) -> None:
        if isinstance(event, Finished):
            told.extend(event.runs.values())
        elif isinstance(event, Chosen):
            told.append(event.selection)

    return tell


def study(
    clock: Clock | None = None,
    told: list[Any] | None = None,
    names: Sequence[str] = ("sgd", "adam"),
    **changes: Any,
) -> tuple[Study, list[Any]]:
    """The study, after it ran, and what it told in order: runs and the selection."""
    workload: Workload = tiny(epochs=1)
    design = replace(Design(contenders(names), None, seeds=2, confirm_seeds=2, base_seed=0), **changes)
    planned_job = plan_job(workload, 0, device=torch.device("cpu"), workers=2, execution="population")
    told = [] if told is None else told
    clock = clock or Clock(0.0, None, None, workload)
    prepared = Prepared(design, Jobs.single(planned_job), clock, describe(design, workload, Jobs.single(planned_job)))
    whole = Study(prepared, listing(told))
    whole.run()
    return whole, told


def rounds(runs: Sequence[RunRecord], contender: str) -> dict[str, int]:
    own = [run.round for run in runs if run.contender == contender and run.role == "tuning"]
    return {of: own.count(of) for of in own}


def test_every_contender_gets_the_same_cap_and_the_test_split_is_read_last() -> None:
    whole, told = study()
    at = next(i for i, entry in enumerate(told) if isinstance(entry, dict))
    assert all(run.role == "tuning" and run.test_metric is None for run in told[:at])
    assert all(run.role != "tuning" for run in told[at + 1 :])
    assert all(run.test_metric is not None for run in told[at + 1 :] if run.role == "confirmation")
    cap = whole.record.caps["runs"]
    assert cap == (9 + 4 + 4) * 2
    for name in ("sgd", "adam"):
        assert rounds(whole.runs, name)["coarse"] == 18
        assert sum(rounds(whole.runs, name).values()) <= cap
        assert {run.seed for run in whole.runs if run.contender == name and run.role == "defaults"} == {1000, 1001}


def test_an_optimizer_under_two_names_runs_twice() -> None:
    whole, _ = study(names=["adam", "again = adam"], fine=False, per_decade=1, confirm_seeds=0)
    ours, again = ([r for r in whole.runs if r.contender == name] for name in ("adam", "again"))
    assert [(r.hyperparameters, r.seed) for r in ours] == [(r.hyperparameters, r.seed) for r in again]
    assert [r.validation_metric for r in ours] == pytest.approx([r.validation_metric for r in again])


def hand(pace: float, seconds: float) -> tuple[Clock, list[Any]]:
    """A clock on which every run takes a second, and what tells it: the study's list of runs."""
    told: list[Any] = []
    now = lambda: float(sum(not isinstance(entry, dict) for entry in told))  # noqa: E731
    return Clock(0.0, seconds, Pace(pace / 21, 0.0, 0.0), tiny(epochs=1), now), told


def test_a_clock_that_has_run_out_leaves_the_first_part_and_two_fresh_seeds() -> None:
    whole, _ = study(*hand(pace=1.0, seconds=10), confirm_seeds=5)
    assert {run.seed for run in whole.runs if run.role == "tuning"} == {0}
    assert {run.seed for run in whole.runs if run.role == "confirmation"} == {1000, 1001}
    assert (whole.record.tuning_seeds, whole.record.confirmation_seeds) == ((0,), (1000, 1001))
    assert whole.record.notes == (
        "The budget did not allow seed 1 of the coarse round.",
        "The budget allowed 2 of 5 confirmation seeds.",
    )


def test_a_later_round_is_whole_or_not_at_all() -> None:
    """Time for 36 coarse runs and 8 to confirm, and for 10 more: a fine round would take 16."""
    whole, _ = study(*hand(pace=1.0, seconds=54.5))
    assert {run.round for run in whole.runs if run.role == "tuning"} == {"coarse"}
    assert whole.record.notes[0].startswith("The budget did not allow the ")


def test_the_clock_corrects_a_pace_that_is_wrong() -> None:
    """Promised a tenth of a second a run: after the first seed's 18 it is known that the second does not fit."""
    whole, _ = study(*hand(pace=0.1, seconds=30))
    assert {run.seed for run in whole.runs if run.role == "tuning"} == {0}


def test_time_to_spare_goes_into_fresh_seeds() -> None:
    whole, _ = study(*hand(pace=1.0, seconds=1e6), fine=False, per_decade=1)
    assert len(whole.record.confirmation_seeds) == 20
    assert whole.record.notes[-1] == "The budget had time for 20 confirmation seeds in place of 2."


def test_a_settled_ranking_stops_early() -> None:
    """sgd at a hopeless rate against one that learns."""
    whole, _ = study(names=["sgd(lr=1e-6)", "adam(lr=0.01)"], confirm_seeds=12, seeds=1)
    assert whole.record.notes[-1] == "Stopped after 5 of 12 confirmation seeds: the ranking was settled."
    assert len({run.seed for run in whole.runs if run.role == "confirmation"}) == 5
