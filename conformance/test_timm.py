"""timm's LARS and LAMB take our steps, its own ones where it is asked to: no clipping, and the ratio at every decay."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from paths import ROUNDING, distance, ours, task


def _of_timm(name):
    """A class by its file, in a package that only lists files: the whole of timm needs torchvision."""
    (folder,) = importlib.util.find_spec("timm").submodule_search_locations
    package = types.ModuleType("optimizers_of_timm")
    package.__path__ = [str(Path(folder) / "optim")]
    sys.modules[package.__name__] = package
    return getattr(importlib.import_module(f"{package.__name__}.{name}"), name.title())


OURS = {
    "lars": (
        {"momentum": 0.9},
        {"momentum": 0.7, "weight_decay": 0.1, "nesterov": True, "trust_coefficient": 0.01},
        {"momentum": 0.0, "eps": 1e-3},
    ),
    "lamb": ({}, {"beta1": 0.7, "beta2": 0.98, "eps": 1e-3, "weight_decay": 0.1}),
}


def theirs(name, setting):
    given = {"trust_coeff" if key == "trust_coefficient" else key: value for key, value in setting.items()}
    if name == "lamb":
        given |= {
            "betas": (given.pop("beta1", 0.9), given.pop("beta2", 0.999)),
            "max_grad_norm": None,
            "weight_decay": given.get("weight_decay", 0.0),
        }
    return {**given, "always_adapt": True}


@pytest.mark.parametrize(("name", "setting"), [(n, s) for n, of in OURS.items() for s in of], ids=str)
def test_steps(name, setting):
    on = task(1e-2)
    p, history = torch.nn.Parameter(torch.tensor(on.start)), []
    optimizer = _of_timm(name)([p], lr=1.0, **theirs(name, setting))
    for gradient, rate in zip(torch.tensor(on.gradients), on.rates, strict=True):
        optimizer.param_groups[0]["lr"], p.grad = float(rate), gradient
        optimizer.step()
        history.append(p.detach().numpy().copy())
    assert distance(ours(name, "torch", setting, on), np.array(history), on) <= ROUNDING
