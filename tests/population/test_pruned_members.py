"""A member that is pruned equals the loop by hand with a `Pruner`, in every execution; its masks hold and resume."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import thalweg
from problems import tiny, train_all
from stopping import outcomes, stopped
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.training.checkpoints import Checkpoints, _described
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.regularization.mask_updates import Pruning
from thalweg.regularization.sparsity import SparsitySchedule
from thalweg.sparse import Pruner
from thalweg.workloads.workload import Workload

BEGIN, END, EVERY = 10, 40, 6
WEIGHTS = 6 * 16 + 16 * 3


def pruned(
    name: str, seed: int, sparsity: float = 0.8, method: str = "magnitude", given: Any = None, **values: Any
) -> Member:
    when = SparsitySchedule(sparsity, BEGIN, END, EVERY)
    own = recipe(name).resolve({"masked": True, **values})
    return Member(recipe(name), own, seed, pruning=Pruning(when, method, seed=seed, given=given))


def by_hand(
    workload: Workload, make: Callable[[Any], torch.optim.Optimizer], seed: int, method: str
) -> dict[str, torch.Tensor]:
    """Final weights of the plain loop with torch's optimizer and a `Pruner`."""
    torch.manual_seed(seed)
    model = workload.model()
    optimizer = make(model.parameters())
    when = {"begin": BEGIN, "end": END, "frequency": EVERY}
    pruner = Pruner(model, optimizer, sparsity=0.8, **when, method=method, seed=seed)
    order = torch.Generator().manual_seed(seed)
    (x,), y = workload.train.inputs, workload.train.targets
    for _ in range(workload.epochs):
        for index in torch.randperm(len(y), generator=order).split(workload.batch_size):
            optimizer.zero_grad()
            workload.loss(model(x[index]), y[index]).backward()
            optimizer.step()
            pruner.step()
    return dict(model.state_dict())


def zeros(weights: Any) -> int:
    return sum(int((w == 0).sum()) for w in weights.values() if w.ndim > 1)


CASES = [
    ("nesterov", {"lr": 0.05}, lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, nesterov=True)),
    ("adamw", {"lr": 1e-2}, lambda ps: torch.optim.AdamW(ps, lr=1e-2)),
]


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_members_equal_the_loop_by_hand(execution: str, method: str) -> None:
    workload = tiny(torch.float64)
    members = [pruned(name, seed, method=method, **values) for name, values, _ in CASES for seed in (3, 4)]
    dense = [Member(recipe(name), recipe(name).resolve(values), 3) for name, values, _ in CASES]
    trained = train_all(workload, [*members, *dense], execution=execution, keep_weights=True)
    for member, outcome in zip(members, trained, strict=False):
        make = next(make for name, _, make in CASES if name == member.recipe.name)
        expected = by_hand(workload, make, member.seed, method)
        assert zeros(outcome.weights) == round(0.8 * WEIGHTS) == zeros(expected)
        for name, weight in expected.items():
            torch.testing.assert_close(outcome.weights[name], weight, rtol=0, atol=1e-9)
    assert all(zeros(outcome.weights) == 0 for outcome in trained[len(members) :])


def test_native_code_holds_the_masks() -> None:
    workload = tiny()
    members = [pruned("adamw", seed, sparsity, lr=1e-2) for sparsity in (0.5, 0.9) for seed in range(3)]
    natively = train_all(workload, members, native=True, keep_weights=True)
    by_loop = train_all(workload, members, execution="loop", keep_weights=True)
    for member, a, b in zip(members, natively, by_loop, strict=True):
        assert zeros(a.weights) == round(member.pruning.schedule.final * WEIGHTS)
        for name, weight in b.weights.items():
            assert torch.equal(a.weights[name] == 0, weight == 0)
            torch.testing.assert_close(a.weights[name], weight, rtol=0, atol=1e-4)


AVERAGING: list[tuple[str, dict[str, Any]]] = [
    ("schedule_free_sgd", {"lr": 0.1}),
    ("schedule_free_adamw", {"lr": 1e-2}),
    ("asgd", {"lr": 0.1}),
    ("adam", {"ema_decay": 0.9}),
    ("adam", {"lookahead_steps": 4, "ema_decay": 0.9}),
    ("momentum", {"lr": 0.1, "max_norm": 0.9}),
    ("lamb", {"lr": 1e-2}),
]


@pytest.mark.parametrize(("name", "values"), AVERAGING)
@pytest.mark.parametrize("execution", ["population", "loop"])
def test_no_average_revives_a_weight(name: str, values: dict[str, Any], execution: str) -> None:
    (outcome,) = train_all(tiny(), [pruned(name, 0, **values)], execution=execution, keep_weights=True)
    assert not outcome.failure
    assert zeros(outcome.weights) == round(0.8 * WEIGHTS)


def test_masks_given_from_the_start() -> None:
    torch.manual_seed(0)
    masks = {"hidden.weight": torch.rand(16, 6) > 0.5}
    (outcome,) = train_all(tiny(), [pruned("adam", 0, given=masks)], keep_weights=True)
    assert torch.equal(outcome.weights["hidden.weight"] != 0, masks["hidden.weight"])
    assert zeros({"out": outcome.weights["out.weight"]}) == 0


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_what_stopped_between_two_updates_goes_on_bit_for_bit(tmp_path: Path, execution: Any) -> None:
    members = [pruned("adamw", seed, method=method, lr=1e-2) for method in ("magnitude", "random") for seed in (0, 1)]
    planned = plan_job(
        tiny(), 0, device=torch.device("cpu"), workers=1, execution=execution, keep_weights=True
    )  # fmt: skip
    whole = outcomes(planned, members)
    stopped(planned, members, tmp_path, after=25)
    again = outcomes(planned, members, checkpoints=Checkpoints(tmp_path))
    for a, b in zip(whole, again, strict=True):
        assert a.curve == b.curve
        assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)


def test_a_checkpoint_of_other_masks_is_not_taken() -> None:
    one, other = pruned("adam", 0), pruned("adam", 0, 0.9)
    ticket = replace(one, pruning=replace(one.pruning, given={"hidden.weight": torch.ones(16, 6).bool()}))
    another = replace(one, pruning=replace(one.pruning, given={"hidden.weight": torch.zeros(16, 6).bool()}))
    assert len({_described([m]) for m in (one, other, ticket, another, replace(one, pruning=None))}) == 5


def test_a_model_rule_has_no_masks() -> None:
    with pytest.raises(thalweg.InputError, match="evaluates the model where masked elements are not zero"):
        recipe("sgd").resolve({"masked": True, "sam": 0.05})
