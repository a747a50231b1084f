"""Wrappers around an optimizer that keep tensors of their own in its state."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import fitted
from thalweg.optim.classes import drop_ins

every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())
STEPS = 12


def _of_timm():
    """timm's Lookahead by its file: the whole of timm needs torchvision."""
    (folder,) = importlib.util.find_spec("timm").submodule_search_locations
    spec = importlib.util.spec_from_file_location("timm_lookahead", Path(folder) / "optim" / "lookahead.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Lookahead


Lookahead = _of_timm()


def model():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def train(of, optimizer, steps, first=0):
    for step in range(first, first + steps):
        optimizer.zero_grad()
        of(torch.ones(2, 4) * (step + 1)).square().mean().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in of.parameters()])


@pytest.mark.parametrize("name", ["AdamW", "SGD", "RMSprop", "Adagrad"])
def test_lookahead_takes_torchs_path(name):
    ends = []
    for library in (thalweg.optim, torch.optim):
        of = model()
        ends.append(train(of, Lookahead(getattr(library, name)(of.parameters(), lr=0.01), k=3), STEPS))
    torch.testing.assert_close(*ends, rtol=1e-11, atol=1e-12)


@every_class
def test_lookahead_resumes(cls):
    """Its slow weights travel in the state of the optimizer."""
    whole, parts = model(), model()
    end = train(whole, Lookahead(cls(fitted(cls, [*whole.parameters()])), k=3), STEPS)
    optimizer = Lookahead(cls(fitted(cls, [*parts.parameters()])), k=3)
    train(parts, optimizer, 5)
    saved = optimizer.state_dict()
    assert all("lookahead_slow_buff" in state for state in saved["state"].values())
    resumed = Lookahead(cls(fitted(cls, [*parts.parameters()])), k=3)
    resumed.load_state_dict(saved)
    assert torch.equal(train(parts, resumed, STEPS - 5, first=5), end)


@every_class
def test_foreign_tensors_in_the_state_travel(cls):
    """Of any shape and type, under any name."""
    of = model()
    optimizer = cls(fitted(cls, [*of.parameters()]))
    train(of, optimizer, 2)
    foreign = {"slow": torch.ones(3, 4), "seen": torch.tensor(3), "note": "kept", "table": torch.arange(7)}
    optimizer.state[of.weight].update(foreign)
    resumed = cls(fitted(cls, [*of.parameters()]))
    resumed.load_state_dict(optimizer.state_dict())
    for name, value in foreign.items():
        assert str(resumed.state[of.weight][name]) == str(value) or torch.equal(resumed.state[of.weight][name], value)
    train(of, resumed, 1)
