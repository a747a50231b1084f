"""The drop-ins under other libraries' conventions: formula, defaults, checkpoints and refusals."""

import copy
import pickle

import numpy as np
import pytest
import torch

import thalweg.optim
from optim.trained import parameters, train
from oracles.rmsprop import trajectory
from thalweg import InputError
from thalweg.optim.classes import drop_ins
from thalweg.testing.trajectories import problem

BY = [(name, by) for name, cls in drop_ins().items() for by in cls.recipe.conventions]


@pytest.mark.parametrize(("name", "convention"), BY)
def test_defaults_and_a_step(name, convention):
    cls = drop_ins()[name]
    p = torch.nn.Parameter(torch.ones(2, 3))
    p.grad = torch.tensor([[0.5, -0.25, 2.0], [-1.0, 0.25, 0.5]])
    optimizer = cls([p], convention=convention)
    for key, value in cls.recipe.under(convention).preset.conventions.get(convention, {}).items():
        group = optimizer.param_groups[0]
        assert group[key] == value if key in group else value in group["betas"]
    for _ in range(2):  # some only look at the first gradient
        optimizer.step()
    assert torch.isfinite(p).all()
    assert not torch.equal(p, torch.ones(2, 3))


def test_keras_rmsprop_against_the_oracle():
    task = problem(1e-3, steps=100, shape=(18,))
    parts = parameters(task.start)
    optimizer = thalweg.optim.RMSprop(parts, momentum=0.9, centered=True, convention="keras")
    path = train(optimizer, parts, task.gradients, task.rates)
    expected = trajectory(
        task.start, task.gradients, task.rates, alpha=0.9, eps=1e-7, momentum=0.9, centered=True, convention="keras"
    )
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_keras_decays_beside_the_rule():
    assert thalweg.optim.Adam([torch.ones(1)], convention="keras").param_groups[0]["decoupled_weight_decay"]
    assert thalweg.optim.AdamW([torch.ones(1)], convention="keras").param_groups[0]["weight_decay"] == 4e-3


def keras_adam():
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    p.grad = torch.full((3,), 1e-6, dtype=torch.float64)  # where ε matters
    return p, thalweg.optim.Adam([p], convention="keras")


@pytest.mark.parametrize("again", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_follow_the_same_convention(again):
    p, optimizer = keras_adam()
    optimizer.step()
    other = again(optimizer)
    (q,) = other.param_groups[0]["params"]
    for parameter, of in ((p, optimizer), (q, other)):
        parameter.grad = torch.full((3,), 1e-6, dtype=torch.float64)
        of.step()
    assert torch.equal(p, q)


def test_a_checkpoint_of_another_convention_is_refused():
    _, keras = keras_adam()
    torchs = thalweg.optim.Adam([torch.ones(3)])
    with pytest.raises(InputError, match=r"follows the convention 'torch' and cannot take over .* follows 'keras'"):
        torchs.load_state_dict(keras.state_dict())
    with pytest.raises(InputError, match=r"follows the convention 'keras' .* follows 'torch'; make an optimizer with"):
        keras.load_state_dict(torch.optim.Adam([torch.ones(3)]).state_dict())
    keras.load_state_dict(keras_adam()[1].state_dict())


def test_one_convention_an_optimizer():
    groups = [{"params": [torch.ones(1)]}, {"params": [torch.ones(1)], "convention": "optax"}]
    with pytest.raises(InputError, match=r"follows the convention 'torch'"):
        thalweg.optim.Adam(groups)


@pytest.mark.parametrize(
    ("convention", "message"),
    [
        ("kears", r"A convention is one of torch, keras, optax, paper, got 'kears'\."),
        (None, r"A convention is one of torch, keras, optax, paper, got None\."),
        ("keras", r"radam has no convention 'keras', only torch and optax and paper: leave it out there\."),
    ],
)
def test_what_does_not_exist_is_refused(convention, message):
    with pytest.raises(InputError, match=message):
        thalweg.optim.RAdam([torch.ones(1)], convention=convention)
