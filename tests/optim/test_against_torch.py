"""Every class that `torch.optim` also has takes torch's path, in every setting; AdaBound takes its package's."""

import inspect

import pytest
import torch

import thalweg.optim
from optim.trained import IDS, OWN, PAIRS, SETTINGS, assert_same_path, parameters, taken, task, train
from oracles.adabound import trajectory as adabound
from thalweg.optim.interop.signature import HINTS


@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=IDS)
def test_path(name, setting):
    ours, theirs = PAIRS[name]
    given = task(theirs)
    paths = []
    for cls in (ours, theirs):
        parts = parameters(given.start)
        paths.append(train(cls(parts, lr=given.rates[0], **setting), parts, given.gradients, given.rates))
    assert_same_path(*paths, given.start)


@pytest.mark.parametrize("name", PAIRS)
def test_every_argument_of_torch_is_tried(name):
    arguments = set(inspect.signature(PAIRS[name][1]).parameters) - {"params", "lr", "maximize", "weight_decay"}
    assert arguments - set(HINTS) <= {argument for setting in OWN[name] for argument in setting}


def test_nothing_of_torch_is_forgotten():
    of_torch = {name for name, cls in vars(torch.optim).items() if inspect.isclass(cls)}
    needing_more = {"Optimizer", "LBFGS", "SparseAdam", "Adafactor", "Muon"}  # than an element's own gradient and state
    assert of_torch - needing_more <= set(PAIRS)


@pytest.mark.parametrize("name", PAIRS)
def test_groups_of_their_own(name):
    ours, theirs = PAIRS[name]
    given = task(theirs, steps=50)
    paths = []
    for cls in (ours, theirs):
        parts = parameters(given.start)
        groups = [{"params": parts[:1], **taken(name, {"weight_decay": 0.1})}, {"params": parts[1:], "maximize": True}]
        paths.append(train(cls(groups), parts, given.gradients, given.rates))
    assert_same_path(*paths, given.start)


@pytest.mark.parametrize("name", PAIRS)
def test_complex_parameters(name):
    ours, theirs = PAIRS[name]
    real, imaginary = (task(theirs, steps=50, seed=seed) for seed in (0, 1))
    start, gradients = (torch.complex(*map(torch.tensor, pair)) for pair in (
        (real.start, imaginary.start), (real.gradients, imaginary.gradients)
    ))  # fmt: skip
    paths = []
    for cls in (ours, theirs):
        parts = parameters(start, torch.complex128)
        optimizer = cls(parts, **OWN[name][-1])
        paths.append(train(optimizer, parts, gradients, real.rates))
    assert_same_path(*paths, start)


@pytest.mark.parametrize("name", PAIRS)
def test_low_precision_steps_as_torch_does(name):
    """One step of bfloat16 storage: torch rounds after every operation, so a few units in the last place apart."""
    ours, theirs = PAIRS[name]
    given = task(theirs, steps=1)
    ends = []
    for cls in (ours, theirs):
        parts = parameters(0 * given.start, torch.bfloat16)
        ends.append(train(cls(parts), parts, given.gradients, given.rates)[-1])
    torch.testing.assert_close(*ends, rtol=8 * torch.finfo(torch.bfloat16).eps, atol=0)


@pytest.mark.parametrize("amsbound", [False, True])
@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"weight_decay": 0.03},
        {"maximize": True},
        {"final_lr": 0.01, "gamma": 0.05, "eps": 1e-4},
        {"weight_decay": 0.03, "decoupled_weight_decay": True},
    ],
    ids=str,
)
def test_adabound_against_its_oracle(setting, amsbound):
    given = task(thalweg.optim.AdaBound)
    parts = parameters(given.start)
    optimizer = thalweg.optim.AdaBound(parts, lr=given.rates[0], betas=(0.8, 0.99), amsbound=amsbound, **setting)
    path = train(optimizer, parts, given.gradients, given.rates)
    expected = adabound(given.start, given.gradients, given.rates, beta1=0.8, beta2=0.99, amsbound=amsbound, **setting)
    assert_same_path(path, torch.tensor(expected), given.start)


def test_nadam_keeps_its_product_in_the_default_dtype():
    """torch rounds it to float32 by default, and not at all where the default is float64."""
    given, paths = task(torch.optim.NAdam), []
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for cls in PAIRS["NAdam"]:
            parts = parameters(given.start)
            paths.append(train(cls(parts), parts, given.gradients, given.rates))
    finally:
        torch.set_default_dtype(before)
    assert_same_path(*paths, given.start)
