"""Runs counted in steps, measured in between, clipped, and stepped by other libraries' optimizers."""

import re
from typing import Any

import pytest
import torch

from problems import tiny, train_all
from thalweg.errors import InputError
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.recipes.imported import Imported

SGD = recipe("sgd")


def member(seed: int = 0, **given: Any) -> Member:
    return Member(SGD, SGD.resolve({"lr": 0.1, **given}), seed)


def by_hand(steps: int, every: int, clip: float | None = None) -> tuple[list[float], torch.nn.Module]:
    """(mean training loss of each stretch, the model) of seed 0 with torch's SGD."""
    workload = tiny(torch.float64)
    torch.manual_seed(0)
    model = workload.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    (x,), y = workload.train.inputs, workload.train.targets
    index = [i for _ in range(5) for i in torch.randperm(len(y), generator=generator).split(workload.batch_size)]
    curve, losses, samples = [], 0.0, 0
    for step, batch in enumerate(index[:steps], 1):
        optimizer.zero_grad()
        loss = workload.loss(model(x[batch]), y[batch])
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses, samples = losses + loss.item() * len(batch), samples + len(batch)
        if step % every == 0 or step == steps:
            curve.append(losses / samples)
            losses, samples = 0.0, 0
    return curve, model


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)], ids=["one seed", "mixed seeds"])
def test_measured_in_between(execution: Any, seeds: tuple[int, int]) -> None:
    """30 steps across the end of the first epoch, after 21; a stretch's loss is weighted by samples."""
    workload = tiny(torch.float64, steps=30, evaluate_every=7)
    outcome = train_all(workload, [member(s) for s in seeds], execution=execution, keep_weights=True)[0]
    curve, model = by_hand(30, 7)
    assert [m.step for m in outcome.curve] == [7, 14, 21, 28, 30] == workload.milestones
    assert [m.train_loss for m in outcome.curve] == pytest.approx(curve, rel=1e-12)
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(outcome.weights[name], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_clipped_by_the_norm_of_all_gradients(execution: Any) -> None:
    workload = tiny(torch.float64, steps=25)
    members = [member(clip_global_norm=0.2), member(lr=0.3, clip_global_norm=0.2)]
    outcome = train_all(workload, members, execution=execution, keep_weights=True)[0]
    _, model = by_hand(25, 25, clip=0.2)
    _, unclipped = by_hand(25, 25)
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(outcome.weights[name], expected, rtol=1e-12, atol=1e-12)
        assert not torch.allclose(unclipped.state_dict()[name], expected, rtol=1e-3)


def test_an_imported_optimizer_beside_a_population() -> None:
    """torch's RAdam by the loop, ours in the population: the same run."""
    workload = tiny(torch.float64)
    theirs, ours = Imported("torch.optim:RAdam"), recipe("radam")
    members = [Member(theirs, {"lr": 1e-2}, 0), *(Member(ours, ours.resolve({"lr": 1e-2}), s) for s in (0, 1))]
    imported, own, _ = train_all(workload, members, execution="population", keep_weights=True)
    assert imported.execution == "loop: torch.optim:RAdam is another library's"
    for name, expected in imported.weights.items():
        torch.testing.assert_close(own.weights[name], expected, rtol=1e-9, atol=1e-9)
    assert imported.memory == pytest.approx(own.memory, rel=0.01)  # theirs keeps a step besides


class Breaking(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        raise ArithmeticError("out of luck")


def test_an_imported_optimizer_that_raises_ends_its_own_run_only() -> None:
    members = [Member(Imported(f"{__name__}:Breaking"), {"lr": 0.1}, 0), member()]
    broken, fine = train_all(tiny(), members, execution="population")
    assert re.fullmatch(r"ArithmeticError: out of luck \(raised at .*test_lengths\.py:\d+\)", broken.failure)
    assert broken.train_metric is None
    assert fine.failure == ""
    assert len(fine.curve) == 3


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_a_short_last_batch_may_be_left_out(execution: Any) -> None:
    """330 samples in batches of 16: 20 steps an epoch, and every epoch leaves out other samples."""
    workload = tiny(torch.float64, drop_last=True, epochs=2, test=None)
    assert (workload.steps_per_epoch, workload.total_steps) == (20, 40)
    sgd = recipe("sgd")
    outcome = train_all(workload, [Member(sgd, sgd.resolve({"lr": 0.1}), 0)], execution=execution, keep_weights=True)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, order = workload.model(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        for index in torch.randperm(330, generator=order).split(16)[:-1]:
            optimizer.zero_grad()
            workload.loss(model(workload.train.inputs[0][index]), workload.train.targets[index]).backward()
            optimizer.step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(outcome.weights[name], p.detach(), rtol=1e-9, atol=1e-9)


def test_dropping_the_last_batch_must_leave_one() -> None:
    assert tiny(drop_last=True, batch_size=330).steps_per_epoch == 1
    assert tiny(drop_last=True, batch_size=165).steps_per_epoch == 2
    with pytest.raises(InputError, match="drop_last leaves nothing of 330 samples in batches of 331"):
        tiny(drop_last=True, batch_size=331)
