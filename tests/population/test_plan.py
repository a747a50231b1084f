"""How members are put together, and the rows that step them."""

import itertools

import numpy as np
import pytest
import torch
import torch.utils.checkpoint

from problems import refused, tiny, train_all
from thalweg.execution import dispatch
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.program.models import input_major, like
from thalweg.population.updates.members import Member
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.recipes.catalogue import recipe


def members(names: list[str], seeds: int, rates: int = 1) -> list[Member]:
    return [
        Member(recipe(n), recipe(n).resolve({"lr": 1e-3 * (k + 1)}), s)
        for s in range(seeds)
        for n in names
        for k in range(rates)
    ]


def parts(chosen: list[Member], workers: int = 2) -> list[list[int]]:
    planned_job = plan_job(tiny(), 0, device=torch.device("cpu"), workers=workers, execution="population")
    return planned_job.plan.populations(chosen)


def test_every_member_trains_once_with_its_seed_and_structures_together() -> None:
    chosen = members(["sgd", "adam", "nesterov", "momentum"], seeds=3, rates=9)
    planned = parts(chosen)
    assert sorted(i for part in planned for i in part) == list(range(len(chosen)))
    for part in planned:
        assert len({chosen[i].seed for i in part}) == 1
        assert len(part) <= 64
        structures = [chosen[i].structure for i in part]
        changes = sum(a != b for a, b in itertools.pairwise(structures))
        assert changes == len(set(structures)) - 1


def test_one_seed_is_split_among_the_workers() -> None:
    assert [len(p) for p in parts(members(["sgd"], seeds=1, rates=10), workers=2)] == [5, 5]


def test_many_seeds_of_few_configurations_share_populations() -> None:
    assert len(parts(members(["sgd"], seeds=20), workers=2)) == 2


def test_a_population_of_one() -> None:
    assert parts(members(["adam"], seeds=1)) == [[0]]


@pytest.mark.parametrize("name", ["sgd", "adam", "nadam", "adabound"])
def test_stacked_updates_equal_compiled_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other devices step in torch's operators; the same numbers come out."""
    workload, chosen = tiny(torch.float64), members([name], seeds=2, rates=5)
    fast = train_all(workload, chosen, execution="population")
    monkeypatch.setattr(dispatch, "obstacle", refused)
    slow = train_all(workload, chosen, execution="population")
    for a, b in zip(fast, slow, strict=True):
        assert [e.train_loss for e in a.curve] == pytest.approx([e.train_loss for e in b.curve], rel=1e-10)


def test_an_inactive_member_is_left_as_it_is() -> None:
    chosen = members(["adam"], seeds=1, rates=3)
    p = {"w": torch.ones(3, 4, 5, dtype=torch.float64)}
    updates = PopulationUpdates(chosen, p)
    updates.plan(1, 1)
    updates.step(1, {"w": torch.ones(3, 4, 5, dtype=torch.float64)}, np.array([True, False, True]))
    assert torch.equal(p["w"][1], torch.ones(4, 5, dtype=torch.float64))
    assert (p["w"][0] < 1).all()
    assert (updates.groups[0].states["exp_avg"]["w"][1] == 0).all()


def test_gradients_in_another_layout_are_brought_into_the_parameters() -> None:
    chosen = members(["sgd"], seeds=1, rates=2)
    g = torch.randn(2, 3, 4, dtype=torch.float64)
    for layout in (torch.zeros(2, 3, 4, dtype=torch.float64), input_major(torch.zeros(2, 3, 4, dtype=torch.float64))):
        for gradient in (g, input_major(g)):
            p = {"w": layout.clone(memory_format=torch.preserve_format)}
            updates = PopulationUpdates(chosen, p)
            updates.plan(1, 1)
            updates.step(1, {"w": gradient}, np.ones(2, bool))
            rates = torch.tensor([1e-3, 2e-3], dtype=torch.float64)[:, None, None]
            torch.testing.assert_close(p["w"], -rates * g, rtol=1e-14, atol=0)


def test_like_keeps_values_and_takes_the_layout() -> None:
    layout = torch.empty(2, 5, 3, 4).permute(0, 2, 3, 1)
    values = torch.randn(7, 3, 4, 5)
    made = like(layout, values)
    assert torch.equal(made, values)
    assert made.stride()[1:] == layout.stride()[1:]


def test_a_state_may_start_from_a_hyperparameter() -> None:
    adagrad = recipe("adagrad")
    chosen = [Member(adagrad, adagrad.resolve({"initial_accumulator_value": v}), 0) for v in (0.0, 0.25)]
    updates = PopulationUpdates(chosen, {"w": torch.zeros(2, 3)})
    assert updates.groups[0].states["sum"]["w"].tolist() == [[0.0] * 3, [0.25] * 3]


@pytest.mark.parametrize("saves", [False, True])
def test_code_that_sets_torchs_random_state_trains_on_one_worker(saves: bool) -> None:
    """Activation checkpointing sets it in the backward pass, where another worker may be building a model."""

    class Checkpointed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if saves:
                return self.out(torch.utils.checkpoint.checkpoint(self.hidden, x, use_reentrant=False))
            return self.out(self.hidden(x))

    planned_job = plan_job(tiny(model=Checkpointed), 0, device=torch.device("cpu"), workers=2)
    assert (planned_job.plan.workers, bool(planned_job.job.shared_state)) == ((1, True) if saves else (2, False))
