"""A population whose steps are recorded and repeated: each member as in the plain loop."""

from dataclasses import replace
from functools import partial

import pytest
import recording
import torch
from recording import record
from there import DEVICE
from torch import nn

from problems import EVERYTHING, TinyNet, points, tiny
from thalweg.population.engine.task import MembersFinished
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.program.matmul_passes import Product
from thalweg.population.training import cuda_graphs
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Member
from thalweg.population.updates.on_device import OnDeviceUpdates
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.recipes.catalogue import recipe


@pytest.fixture
def graphs(monkeypatch):
    """How many steps were recorded, on whatever stands for a GPU here."""
    made, real = [], cuda_graphs.record
    if DEVICE.type == "cpu":
        monkeypatch.setattr(cuda_graphs, "RECORD", ("cpu",))
        real = recording.record
    monkeypatch.setattr(cuda_graphs, "record", lambda step, on: made.append(1) or real(step, on))
    return made


class Normed(nn.Module):
    """With statistics of its own beside its parameters."""

    def __init__(self):
        super().__init__()
        self.hidden, self.norm, self.out = (
            nn.Linear(6, 16).double(),
            nn.BatchNorm1d(16).double(),
            nn.Linear(16, 3).double(),
        )

    def forward(self, x):
        return self.out(torch.relu(self.norm(self.hidden(x))))


def relu():
    return nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3)).double()


def short(**changes):
    """Two epochs of three whole batches and a short one: Triton's interpreter takes a second for some steps."""
    return tiny(torch.float64, train=points(58, 1, torch.float64), epochs=2, **changes)


def member(name, seed=0, **given):
    return Member(recipe(name), recipe(name).resolve({"lr": 0.01, **given}), seed)


def trained(workload, members, execution, device=DEVICE, **options):
    planned_job = plan_job(
        workload.to(device),
        members[0].seed,
        device=device,
        workers=1,
        execution=execution,
        keep_weights=True,
        **options,
    )
    outcomes = {}
    for event in train(planned_job, members):
        if isinstance(event, MembersFinished):
            outcomes.update(event.outcomes)
    return [outcomes[i] for i in range(len(members))]


def assert_alike(workload, members, **options):
    there = trained(workload, members, "population", **options)
    alone = trained(workload, members, "loop", torch.device("cpu"), **options)
    for a, b in zip(there, alone, strict=True):
        assert a.diverged_at == b.diverged_at
        if a.diverged_at is None:
            assert [m.step for m in a.curve] == [m.step for m in b.curve]
            assert [m.train_loss for m in a.curve] == pytest.approx([m.train_loss for m in b.curve], rel=1e-9)
            for name, weight in b.weights.items():
                torch.testing.assert_close(a.weights[name].cpu(), weight, rtol=1e-9, atol=1e-9)
    return there


@pytest.mark.parametrize("seeds", [1, 2])
def test_members_are_those_of_the_loop(seeds, graphs):
    """Columns that are planned, row states, and what is measured; one batch for all, and a batch each."""
    each = [("adam", {}), ("sgd", {}), ("nadam", {}), ("momentum", EVERYTHING), ("nadam", EVERYTHING)]
    members = [member(name, seed, **given) for name, given in each for seed in range(seeds)]
    assert_alike(short(), members)
    assert len(graphs) == 2  # of whole batches, and of the short last one of an epoch


def test_statistics_are_kept(graphs):
    members = [member("adam", lr=lr) for lr in (1e-3, 1e-2)]
    assert_alike(short(model=Normed), members)
    assert graphs


def test_clipped_by_the_norm_of_all(graphs):
    assert_alike(short(), [member("adam", clip_global_norm=0.1), member("sgd", lr=0.5, clip_global_norm=0.1)])
    assert graphs


def test_who_diverges_leaves(graphs):
    """Found once its losses are asked for, at the step at which it did."""
    members = [member("sgd", lr=lr) for lr in (0.1, 1e200, 0.2, 1e150)]
    there = assert_alike(replace(tiny(torch.float64), model=relu, epochs=3), members)
    assert [outcome.diverged_at is None for outcome in there] == [True, False, True, False]
    assert len(graphs) == 3  # of whole batches anew for those who stay, and of the short last one in the last epoch


def test_large_gradients_are_made_where_they_are_used(graphs, monkeypatch):
    monkeypatch.setattr("thalweg.population.program.matmul_passes.LARGE", 50)
    members = [member(name) for name in ("adam", "nadam")]
    assert_alike(replace(tiny(torch.float64), model=relu, epochs=1), members)
    assert graphs


@pytest.mark.parametrize("deferred", [False, True])
def test_constrained_in_bfloat16(deferred):
    """The float32 copies that stand for the parameters are the graph's own: as the same steps called."""
    generator, sgd = torch.Generator().manual_seed(0), recipe("momentum")
    values = [sgd.resolve({"lr": lr, "max_norm": 4.0, "lookahead_steps": 2}) for lr in (0.05, 0.1)]
    start, left, right = (
        torch.randn(n, 2, *s, generator=generator).bfloat16().to(DEVICE)
        for n, s in ((1, (20, 30)), (5, (20, 2)), (5, (2, 30)))
    )
    product = Product(left[0].clone(), right[0].clone())
    gradient, ends = product if deferred else product.like(start[0]), []
    for recorded in (False, True):
        p = {"w": start[0].clone()}
        updates = PopulationUpdates([Member(sgd, v, 0) for v in values], p)
        following = OnDeviceUpdates(updates, 5, DEVICE)
        place, t = torch.zeros(1, dtype=torch.int64, device=DEVICE), torch.ones(1, device=DEVICE).double()
        active = torch.ones(2, dtype=torch.int64, device=DEVICE)
        following.begin(1, 5)
        again = step = partial(following.step, place, t, {"w": gradient}, active)
        kept = []
        for i in range(5):
            product.left.copy_(left[i])
            product.right.copy_(right[i])
            if not deferred:
                gradient.copy_(product.like(gradient))
            if recorded and i == 1:
                kept = following.own({"w": gradient})
                again = record(step)
                following.send()
            again()
            place.add_(1)
            t.add_(1)
        assert bool(kept) == recorded
        ends.append(p["w"])
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], start[0])


def test_resumed_in_the_middle_of_an_epoch(graphs, tmp_path):
    """From a checkpoint taken between two repeated steps, bit for bit."""
    workload, members = short(), [member("adam"), member("nadam", **EVERYTHING)]
    planned_job = plan_job(workload.to(DEVICE), 0, device=DEVICE, workers=1, execution="population", keep_weights=True)
    whole = next(e for e in train(planned_job, members) if isinstance(e, MembersFinished)).outcomes
    checkpoints = Checkpoints(tmp_path, every=1e-9)
    events = train(planned_job, members, checkpoints=checkpoints)
    next(events)
    events.close()
    assert list(tmp_path.iterdir())
    resumed = next(
        e for e in train(planned_job, members, checkpoints=checkpoints) if isinstance(e, MembersFinished)
    ).outcomes
    for m in whole:
        assert whole[m].curve == resumed[m].curve
        for name, weight in whole[m].weights.items():
            assert torch.equal(resumed[m].weights[name], weight)


def test_a_step_that_cannot_be_recorded(graphs, monkeypatch):
    """It is launched kernel by kernel, which the outcome says."""

    def refuse(step, on):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(cuda_graphs, "record", refuse)
    there = assert_alike(short(), [member("adam"), member("nadam")])
    assert "launched one by one: operation not permitted when stream is capturing" in there[0].execution


def test_a_model_that_draws_is_not_recorded(graphs):
    model = lambda: nn.Sequential(TinyNet(torch.float64), nn.Dropout(0.2))  # noqa: E731
    trained(replace(tiny(torch.float64), model=model, epochs=1), [member("adam")] * 2, "population")
    assert not graphs
