"""Training that stopped between two steps goes on bit for bit."""

import itertools
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from problems import TinyNet, tiny
from scope import THOROUGH, sample
from stopping import outcomes, stopped
from thalweg.population.engine.task import MembersFinished, MembersMeasured
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.training.checkpoints import Checkpoint, Checkpoints
from thalweg.population.updates.members import Member, Trained
from thalweg.population.updates.snapshot import Snapshot, joined
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.recipes.imported import Imported
from thalweg.workloads.workload import Workload

RATES = (1e-3, 1e-2)


class Noisy(nn.Module):
    """Draws at every step, and has buffers that move."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Forgetful(TinyNet):
    """Counts its batches where no checkpoint looks, and decides by it: only the loop can train it."""

    def __init__(self) -> None:
        super().__init__(torch.float32)
        self.batches = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches += self.training
        return super().forward(x) * (1.0 if self.batches % 3 else 1.01)


def members(*names: str, seeds: Sequence[int] = (0, 1), rates: Sequence[float] = RATES) -> list[Member]:
    grid = itertools.product(names, rates, seeds)
    return [
        Member(recipe(n), recipe(n).resolve({recipe(n).rate: lr} if recipe(n).rate else {}), s) for n, lr, s in grid
    ]


def planned(workload: Workload, execution: Any = "auto") -> PlannedJob:
    planned_job = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution, test=True)
    return replace(planned_job, job=replace(planned_job.job, keep_weights=True))


def assert_same(a: Sequence[Trained], b: Sequence[Trained]) -> None:
    for ours, theirs in zip(a, b, strict=True):
        assert (ours.curve, ours.initial_loss, ours.diverged_at) == (
            theirs.curve,
            theirs.initial_loss,
            theirs.diverged_at,
        )
        assert (ours.train_metric, ours.test_metric) == (theirs.train_metric, theirs.test_metric)
        assert ours.best_test_metric == theirs.best_test_metric
        assert ours.initial_validation_loss == theirs.initial_validation_loss
        assert ours.loss_spread == theirs.loss_spread > 0
        assert ours.weights.keys() == theirs.weights.keys()
        for name, tensor in ours.weights.items():
            assert torch.equal(tensor, theirs.weights[name]), name


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize("after", [0, 1, 20, 21, 22, 40, 62] if THOROUGH else [1, 21, 62])
def test_goes_on_bit_for_bit(execution: str, after: int, tmp_path: Path) -> None:
    """21 steps an epoch: at its beginning, within it, at its end."""
    planned_job = planned(tiny(model=Noisy), execution)
    chosen = (
        members("adam", "momentum", "radam") if execution == "population" else members("adam", seeds=[3], rates=[0.01])
    )
    stopped(planned_job, chosen, tmp_path, after)
    assert len(list(tmp_path.iterdir())) == 1
    gone_on = outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path))
    assert_same(gone_on, outcomes(planned_job, chosen))


@pytest.mark.parametrize("name", sample(recipes()))
def test_every_rule_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    planned_job, chosen = planned(tiny(epochs=2), "population"), members(name)
    stopped(planned_job, chosen, tmp_path, 30)
    assert_same(outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path)), outcomes(planned_job, chosen))


def test_a_checkpoint_is_where_it_goes_on_from(tmp_path: Path) -> None:
    """The steps before it are not trained again."""
    planned_job, chosen = planned(tiny(epochs=2), "population"), members("adam")
    stopped(planned_job, chosen, tmp_path, 30)
    (path,) = tmp_path.iterdir()
    state = Checkpoints(tmp_path).of(range(len(chosen)), chosen).load()
    assert state is not None
    assert state.facts["step"] == 30
    spoilt = {name: torch.full_like(t, 0.125) if "parameters" in name else t for name, t in state.tensors.items()}
    Checkpoint(path, 1.0, chosen).save(Snapshot(spoilt, state.facts))
    gone_on, whole = outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path)), outcomes(planned_job, chosen)
    assert gone_on[0].curve[0] == whole[0].curve[0]
    assert gone_on[0].curve[1] != whole[0].curve[1]


def test_diverged_members_stay_gone(tmp_path: Path) -> None:
    """Most of them leave the arrays after the first epoch; the rest go on as if nothing was."""
    loss = lambda outputs, targets: (outputs**4).mean() + outputs[:, 0].mean()  # noqa: E731
    planned_job = planned(tiny(loss=loss), "population")
    chosen = members("momentum", "adam", seeds=[0], rates=[1e9, 1e8, 0.01, 1e7])
    stopped(planned_job, chosen, tmp_path, 50)
    gone_on = outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path))
    assert [o.diverged_at is None for o in gone_on].count(False) >= 3
    assert_same(gone_on, outcomes(planned_job, chosen))


def imported(path: str, **values: Any) -> Member:
    found = Imported(path)
    return Member(found, found.resolve(values), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["Adam", "SGD", "Rprop", "ASGD", "LBFGS"] if THOROUGH else ["Adam", "LBFGS"])
def test_torchs_own_optimizers_go_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    planned_job, chosen = planned(tiny(epochs=2)), [imported(f"torch.optim:{name}", lr=0.01)]
    stopped(planned_job, chosen, tmp_path, 30)
    assert len(list(tmp_path.iterdir())) == 1
    assert_same(outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path)), outcomes(planned_job, chosen))


class Strange(torch.optim.SGD):
    """May keep anything anywhere."""


@pytest.mark.parametrize("case", ["model", "optimizer"])
def test_what_cannot_be_seen_whole_begins_again(case: str, tmp_path: Path) -> None:
    """A model that counts in an attribute, an optimizer of who knows whom: no checkpoint but of the beginning."""
    planned_job = planned(tiny(model=Forgetful) if case == "model" else tiny())
    chosen = (
        [imported(f"{__name__}:Strange", lr=0.1)] if case == "optimizer" else members("sgd", seeds=[0], rates=[0.1])
    )
    events = train(planned_job, chosen, checkpoints=Checkpoints(tmp_path, every=1e-9))
    next(event for event in events if isinstance(event, MembersMeasured))
    events.close()
    saved = Checkpoints(tmp_path).of([0], chosen).load()
    assert saved is None or saved.facts["step"] == 0
    assert_same(outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path)), outcomes(planned_job, chosen))


def test_done_members_are_not_trained_and_the_others_are_as_ever(tmp_path: Path) -> None:
    planned_job, chosen = planned(tiny(epochs=1)), members("adam", "sgd", seeds=range(16))
    parts = planned_job.plan.populations(chosen)
    assert len(parts) == 1
    planned_job = replace(planned_job, plan=replace(planned_job.plan, width=16))
    parts = planned_job.plan.populations(chosen)
    whole, found = outcomes(planned_job, chosen), {}
    for event in train(planned_job, chosen, done=parts[0]):
        found |= event.outcomes if isinstance(event, MembersFinished) else {}
    assert sorted(found) == sorted(i for part in parts[1:] for i in part)
    assert_same([found[i] for i in sorted(found)], [whole[i] for i in sorted(found)])


def test_checkpoints_come_as_often_as_asked(tmp_path: Path) -> None:
    planned_job, chosen = planned(tiny(epochs=1), "population"), members("sgd")
    saved: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", lambda self, state: saved.append(state.facts["step"]))
        patch.setattr(Checkpoint, "due", lambda self: True)
        outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path))
    assert saved == list(range(21))


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "other members", "other format"])
def test_a_checkpoint_that_does_not_fit_is_left_out(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its runs begin again; nothing in it is ever executed."""
    chosen, others = members("sgd"), members("adam")
    checkpoint = Checkpoint(tmp_path / "a.safetensors", 1.0, others if damage == "other members" else chosen)
    checkpoint.save(Snapshot({"x": torch.ones(3)}, {"step": 4}))
    path = tmp_path / "a.safetensors"
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-3])
    elif damage == "other format":
        path.write_bytes(data.replace(rb"\"format\": 2", rb"\"format\": 9"))
    elif damage in ("garbage", "empty"):
        path.write_bytes(b"\x80\x04garbage" * (damage == "garbage"))
    with caplog.at_level(logging.WARNING):
        assert Checkpoint(path, 1.0, chosen).load() is None
    assert bool(caplog.records) == (damage in ("cut", "garbage", "empty"))


def test_a_checkpoint_is_replaced_whole_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: the one before stays, nothing else does, and training goes on."""
    checkpoint = Checkpoint(tmp_path / "a.safetensors", 1.0)
    checkpoint.save(Snapshot({"x": torch.ones(3)}, {"step": 4}))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("thalweg.population.training.checkpoints.os.fsync", full)
    checkpoint.save(Snapshot({"x": torch.zeros(3)}, {"step": 5}))
    state = checkpoint.load()
    assert state is not None
    assert state.facts == {"step": 4}
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_states_are_joined_and_taken_apart() -> None:
    """Facts go through JSON; floats, infinities and NaN come back as they were."""
    facts = {"best": [float("-inf"), 0.1 + 0.2], "none": None}
    whole = joined({"a": Snapshot({"x": torch.ones(2)}, facts), "b": Snapshot()}, step=3)
    assert json.loads(json.dumps(whole.facts)) == whole.facts
    assert whole.part("a").facts == facts
    assert torch.equal(whole.part("a").tensors["x"], torch.ones(2))
    assert whole.part("b") == Snapshot()


def test_nothing_is_kept_unless_asked() -> None:
    checkpoint = Checkpoints().of([0], members("sgd"))
    checkpoint.save(Snapshot())
    assert not checkpoint.kept
    assert not checkpoint.due()
    assert checkpoint.load() is None
