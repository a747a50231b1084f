"""NaN, infinities, and gradients near the ends of the number range: every class takes the steps that torch's takes."""

import itertools
import math

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import PAIRS
from thalweg.execution import dispatch

NAN, INF = math.nan, math.inf
RATE = {"lr": 0.1}  # a step is told from one a thousandth longer, which float32 does not do at a rate of 0.001
SETTINGS = {
    "Adadelta": ({}, {"weight_decay": 0.1}),
    "Adagrad": ({}, {"lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    "Adam": (RATE, RATE | {"amsgrad": True}, RATE | {"betas": (0.3, 0.9)}, {"weight_decay": 0.1, "maximize": True}),
    "AdamW": (RATE, RATE | {"amsgrad": True}),
    "Adamax": (RATE, RATE | {"weight_decay": 0.1}),
    "ASGD": ({}, {"t0": 2, "weight_decay": 0.1}),
    "NAdam": (RATE, RATE | {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    "RAdam": (RATE, RATE | {"betas": (0.3, 0.5)}),
    "RMSprop": ({}, {"centered": True}, {"momentum": 0.9}),
    "Rprop": ({}, {"maximize": True}),
    "SGD": ({}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
}
every_setting = pytest.mark.parametrize(
    ("name", "setting"), [(name, s) for name, of in SETTINGS.items() for s in of], ids=str
)
every_path = pytest.mark.parametrize("path", ["pass", "reference", "tensors"])
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
STEPS = 7


def test_every_class_that_torch_has_is_here():
    """But Muon, which torch's computes in bfloat16: `test_muon.py` has its gradients that are not finite."""
    assert set(SETTINGS) == set(PAIRS)


def special(dtype):
    """Sequences with one or two gradients that are not finite, `[steps, sequences]`."""
    plain, found = [1.0, 1.0, -1.0, 0.0, 1.0, -0.5, 1.0], []
    for value, at in itertools.product((NAN, INF, -INF), range(4)):
        found += [[*plain[:at], value, *plain[at + 1 :]], [value if i == at else 0.0 for i in range(STEPS)]]
    for first, second in itertools.product((NAN, INF, -INF), repeat=2):
        found += [[1.0, first, second, *plain[3:]], [1.0, first, 1.0, second, *plain[4:]]]
    found += [[value] * STEPS for value in (NAN, INF, 0.0)]
    return torch.tensor(found, dtype=dtype).T


def of_every_size(dtype):
    """Gradients over all normal numbers of a dtype, sizes times signs that change, `[steps, sizes]`."""
    ends = torch.finfo(dtype)
    sizes = torch.logspace(math.log10(ends.tiny) + 0.1, math.log10(ends.max) - 0.01, 300, dtype=torch.float64)
    signs = torch.tensor([1.0, 0.7, 0.9, -0.6, 1.0, 0.8, -1.0], dtype=torch.float64)
    return (signs[:, None] * sizes).to(dtype)


def trained(cls, gradients, monkeypatch, path="pass", **setting):
    """The parameter after each step."""
    if path == "reference":
        monkeypatch.setattr(dispatch, "accepts", lambda *_: False)
    p = nn.Parameter(torch.ones_like(gradients[0]))
    optimizer = cls([p], **setting, **({"capturable": True} if path == "tensors" else {}))
    after = []
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
        after.append(p.detach().clone())
    return torch.stack(after), optimizer.state[p]


def require_torchs(name, gradients, monkeypatch, path, **setting):
    theirs, their_state = trained(getattr(torch.optim, name), gradients, monkeypatch, foreach=False, **setting)
    ours, own_state = trained(getattr(thalweg.optim, name), gradients, monkeypatch, path, **setting)
    off = 1e-5 if gradients.dtype == torch.float32 else 1e-12
    largest = theirs.abs().nan_to_num(0, 0, 0).cummax(0).values  # what steps that cancel are to be measured by
    close = (ours - theirs).abs() <= off * largest
    same = close | (ours == theirs) | (ours.isnan() & theirs.isnan())
    assert same.all(), gradients[:, ~same.all(0)][:, 0]
    for key, value in their_state.items():
        if value.numel() > 1:
            assert value.isnan().equal(own_state[key].isnan()), key
            assert value.isinf().equal(own_state[key].isinf()), key


@every_path
@every_dtype
@every_setting
def test_gradients_that_are_not_finite(name, setting, dtype, path, monkeypatch):
    require_torchs(name, special(dtype), monkeypatch, path, **setting)


@every_path
@every_dtype
@every_setting
def test_gradients_of_every_size(name, setting, dtype, path, monkeypatch):
    """Adam moves up to |g| = 5e20 in float32, where v/(1 - β2ᵗ) would exceed all numbers from 1.8e19 on."""
    if setting.get("centered"):
        pytest.skip("torch's takes the root of what rounding makes negative: NaN; Thalweg's stops at 0")
    require_torchs(name, of_every_size(dtype), monkeypatch, path, **setting)


@pytest.mark.parametrize(
    "cls", [thalweg.optim.Adam, thalweg.optim.AdamW, thalweg.optim.NAdam], ids=lambda c: c.__name__
)
def test_an_average_that_forgets_everything_is_the_gradient(cls):
    """β1 = 0, after a far larger gradient."""
    p = nn.Parameter(torch.zeros(1))
    optimizer = cls([p], betas=(0.0, 0.9))
    for g in (1e8, 1.0):
        p.grad = torch.tensor([g])
        optimizer.step()
    assert optimizer.state[p]["exp_avg"].item() == 1.0


OF_ADAMS_KIND = ("AdaBelief", "AdaMod", "Adan", "AdEMAMix", "DiffGrad", "Grams", "AdamUncorrected", "AdamWScheduleFree")


@pytest.mark.parametrize("name", OF_ADAMS_KIND)
def test_classes_that_torch_does_not_have_move_as_far(name):
    """In float32 as in float64, where no square comes near the end of the range."""
    sizes = torch.logspace(15, math.log10(5e19), 20, dtype=torch.float64)
    gradients = torch.tensor([1.0, 0.7, 0.9, -0.6, 1.0], dtype=torch.float64)[:, None] * sizes
    ends = []
    for dtype in (torch.float32, torch.float64):
        p = nn.Parameter(torch.ones(20, dtype=dtype))
        optimizer = getattr(thalweg.optim, name)([p])
        for g in gradients:
            p.grad = g.to(dtype)
            optimizer.step()
        ends.append(p.detach().double())
    assert (ends[1] != 1).all()
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)
