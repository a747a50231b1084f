"""Sweeps: every step's rate and loss, against a loop by hand; of our own and of another library's optimizers."""

from functools import cache

import numpy as np
import pytest
import torch

from problems import tiny
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.studies.contenders import Contender
from thalweg.studies.jobs import Jobs
from thalweg.studies.range_sweep import STEPS, shortened, sweep


@cache
def planned() -> PlannedJob:
    return plan_job(tiny(torch.float64), 0, device=torch.device("cpu"), workers=1)


def by_hand(make: object, seed: int) -> list[float]:
    """The losses of torch's optimizer under the sweep's rates."""
    workload = tiny(torch.float64)
    torch.manual_seed(seed)
    model = workload.model()
    optimizer = make(model.parameters())
    draws = workload.train.draws([seed], workload.batch_size, drop_last=False)
    low, high = optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["high"]
    losses = []
    for t in range(STEPS):
        optimizer.param_groups[0]["lr"] = low * (high / low) ** (t / (STEPS - 1))
        batch = draws.next().of(0)
        loss = workload.loss(model(*batch.inputs), batch.targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


@pytest.mark.parametrize("name", ["sgd", "torch.optim:SGD"])
def test_a_sweep_is_a_run_with_rising_rates(name: str) -> None:
    contender = Contender(name)
    low, high = contender.recipe.rates
    curve = sweep(Jobs.single(planned()), [contender], [0, 1])[contender.label]
    assert curve.losses.shape == (2, STEPS)
    assert (curve.rates[0], curve.rates[-1]) == pytest.approx((low / 10, high * 10))
    for seed in (0, 1):
        expected = by_hand(lambda p: torch.optim.SGD([{"params": [*p], "high": high * 10}], lr=low / 10), seed)
        reached = np.flatnonzero(np.isfinite(curve.losses[seed]) & np.isfinite(expected) & (np.array(expected) < 10))
        assert len(reached) > 150
        early = reached[:150]  # beyond, steps at high rates magnify the last digits
        assert curve.losses[seed][early] == pytest.approx(np.array(expected)[early], rel=1e-9)


def test_only_open_rates_are_swept() -> None:
    of = [Contender("adam"), Contender("sgd(lr=0.1)"), Contender("adam", {}, {"lr": (1e-3, 1e-2)}, "listed")]
    assert [*sweep(Jobs.single(planned()), of, [0])] == ["adam"]


def test_the_rate_by_which_adabound_scales_its_bounds_is_that_of_the_step() -> None:
    """Else a sweep would begin with bounds for a tiny rate and carry them to a million times that."""
    curves = sweep(Jobs.single(planned()), [Contender("adabound"), Contender("adam")], [0])
    assert np.isfinite(curves["adabound"].losses).all()


def test_short_runs_are_measured_at_their_end() -> None:
    job = shortened(planned(), 7).job
    assert job.workload.milestones == [7]
