"""torch's one-cycle schedules move the momentum of every class that has one, whatever it is called."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from thalweg.optim.classes import drop_ins

KINDS = {
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.01, total_steps=10),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 0.01, step_size_up=2),
}
MOVED = {name: cls for name, cls in drop_ins().items() if cls.recipe.rule.momentum}
WITHOUT = {name: cls for name, cls in drop_ins().items() if not cls.recipe.rule.momentum}


def begun(cls):
    p = nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3))
    return p, cls([p])


def take(p, optimizer, step=0):
    p.grad = torch.cos(torch.arange(6.0, dtype=torch.float64).view(2, 3) + step)
    optimizer.step()


def test_a_class_whose_peer_has_momentum_has_it():
    for name in MOVED.keys() | WITHOUT.keys():
        theirs = getattr(torch.optim, name, None)
        if theirs is not None and name not in ("LBFGS", "Adafactor"):
            defaults = theirs([nn.Parameter(torch.ones(1, 1))]).defaults
            assert not ({"momentum", "betas"} & defaults.keys()) or name in MOVED, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", MOVED.values(), ids=MOVED)
def test_it_is_moved(cls, kind):
    """As by a user who writes each value into the hyperparameter itself."""
    (p, optimizer), (q, by_hand) = begun(cls), begun(cls)
    schedule, name = KINDS[kind](optimizer), cls.recipe.rule.momentum
    for step in range(6):
        group = optimizer.param_groups[0]
        value = group["betas"][0] if "betas" in group else group["momentum"]
        other = by_hand.param_groups[0]
        other["lr"] = group["lr"]
        other.update({"betas": (value, *other["betas"][1:])} if "betas" in other else {name: value})
        take(p, optimizer, step)
        take(q, by_hand, step)
        schedule.step()
    assert torch.equal(p, q)
    plain, _ = begun(cls)
    assert not torch.equal(p, plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", WITHOUT.values(), ids=WITHOUT)
def test_none_is_refused_by_the_scheduler_itself(cls, kind):
    with pytest.raises(ValueError, match="momentum"):
        KINDS[kind](begun(cls)[1])


def test_betas_out_of_the_defaults_are_hyperparameters_all_the_same():
    cls = drop_ins()["AggMo"]
    p, q = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = cls([p], betas=(0.1, 0.5, 0.7))
    optimizer.add_param_group({"params": [q]})
    assert [group["betas"] for group in optimizer.param_groups] == [(0.1, 0.5, 0.7)] * 2
    assert optimizer.defaults["betas"] == (0.1, 0.5, 0.7)
    assert "betas" not in optimizer.defaults, "as a scheduler asks"
    twin = copy.deepcopy(optimizer)
    twin.add_param_group({"params": [nn.Parameter(torch.ones(2))], "betas": (0.0, 0.9, 0.99)})
    assert twin.param_groups[2]["betas"] == (0.0, 0.9, 0.99)


OTHERWISE = {name: cls for name, cls in MOVED.items() if cls.recipe.rule.momentum in ("beta", "beta1")}
OTHERWISE = {name: cls for name, cls in OTHERWISE.items() if "betas" not in begun(cls)[1].param_groups[0]}
otherwise_called = pytest.mark.parametrize("cls", OTHERWISE.values(), ids=OTHERWISE)


@pytest.mark.parametrize("written", ["before", "after"])
@otherwise_called
def test_one_that_is_set_by_hand_holds_until_the_scheduler_writes_again(cls, written):
    name = cls.recipe.rule.momentum
    p, optimizer = begun(cls)
    schedule, group = KINDS["OneCycleLR"](optimizer), optimizer.param_groups[0]
    for step in range(5):
        take(p, optimizer, step)
        if step < 4 or written == "before":
            schedule.step()
    group[name] = 0.33
    for step in range(5, 7):
        take(p, optimizer, step)
        assert group[name] == group["momentum"] == 0.33
    schedule.step()
    take(p, optimizer)
    assert group[name] == group["momentum"] > 0.8


@otherwise_called
def test_one_that_is_set_by_hand_before_the_first_step(cls):
    p, optimizer = begun(cls)
    KINDS["OneCycleLR"](optimizer)
    optimizer.param_groups[0][cls.recipe.rule.momentum] = 0.33
    take(p, optimizer)
    assert optimizer.param_groups[0][cls.recipe.rule.momentum] == 0.33


@pytest.mark.parametrize("moment", ["set before saving", "set after loading"])
@otherwise_called
def test_one_that_is_set_by_hand_about_a_checkpoint(cls, moment):
    name = cls.recipe.rule.momentum
    (p, optimizer), (q, other) = begun(cls), begun(cls)
    schedule = KINDS["OneCycleLR"](optimizer)
    for step in range(3):
        take(p, optimizer, step)
        schedule.step()
    if moment == "set before saving":
        optimizer.param_groups[0][name] = 0.33
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    if moment == "set after loading":
        other.param_groups[0][name] = 0.33
    take(q, other)
    assert other.param_groups[0][name] == other.param_groups[0]["momentum"] == 0.33


@otherwise_called
def test_one_that_a_scheduler_wrote_before_a_checkpoint_is_taken_after_it(cls):
    (p, optimizer), (q, other) = begun(cls), begun(cls)
    schedule = KINDS["OneCycleLR"](optimizer)
    for step in range(3):
        take(p, optimizer, step)
        schedule.step()
    written = optimizer.param_groups[0]["momentum"]
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    take(q, other)
    assert other.param_groups[0][cls.recipe.rule.momentum] == written
