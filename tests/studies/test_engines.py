"""A study on worker processes: the same, to the last bit, as on threads; and what travels."""

import pickle
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from problems import Hidden, points
from scope import conformance_only
from thalweg.population.engine.task import MembersFinished
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.records.events import Chosen, Event, Finished, Measured
from thalweg.records.types import RunRecord
from thalweg.regularization.stopping import EarlyStopping
from thalweg.studies.budget import Clock
from thalweg.studies.contenders import contenders
from thalweg.studies.design import Design, describe
from thalweg.studies.jobs import Jobs
from thalweg.studies.preparation import Prepared
from thalweg.studies.study import Study
from thalweg.workloads.workload import Workload
from worker_processes import Processes

TIMES = ("seconds", "memory")  # of a run: they differ from one training to the next


def net(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.Dropout(0.1), nn.Linear(width, 3))


def refusing(outputs: Tensor, targets: Tensor) -> Tensor:
    raise RuntimeError("not today")


def portable(**changes: Any) -> Workload:
    whole = Workload(
        name="portable",
        model=partial(net, 8),
        train=points(330, 1, torch.float32),
        validation=points(90, 2, torch.float32),
        test=points(110, 3, torch.float32),
        batch_size=16,
        epochs=2,
    )
    return replace(whole, **changes)


def planned(workload: Workload, **options: Any) -> PlannedJob:
    return plan_job(workload, 0, device=torch.device("cpu"), workers=2, execution="population", **options)


def studied(engine: Any, **options: Any) -> tuple[list[RunRecord], list[Event]]:
    """A study's runs, without their times, and all that it told."""
    names = ["adam(clip_global_norm=1)", "muon", "adam(sam=0.05)", "torch.optim:RAdam"]
    workload, told = portable(), list[Event]()
    design = Design(contenders(names), (1e-3, 1e-2), seeds=2, confirm_seeds=2, base_seed=0)
    planned_job = planned(workload, **options)
    prepared = Prepared(
        design,
        Jobs.single(planned_job),
        Clock(0.0, None, None, workload),
        describe(design, workload, Jobs.single(planned_job)),
    )
    study = Study(prepared, told.append, **engine)
    study.run()
    return [replace(run, **dict.fromkeys(TIMES, 0)) for run in study.runs], told


@pytest.fixture(scope="module")
def both() -> list[tuple[list[RunRecord], list[Event]]]:
    stopping = EarlyStopping(patience=1)
    return [studied({}, early_stopping=stopping), studied({"engine": Processes}, early_stopping=stopping)]


def test_processes_equal_threads_to_the_last_bit(both: Any) -> None:
    (by_threads, _), (by_processes, _) = both
    assert len(by_threads) == 4 * (2 * 2 + 2 + 2)
    assert by_processes == by_threads


def test_curves_are_told_as_they_grow(both: Any) -> None:
    """Every point that a run's record holds was told before the run had finished, by its position in the study."""
    for _, told in both:
        points: dict[int, list[Any]] = {}
        for event in told:
            if isinstance(event, Measured):
                for position, point in event.curves.items():
                    points.setdefault(position, []).append(point)
            elif isinstance(event, Finished):
                for position, run in event.runs.items():
                    assert [p for p in points[position] if p is not None] == [*run.curve]
        assert sorted(points) == list(range(len(points)))


def test_the_choice_is_told_before_the_test_split_is_read(both: Any) -> None:
    for _, told in both:
        (at,) = (i for i, event in enumerate(told) if isinstance(event, Chosen))
        before = [run for event in told[:at] if isinstance(event, Finished) for run in event.runs.values()]
        assert before
        assert all(run.test_metric is None for run in before)


def test_a_program_that_disagrees_in_one_process_serves_in_none() -> None:
    planned_job = planned(portable(model=partial(Hidden, 10)))
    sgd, told = recipe("sgd"), dict[int, Trained]()
    chosen = [Member(sgd, sgd.resolve({"lr": 0.01}), seed) for seed in range(8)]
    for event in train(planned_job, chosen, engine=Processes):
        told |= event.outcomes if isinstance(event, MembersFinished) else {}
    assert len(planned_job.plan.populations(chosen)) == 2
    assert planned_job.why_loop == "traced, the loss differs from the live model's at step 11"
    assert {told[i].execution for i in range(8)} == {f"loop: {planned_job.why_loop}"}


@conformance_only
def test_an_error_in_a_process_ends_its_run_here() -> None:
    planned_job = planned(portable())
    broken = replace(planned_job, job=replace(planned_job.job, workload=portable(loss=refusing)))
    sgd = recipe("sgd")
    *_, last = train(broken, [Member(sgd, sgd.resolve({"lr": 0.01}), 0)], engine=Processes)
    assert isinstance(last, MembersFinished)
    assert last.outcomes[0].failure.startswith("RuntimeError: not today (raised at ")


def test_a_plan_travels() -> None:
    planned_job = planned(portable())
    again = pickle.loads(pickle.dumps(planned_job.plan))
    assert again == planned_job.plan
    chosen = [Member(of, of.resolve({}), seed) for of in (recipe("adam"), recipe("muon")) for seed in range(5)]
    assert again.populations(chosen) == planned_job.plan.populations(chosen)
