"""Rules that evaluate the model again: against NumPy, step by step, and the closure that they ask for."""

import copy
import importlib
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

import thalweg.optim
from thalweg.errors import InputError
from thalweg.recipes.options import MODEL_RULES
from thalweg.schedules import linear

RADII = {"sam": 0.05, "asam": 0.5}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(24, 5, generator=draws, dtype=torch.float64)
    return x, torch.randn(24, 3, generator=draws, dtype=torch.float64)


def closure_of(model: nn.Module, optimizer: torch.optim.Optimizer, calls: list[int] | None = None):
    x, y = data()

    def closure() -> torch.Tensor:
        if calls is not None:
            calls.append(1)
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        return loss

    return closure


def by_numpy(rule: str, radius: float, steps: int, lr: float, momentum: float, start: list[np.ndarray]) -> np.ndarray:
    """Linear regression by SGD with momentum, the gradient of the mean square by hand."""
    x, y = (t.numpy() for t in data())
    perturbation = importlib.import_module(f"oracles.{rule}").perturbation
    w, b = start
    velocity = [np.zeros_like(w), np.zeros_like(b)]

    def gradients(w: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
        error = 2 * (x @ w.T + b - y) / y.size
        return [error.T @ x, error.sum(0)]

    history = []
    for _ in range(steps):
        e = perturbation([w, b], gradients(w, b), radius)
        velocity = [momentum * v + g for v, g in zip(velocity, gradients(w + e[0], b + e[1]), strict=True)]
        w, b = w - lr * velocity[0], b - lr * velocity[1]
        history.append(np.concatenate([w.ravel(), b]))
    return np.array(history)


@pytest.mark.parametrize("rule", MODEL_RULES)
def test_equals_its_oracle(rule):
    torch.manual_seed(0)
    model = nn.Linear(5, 3, dtype=torch.float64)
    start = [p.detach().numpy().copy() for p in model.parameters()]
    optimizer = thalweg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, **{rule: RADII[rule]})
    closure, calls, history = None, [], []
    closure = closure_of(model, optimizer, calls)
    for _ in range(100):
        optimizer.step(closure)
        history.append(torch.cat([p.detach().flatten() for p in model.parameters()]).numpy())
    expected = by_numpy(rule, RADII[rule], 100, 0.1, 0.9, start)
    plain = by_numpy(rule, 0.0, 100, 0.1, 0.9, start)
    assert len(calls) == 100 * MODEL_RULES[rule].evaluations
    assert np.abs(plain[-1] - expected[-1]).max() > 1e-6, "the rule changes nothing here"
    assert np.abs(np.array(history) - expected).max() <= 1e-12


@pytest.mark.parametrize("rule", MODEL_RULES)
def test_returns_the_first_loss_and_leaves_its_gradients(rule):
    torch.manual_seed(0)
    model = nn.Linear(5, 3, dtype=torch.float64)
    other = copy.deepcopy(model)
    optimizer = thalweg.optim.Adam(model.parameters(), **{rule: RADII[rule]})
    loss = optimizer.step(closure_of(model, optimizer))
    x, y = data()
    assert loss == (other(x) - y).square().mean()
    g = torch.autograd.grad(loss.new_tensor(0) + (other(x) - y).square().mean(), [*other.parameters()])
    assert all(p.grad is not None and not torch.equal(p.grad, at) for p, at in zip(model.parameters(), g, strict=True))


@pytest.mark.parametrize("rule", MODEL_RULES)
def test_without_a_closure_nothing_moves(rule):
    model = nn.Linear(5, 3)
    optimizer = thalweg.optim.AdamW(model.parameters(), **{rule: RADII[rule]})
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=rf"{rule}=.* evaluates the batch 2 times: call step\(closure\)"):
        optimizer.step()
    assert all(torch.equal(model.state_dict()[name], x) for name, x in before.items())


@pytest.mark.parametrize("rule", MODEL_RULES)
def test_a_closure_that_fails_leaves_the_parameters(rule):
    model = nn.Linear(5, 3, dtype=torch.float64)
    optimizer = thalweg.optim.SGD(model.parameters(), **{rule: RADII[rule]})
    before, counted = copy.deepcopy(model.state_dict()), itertools.count(1)
    closure = closure_of(model, optimizer)

    def failing() -> torch.Tensor:
        loss = closure()
        if next(counted) == 2:
            raise RuntimeError("out of memory")
        return loss

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(failing)
    assert all(torch.equal(model.state_dict()[name], x) for name, x in before.items())


def test_groups_with_two_radii_are_refused():
    model = nn.Linear(5, 3)
    groups = [{"params": [model.weight], "sam": 0.1}, {"params": [model.bias], "sam": 0.2}]
    optimizer = thalweg.optim.SGD(groups)
    with pytest.raises(InputError, match=r"'sam' of SGD with sam must be one for all param groups, got \[0.1, 0.2\]"):
        optimizer.step(closure_of(model, optimizer))


def test_sparse_gradients_are_refused():
    table = nn.Embedding(8, 3, sparse=True)
    optimizer = thalweg.optim.SGD(table.parameters(), sam=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = table(torch.tensor([1, 2])).square().sum()
        loss.backward()
        return loss

    before = table.weight.detach().clone()
    with pytest.raises(InputError, match="sam takes dense gradients"):
        optimizer.step(closure)
    assert torch.equal(table.weight, before)


def test_a_scheduled_radius():
    model = nn.Linear(5, 3, dtype=torch.float64)
    twin = copy.deepcopy(model)
    optimizer = thalweg.optim.SGD(model.parameters(), lr=0.1, sam=linear(0.5, steps=4))
    for step in range(4):
        other = thalweg.optim.SGD(twin.parameters(), lr=0.1, sam=0.5 * (1 - step / 4))
        assert optimizer.param_groups[0]["sam"] == pytest.approx(0.5 * (1 - step / 4))
        optimizer.step(closure_of(model, optimizer))
        other.step(closure_of(twin, other))
        assert torch.equal(model.weight, twin.weight)


@pytest.mark.parametrize("rule", MODEL_RULES)
def test_maximizing_the_negated_loss_is_minimizing_the_loss(rule):
    ends = []
    for maximize in (False, True):
        p = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
        optimizer = thalweg.optim.SGD([p], lr=0.1, maximize=maximize, **{rule: RADII[rule]})

        def closure(p=p, optimizer=optimizer, sign=-1 if maximize else 1):
            optimizer.zero_grad()
            loss = sign * (p**4).sum() / 10
            loss.backward()
            return loss

        optimizer.step(closure)
        ends.append(p.detach())
    assert torch.equal(*ends)


def test_groups_that_ascend_and_descend_are_refused():
    groups = [{"params": [nn.Parameter(torch.ones(2))], "maximize": m} for m in (True, False)]
    with pytest.raises(InputError, match="'maximize' of SGD with sam must be one for all"):
        thalweg.optim.SGD(groups, sam=0.1).step(lambda: None)


def test_both_evaluations_drop_the_same():
    p = nn.Parameter(torch.ones(64))
    optimizer, masks = thalweg.optim.SGD([p], lr=0.1, sam=0.5), []

    def closure():
        optimizer.zero_grad()
        mask = torch.nn.functional.dropout(torch.ones(64))
        masks.append(mask)
        (p * mask).square().sum().backward()

    torch.manual_seed(0)
    optimizer.step(closure)
    torch.manual_seed(0)
    torch.nn.functional.dropout(torch.ones(64))
    after = torch.get_rng_state()
    torch.manual_seed(0)
    optimizer.step(closure)
    assert all(torch.equal(masks[0], mask) for mask in masks)
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("rule", MODEL_RULES)
@pytest.mark.parametrize("returned", [None, {"loss": 1.0}, (1.0, 2.0), 0.5], ids=str)
def test_whatever_a_closure_returns_comes_back(rule, returned):
    p = nn.Parameter(torch.ones(2))
    optimizer = thalweg.optim.SGD([p], lr=0.1, **{rule: 0.1})

    def closure():
        p.grad = p.detach().clone()
        return returned

    assert optimizer.step(closure) == returned
    assert torch.isfinite(p).all()
    assert not torch.equal(p, torch.ones(2))


@pytest.mark.rests("steps of 1e-8 are below the resolution at 1")
@pytest.mark.parametrize("rule", MODEL_RULES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("size", [0.0, 1e-7, 1e-3])
def test_small_gradients_in_low_precision(rule, dtype, size):
    p = nn.Parameter(torch.ones(4, dtype=dtype))
    optimizer, seen = thalweg.optim.SGD([p], lr=0.1, **{rule: 0.5}), []

    def closure():
        seen.append(p.detach().clone())
        p.grad = torch.full_like(p, size)

    optimizer.step(closure)
    assert torch.isfinite(p).all()
    moved = 0.25 if torch.full((), size, dtype=dtype) else 0.0  # 0.5 over √4 elements
    torch.testing.assert_close(seen[1].float(), torch.full((4,), 1 + moved), rtol=0.01, atol=0.0)


@pytest.mark.parametrize("rule", MODEL_RULES)
def test_functional_and_masks_are_refused(rule):
    with pytest.raises(InputError, match=f"{rule} of sgd evaluates the model"):
        thalweg.optim.functional("sgd", lr=0.1, **{rule: 0.5})
    with pytest.raises(InputError, match="where masked elements are not zero"):
        thalweg.optim.SGD([nn.Parameter(torch.ones(2))], masked=True, **{rule: 0.5})


def test_both_rules_at_once_are_refused():
    with pytest.raises(InputError, match="asam and sam both evaluate the model"):
        thalweg.optim.SGD([nn.Parameter(torch.ones(2))], sam=0.1, asam=0.5)


def test_a_template_of_the_state_dict_needs_no_closure():
    model = nn.Linear(5, 3)
    optimizer = thalweg.optim.AdamW(model.parameters(), sam=0.1)
    before = copy.deepcopy(model.state_dict())
    found = get_optimizer_state_dict(model, optimizer)
    assert found["param_groups"][0]["sam"] == 0.1
    assert all(torch.equal(model.state_dict()[name], x) for name, x in before.items())


def test_a_scaler_that_gives_no_closure_leaves_nothing_behind():
    p = nn.Parameter(torch.ones(3))
    optimizer, scaler = thalweg.optim.SGD([p], fused=True, sam=0.1), torch.amp.GradScaler("cpu")
    scaler.scale(p.sum()).backward()
    with pytest.raises(InputError, match=r"call step\(closure\)"):
        scaler.step(optimizer)
    assert not hasattr(optimizer, "grad_scale")
    assert not hasattr(optimizer, "found_inf")
