"""What a drop-in refuses, it refuses in a sentence with name, range and value."""

import re

import pytest
import torch
from torch import nn

import thalweg.optim
from thalweg.errors import InputError


def test_the_base_of_all_classes():
    with pytest.raises(InputError, match="make one of them, such as Adam"):
        thalweg.optim.Optimizer([torch.zeros(1)], lr=0.1)


def test_a_misspelt_name():
    p = torch.zeros(1)
    with pytest.raises(InputError, match=re.escape("Adam has no hyperparameter 'epsilon'; did you mean 'eps'?")):
        thalweg.optim.Adam([p], epsilon=1e-8)
    with pytest.raises(InputError, match=re.escape("SGD has no hyperparameter 'momentun'; did you mean 'momentum'?")):
        thalweg.optim.SGD([p], momentun=0.1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"lr": -0.1}, r"The 'lr' of Adam must be a number in \[0, inf\), got -0.1"),
        ({"lr": float("nan")}, r"The 'lr' of Adam must be a number in \[0, inf\), got nan"),
        ({"lr": "0.1"}, r"The 'lr' of Adam must be a number in \[0, inf\), got '0.1'"),
        ({"lr": torch.tensor([0.1, 0.2])}, r"The 'lr' of Adam must be a number in \[0, inf\), got tensor"),
        ({"betas": (0.9, 1.0)}, r"The 'beta2' of Adam must be a number in \[0, 1\), got 1.0"),
        ({"betas": (0.9,)}, r"betas must be 2 numbers, got \(0.9,\)"),
        ({"betas": 0.9}, "betas must be a tuple of numbers"),
        ({"eps": None}, r"The 'eps' of Adam must be a number in \[0, inf\), got None"),
        ({"weight_decay": True}, r"The 'weight_decay' of Adam must be a number in \[0, inf\), got True"),
        ({"amsgrad": 1}, "The 'amsgrad' of Adam must be True or False, got 1"),
    ],
    ids=str,
)
def test_values_that_are_refused(given, sentence):
    p = torch.zeros(1)
    with pytest.raises(InputError, match=sentence):
        thalweg.optim.Adam([p], **given)
    with pytest.raises(InputError, match=sentence):
        thalweg.optim.Adam([{"params": [p], **given}])
    optimizer = thalweg.optim.Adam([p])
    with pytest.raises(InputError, match=sentence):
        optimizer.add_param_group({"params": [torch.zeros(1)], **given})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("given", [{}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_without_what_it_needs(given):
    """As in torch."""
    p = torch.zeros(1)
    with pytest.raises(InputError, match=r"SGD: nesterov=True needs a momentum above 0 and a dampening of 0\."):
        thalweg.optim.SGD([p], nesterov=True, **given)


def test_a_first_rate_of_zero_where_the_rule_divides_by_it():
    with pytest.raises(InputError, match=r"The 'lr' of AdaBound must begin in \(0, inf\), got 0.0\."):
        thalweg.optim.AdaBound([torch.zeros(1)], lr=0.0)


def test_nothing_to_train():
    with pytest.raises(ValueError, match=re.escape("empty parameter list")):
        thalweg.optim.Adam([])


def test_a_later_group_in_8_bits_is_refused_before_any_step_where_autograd_follows():
    p, q = torch.ones(4, requires_grad=True).clone(), torch.ones(64, 64, requires_grad=True).clone()
    groups = [{"params": [p]}, {"params": [q], "state_dtype": "8bit", "differentiable": False}]
    optimizer = thalweg.optim.Adam(groups, differentiable=True)
    p.grad, q.grad = torch.ones(4), torch.ones(64, 64)
    with pytest.raises(InputError, match="holds no states in 8 bits"):
        optimizer.step()
    assert p.tolist() == [1.0] * 4


def test_a_refusal_in_a_later_group_comes_before_any_step():
    p, q = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(3, 2))
    optimizer = thalweg.optim.ASGD([{"params": [p]}, {"params": [q]}])
    p.grad, q.grad = torch.ones(4), torch.ones(3, 2).to_sparse()
    with pytest.raises(InputError, match="takes dense gradients only"):
        optimizer.step()
    assert p.tolist() == [1.0] * 4
