"""Draws of random numbers that begin during training: found, undone, attributed to the run that may have drawn."""

import random

import numpy as np
import pytest
import torch
from test_checkpoints import outcomes

from problems import tiny
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.planning.trial import require_imported
from thalweg.population.program.late_draws import DrawsLate, Undrawn
from thalweg.population.program.randomness import SeededRandomness, seeded
from thalweg.population.updates.members import Member
from thalweg.recipes.imported import Imported
from thalweg.workloads.random_states import global_states

DRAWS = {"torch": lambda: torch.rand(1), "python": random.random, "numpy": np.random.rand}


@pytest.mark.parametrize("source", DRAWS)
def test_a_draw_is_found_and_undone(source: str) -> None:
    before = torch.default_generator.get_state(), global_states()
    with Undrawn(seeded=False) as undrawn:
        undrawn.require(quickly=False)
        DRAWS[source]()
        with pytest.raises(DrawsLate):
            undrawn.require(quickly=False)
    assert torch.equal(torch.default_generator.get_state(), before[0])
    assert global_states() == before[1]


def test_a_seeded_run_draws_only_if_no_other_may_have() -> None:
    with Undrawn(seeded=True) as undrawn:
        with Undrawn(seeded=False):
            undrawn.require(quickly=False)
        torch.rand(1)
        with pytest.raises(RuntimeError, match="cannot be seeded"):
            undrawn.require(quickly=False)


def test_a_run_beside_a_seeded_one_counts_as_drawing() -> None:
    """The seeded one restores the generators after each draw, and may undo the trace of the other's."""
    with Undrawn(seeded=False) as undrawn:
        undrawn.require(quickly=True)
        with Undrawn(seeded=True), pytest.raises(DrawsLate):
            undrawn.require(quickly=True)


def test_a_run_that_seeds_its_own_draws_is_exposed_to_others() -> None:
    """Theirs may have fallen between its seeding and its drawing."""
    with Undrawn(seeded=True) as seeds:
        with Undrawn(seeded=False) as draws:
            seeds.require(quickly=True)
            torch.rand(1)
            with pytest.raises(DrawsLate):
                draws.require(quickly=True)
        with pytest.raises(DrawsLate):
            seeds.require(quickly=True)


def test_the_innermost_seeds() -> None:
    with SeededRandomness(3, 1):
        alone = torch.rand(4)
    with seeded(7, 2, random=True, outside=True):
        torch.rand(2)
        with SeededRandomness(3, 1):
            nested = torch.rand(4)
        after = torch.rand(2)
    with seeded(7, 2, random=True):
        torch.rand(2)
        assert torch.equal(torch.rand(2), after)
    assert torch.equal(nested, alone)


class Langevin(torch.optim.SGD):
    """Adds noise to its gradients."""

    def step(self, closure=None):  # type: ignore[no-untyped-def, override]
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.add_(torch.randn_like(p), alpha=0.01)
        return super().step(closure)


def test_an_optimizer_that_draws_is_known_before_it_trains() -> None:
    """Its runs repeat, whoever trains beside them, and the generators are as before."""
    before, ends = torch.default_generator.get_state(), []
    for workers in (1, 2, 2):
        planned_job = plan_job(tiny(epochs=1), 0, device=torch.device("cpu"), workers=workers)
        langevin = Imported(f"{__name__}:Langevin")
        assert planned_job.models is not None
        require_imported(planned_job.job, planned_job.models, langevin, [{"lr": 0.1}], "langevin", 0)
        assert planned_job.job.cache.drawing == {langevin.name}
        ends.append([run.curve for run in outcomes(planned_job, [Member(langevin, {"lr": 0.1}, s) for s in range(4)])])
    assert ends[0] == ends[1] == ends[2]
    assert torch.equal(torch.default_generator.get_state(), before)
