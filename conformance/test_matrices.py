"""Rules of whole matrices: pytorch_optimizer takes our steps, its iteration in float64 where it has bfloat16."""

import functools
import sys

import pytest
import torch
from paths import ROUNDING, distance, of_torch, ours
from pytorch_optimizer import Muon, NorMuon

from thalweg.recipes.catalogue import recipe
from thalweg.testing.trajectories import problem

ITERATION = "zero_power_via_newton_schulz_5"
PEERS = {"muon": Muon, "moonlight": Muon, "normuon": NorMuon}
SETTINGS = (
    {},
    {"momentum": 0.7, "nesterov": False, "weight_decay": 0.0},
    {"match_rms_adamw": True, "decoupled_weight_decay": False},
    {"match_rms_adamw": False, "maximize": True},
)
WITHIN = {"normuon": 1e-8}
"""It adds its ε of 1e-8 to the norm by which it divides, where ours is at least that."""


@pytest.fixture(autouse=True)
def in_float64(monkeypatch):
    for name, module in [*sys.modules.items()]:
        if name.startswith("pytorch_optimizer.optimizer.muon") and hasattr(module, ITERATION):
            found = functools.partial(getattr(module, ITERATION), dtype=torch.float64)
            monkeypatch.setattr(module, ITERATION, found)


def peer(name, values):
    """A function of parameters and rate: the peer's optimizer with all of our values."""
    group = {key: values[key] for key in ("momentum", "nesterov", "weight_decay")}
    group |= {"use_adjusted_lr": values["match_rms_adamw"], "weight_decouple": values["decoupled_weight_decay"]}
    group |= {"beta2": values["row_beta"], "eps": 1e-8} if name == "normuon" else {}

    def make(params, lr):
        given = {"params": params, "lr": lr, "use_muon": True, **group}
        return PEERS[name]([given], foreach=False, maximize=values["maximize"])

    return make


@pytest.mark.parametrize("shape", [(6, 8), (8, 6), (7, 7), (4, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("name", PEERS)
def test_steps(name, setting, shape):
    values = recipe(name).resolve(setting)
    on = problem(values["lr"], shape=shape)
    found = distance(ours(name, "torch", setting, on), of_torch(peer(name, values), {}, on), on)
    assert found <= WITHIN.get(name, ROUNDING)


def test_a_faster_memory_of_rows():
    values = recipe("normuon").resolve({"row_beta": 0.5})
    on = problem(values["lr"], shape=(6, 8))
    found = distance(ours("normuon", "torch", {"row_beta": 0.5}, on), of_torch(peer("normuon", values), {}, on), on)
    assert found <= WITHIN["normuon"]
