"""Failures that say nothing are told, once, under a name; and nothing else is."""

import warnings

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import fitted
from scope import typical
from thalweg.optim import CoupledDecay, EpsilonDominates, LostUpdates, OptimizerWarning, ZeroLearningRate
from thalweg.optim.classes import drop_ins
from thalweg.optim.stepping import diagnostics

pytestmark = pytest.mark.filterwarnings("error::thalweg.optim.stepping.diagnostics.OptimizerWarning")


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.setattr(diagnostics, "_told", set())


def train(cls, steps=3, p=None, scale=1.0, **options):
    p = nn.Parameter(torch.linspace(1, 2, 50) if p is None else p)
    optimizer = cls(fitted(cls, [p]), **options)
    for step in range(steps):
        p.grad = torch.empty_like(p).copy_((scale * torch.cos(torch.arange(p.numel()) + step)).view(p.shape))
        optimizer.step()
    return p, optimizer


@pytest.mark.parametrize("name", typical(drop_ins()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_usual_says_nothing(name, dtype):
    train(drop_ins()[name], p=torch.linspace(1, 2, 48).view(6, 8).to(dtype))
    train(drop_ins()[name], p=torch.ones((), dtype=dtype))
    train(drop_ins()[name], p=torch.ones(8, 6, dtype=dtype).t())


@pytest.mark.rests("updates are lost")
@pytest.mark.parametrize("cls", [thalweg.optim.AdamW, thalweg.optim.SGD], ids=lambda c: c.__name__)
def test_lost_updates(cls):
    p = torch.ones(50, dtype=torch.bfloat16)
    with pytest.warns(LostUpdates, match=f"{cls.__name__}: 100% of the elements looked at did not move, though"):
        train(cls, p=p, lr=1e-3, rounding="nearest")
    train(cls, p=p, lr=1e-3, rounding="nearest")  # told once


@pytest.mark.rests("updates are lost")
def test_lost_updates_in_float32():
    with pytest.warns(LostUpdates):
        train(thalweg.optim.SGD, p=torch.full((50,), 1e6), lr=1e-3)


def test_masked_and_unused_elements_are_not_lost():
    p = nn.Parameter(torch.ones(50))
    optimizer = thalweg.optim.SGD([p], lr=0.1)
    for _ in range(3):
        p.grad = torch.zeros(50).index_fill(0, torch.tensor([3]), 1.0)
        optimizer.step()


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adamax", "NAdam", "Yogi", "LaProp", "AdaBound"])
def test_epsilon_dominates(name):
    cls = drop_ins()[name]
    with pytest.warns(EpsilonDominates, match=f"{name}: eps=0.01 is larger than what it is added to for"):
        train(cls, scale=1e-4, eps=1e-2, **({"initial_accumulator_value": 0.0} if name == "Yogi" else {}))


def test_a_learning_rate_of_zero():
    with pytest.warns(ZeroLearningRate, match="Adam: the learning rate of the first step is 0, so nothing moves"):
        train(thalweg.optim.Adam, lr=0.0)


def test_a_step_that_only_makes_the_state_says_nothing():
    """As distributed checkpoints do: a rate of 0 and gradients of 0."""
    train(thalweg.optim.Adam, lr=0.0, scale=0.0)


@pytest.mark.parametrize("name", ["Adam", "NAdam", "RMSprop", "Adamax", "AMSBound"])
def test_coupled_decay(name):
    if name == "AMSBound":  # no adaptive rates throughout: its bounds are SGD's
        drop_ins()["AdaBound"]([torch.zeros(1)], amsbound=True, weight_decay=0.1)
        return
    with pytest.warns(CoupledDecay, match=f"{name}: weight_decay is added to the gradient, whose size this"):
        drop_ins()[name]([torch.zeros(1)], weight_decay=0.1)
    drop_ins()[name]([torch.zeros(1)], weight_decay=0.1)  # told once


def test_decay_beside_the_rule_says_nothing():
    thalweg.optim.AdamW([torch.zeros(1)], weight_decay=0.1)
    thalweg.optim.Adam([torch.zeros(1)], weight_decay=0.1, decoupled_weight_decay=True)
    thalweg.optim.Adam([torch.zeros(1)], weight_decay=0.1, independent_weight_decay=True)
    thalweg.optim.SGD([torch.zeros(1)], weight_decay=0.1)
    thalweg.optim.Adam([torch.zeros(1)], weight_decay=0.1, convention="keras")


@pytest.mark.rests("the learning rate is 0, and whoever watches stands between the step and its caller")
def test_the_line_that_is_named_is_the_users():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(thalweg.optim.Adam, lr=0.0, weight_decay=0.1)
    assert {w.category for w in caught} == {ZeroLearningRate, CoupledDecay}
    assert {w.filename for w in caught} == {__file__}
    assert all(issubclass(w.category, OptimizerWarning) for w in caught)


def test_looking_changes_nothing(monkeypatch):
    first, _ = train(thalweg.optim.NAdam, steps=5)
    monkeypatch.setattr(diagnostics.SilentFailures, "done", True)
    second, _ = train(thalweg.optim.NAdam, steps=5)
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("name", "options", "gradients"),
    [
        ("SGD", {"masked": True}, (1.0, 1.0, 1.0)),
        ("Ftrl", {"l1": 10.0}, (1.0, 1.0, 1.0)),
        ("Rprop", {}, (1.0, -1.0, 1.0)),
        ("SGD", {"momentum": 0.9, "cautious": True}, (1.0, -0.5, 1.0)),
    ],
)
def test_what_is_meant_to_rest_is_not_lost(name, options, gradients, monkeypatch):
    monkeypatch.setattr(diagnostics, "_told", set())
    p = nn.Parameter(torch.ones(100))
    optimizer = getattr(thalweg.optim, name)([p], lr=0.01, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LostUpdates)
        for gradient in gradients:
            p.grad = torch.full_like(p, gradient)
            optimizer.step()
            if "mask" in optimizer.state[p]:
                optimizer.state[p]["mask"][:90] = 0.0


def test_warnings_of_frozen_groups_and_scaled_gradients(monkeypatch):
    monkeypatch.setattr(diagnostics, "_told", set())
    p, q = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptimizerWarning)
        optimizer = thalweg.optim.SGD([{"params": [p], "lr": 0.0}, {"params": [q], "lr": 0.1}])
        p.grad = q.grad = torch.ones(5)
        optimizer.step()
    optimizer, scaler = thalweg.optim.Adam([p], eps=1e-2), torch.amp.GradScaler("cpu")

    def train():
        for _ in range(2):
            optimizer.zero_grad()
            scaler.scale(1e-4 * p.sum()).backward()
            scaler.step(optimizer)
            scaler.update()

    with pytest.warns(thalweg.optim.EpsilonDominates):
        train()


def test_a_large_model_is_looked_at_in_part(monkeypatch):
    """The second step of a thousand tensors may not take seconds."""
    looked = []
    update = diagnostics.SilentFailures._update
    monkeypatch.setattr(diagnostics.SilentFailures, "_update", lambda *a: looked.append(1) or update(*a))
    params = [nn.Parameter(torch.ones(3)) for _ in range(1000)]
    optimizer = thalweg.optim.Adam(params)
    for _ in range(3):
        for p in params:
            p.grad = torch.ones(3)
        optimizer.step()
    assert 0 < len(looked) <= 6 * diagnostics.PARAMETERS
