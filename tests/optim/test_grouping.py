"""Param groups people write by hand everywhere."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

import thalweg.optim
from thalweg.errors import InputError
from thalweg.optim import grouped, layerwise, undecayed


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(3))
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 2)
        self.again = self.embed
        self.frozen = nn.Parameter(torch.ones(3, 3), requires_grad=False)


def members(groups):
    return [{name for name, _ in group["params"]} for group in groups]


def test_no_decay_for_norms_and_biases():
    model = Model()
    decayed, others = grouped(model, undecayed(model))
    assert members([decayed]) == [{"embed.weight", "head.weight", *(f"blocks.{i}.0.weight" for i in range(3))}]
    assert "weight_decay" not in decayed
    assert others["weight_decay"] == 0.0
    assert {"norm.weight", "norm.bias", "head.bias", "blocks.0.1.weight"} <= members([others])[0]
    assert "embed.weight" in undecayed(model, embeddings=True)


def test_a_norm_of_two_dimensions():
    assert set(undecayed(nn.LayerNorm((3, 4)))) == {"weight", "bias"}


def test_rates_that_fall_towards_the_input():
    rates = {name: rule["lr"] for name, rule in layerwise(Model(), 1.0, decay=0.5).items()}
    assert rates["embed.weight"] == 0.0625
    assert [rates[f"blocks.{i}.0.weight"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert rates["norm.weight"] == rates["head.bias"] == 1.0


def test_layers_by_name():
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
    rates = {name: rule["lr"] for name, rule in layerwise(model, 1.0, decay=0.1, layers="1").items()}
    assert rates["0.weight"] == pytest.approx(0.001)
    assert rates["1.1.bias"] == pytest.approx(0.1)
    assert layerwise(model, 1.0, decay=0.1)["1.0.weight"]["lr"] == pytest.approx(0.1)  # the model is the first longest


def test_rules_add_up_and_the_last_wins():
    model = Model()
    rules = (
        undecayed(model),
        layerwise(model, 1.0, decay=0.5),
        {"head.*": {"lr": 7.0}, "head.bias": {"betas": (0, 0.9)}},
    )
    groups = grouped(model, *rules)
    found = {name: {k: v for k, v in g.items() if k != "params"} for g in groups for name, _ in g["params"]}
    assert found["head.weight"] == {"lr": 7.0}
    assert found["head.bias"] == {"lr": 7.0, "weight_decay": 0.0, "betas": (0, 0.9)}
    assert found["blocks.1.1.bias"] == {"lr": 0.25, "weight_decay": 0.0}
    assert sorted(found) == sorted(name for name, p in model.named_parameters() if p.requires_grad)
    optimizer = thalweg.optim.AdamW(groups, weight_decay=0.3)
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0.0, 0.3}
    assert all(g["param_names"] for g in optimizer.param_groups)
    torch.optim.AdamW(groups)


def test_refusals():
    model = Model()
    with pytest.raises(
        InputError, match=r"No parameter of the model is called 'haed.weight'\. Some that are: head\.weight"
    ):
        grouped(model, {"haed.weight": {"lr": 1.0}})
    with pytest.raises(InputError, match=r"no ModuleList or Sequential 'block'\. Did you mean blocks"):
        layerwise(model, 1.0, decay=0.5, layers="block")
    with pytest.raises(InputError, match="no ModuleList or Sequential in the model"):
        layerwise(nn.Linear(1, 1), 1.0, decay=0.5)
    with pytest.raises(InputError, match=r"'decay' of layerwise must be a number in \(0, 1\], got 1.5"):
        layerwise(model, 1.0, decay=1.5)
    assert members(grouped(model, {"frozen": {"lr": 1.0}}))[0].isdisjoint({"frozen"})


def test_layers_that_are_not_trained_do_not_count():
    """The last layers of a frozen model: the deepest of those has the smallest rate, one step above the rest."""
    model = Model()
    for p in (*model.embed.parameters(), *model.blocks[0].parameters()):
        p.requires_grad_(False)
    rates = {name: rule["lr"] for name, rule in layerwise(model, 1.0, decay=0.5).items()}
    assert set(rates) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert [rates[f"blocks.{i}.0.weight"] for i in (1, 2)] == [0.25, 0.5]
    assert len(grouped(model, layerwise(model, 1.0, decay=0.5))) == 3


def test_the_longest_stack_is_that_of_trained_layers():
    """A frozen backbone of many layers before a trained head of two."""
    model = nn.Module()
    model.backbone = nn.Sequential(*(nn.Linear(2, 2) for _ in range(6))).requires_grad_(False)
    model.head = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    rates = {name: rule["lr"] for name, rule in layerwise(model, 1.0, decay=0.1).items()}
    assert rates == {
        f"head.{i}.{of}": pytest.approx(lr) for i, lr in ((0, 0.01), (1, 0.1)) for of in ("weight", "bias")
    }


def test_a_layer_with_a_frozen_part_counts():
    model = Model()
    model.blocks[1][0].requires_grad_(False)
    rates = layerwise(model, 1.0, decay=0.5)
    assert [rates[f"blocks.{i}.1.weight"]["lr"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert "blocks.1.0.weight" not in rates


def test_layers_by_whatever_name():
    named = nn.Sequential(OrderedDict(fc1=nn.Linear(2, 2), act=nn.ReLU(), fc2=nn.Linear(2, 2), head=nn.Linear(2, 2)))
    rates = {name: rule["lr"] for name, rule in layerwise(named, 1.0, decay=0.5).items()}
    assert [rates[f"{name}.weight"] for name in ("fc1", "fc2", "head")] == [0.125, 0.25, 0.5]

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(3, 4)
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
            self.head = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Dropout(), nn.Linear(4, 2))

    rates = {name: rule["lr"] for name, rule in layerwise(Model(), 1.0, decay=0.5).items()}
    assert [rates[f"layers.{i}.weight"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert (rates["embed.weight"], rates["head.0.weight"], rates["head.3.weight"]) == (0.0625, 1.0, 1.0)
