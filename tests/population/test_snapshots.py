"""Weights kept after declared steps, in populations and by the loop, and in a checkpoint."""

from dataclasses import replace
from typing import Any

import torch

from problems import tiny
from thalweg.population.engine.task import MembersFinished
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.training.events import KeepSnapshots
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe

STEPS = (5, 21, 40, 63)


def trained(execution: Any, steps: int = 63, snapshots: tuple[int, ...] = STEPS) -> list[Trained]:
    sgd = recipe("sgd")
    members = [Member(sgd, sgd.resolve({"lr": 0.05, "momentum": 0.9}), seed) for seed in (0, 1)]
    workload = tiny(torch.float64, steps=steps)
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution, keep_weights=True)
    planned = replace(planned, job=replace(planned.job, snapshots=snapshots))
    found: dict[int, Trained] = {}
    for event in train(planned, members):
        if isinstance(event, MembersFinished):
            found |= event.outcomes
    return [found[0], found[1]]


def test_they_are_the_weights_of_shorter_runs() -> None:
    population, loop = trained("population"), trained("loop")
    shorter = {step: trained("population", step, ()) for step in STEPS}
    for m in (0, 1):
        assert list(population[m].snapshots) == list(STEPS)
        assert list(loop[m].snapshots) == list(STEPS)
        for step in STEPS:
            for name, weight in shorter[step][m].weights.items():
                assert torch.allclose(population[m].snapshots[step][name], weight, atol=1e-10)
                assert torch.allclose(loop[m].snapshots[step][name], weight, atol=1e-10)


def test_measurements_are_those_without_snapshots() -> None:
    assert [m.curve for m in trained("population")] == [m.curve for m in trained("population", snapshots=())]


def test_a_checkpoint_has_them() -> None:
    event = KeepSnapshots()
    event.kept = {3: {5: {"a.b/c": torch.ones(2)}, 9: {"a.b/c": torch.zeros(2)}}, 0: {5: {"a.b/c": torch.ones(1)}}}
    again = KeepSnapshots()
    again.restore(event.state())
    assert {m: list(steps) for m, steps in again.kept.items()} == {3: [5, 9], 0: [5]}
    assert torch.equal(again.kept[3][9]["a.b/c"], torch.zeros(2))
