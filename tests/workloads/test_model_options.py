"""Options of built-in models: activations, dropout and batch norm, in their place and with torch's formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from thalweg.workloads.activations import ACTIVATIONS
from thalweg.workloads.cnn import CNN
from thalweg.workloads.mlp import MLP

FORMULAS = {
    "relu": F.relu, "leaky-relu": F.leaky_relu, "elu": F.elu, "selu": F.selu, "gelu": F.gelu, "silu": F.silu,
    "mish": F.mish, "softplus": F.softplus, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
}  # fmt: skip
X = torch.randn(6, 4)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_that_of_torch(name):
    model = MLP((4, 5, 3), activation=name)
    expected = model.output(FORMULAS[name](model.hidden[0](X)))
    torch.testing.assert_close(model(X), expected)
    assert CNN(activation=name)(torch.rand(2, 28, 28)).shape == (2, 10)


def test_dropout_sets_a_share_to_zero_and_scales_the_rest():
    model = MLP((4, 2000, 3), dropout=0.25)
    seen = []
    model.output.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(X)
    plain = F.relu(model.hidden[0](X))
    kept = seen[0] != 0
    torch.testing.assert_close(seen[0][kept], plain[kept] / 0.75)
    share = (kept & (plain > 0)).sum() / (plain > 0).sum()
    assert abs(share.item() - 0.75) < 0.02
    model.eval()(X)
    torch.testing.assert_close(seen[1], plain)


def test_batch_norm_precedes_the_activation():
    model = MLP((4, 5, 3), batch_norm=True)
    assert model.hidden[0].bias is None
    h = model.hidden[0](X)
    h = (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(model(X), model.output(F.relu(h)))
    assert len(model.norms) == 1


def test_a_convolutional_network_without_batch_norm_and_with_dropout():
    model = CNN(batch_norm=False, dropout=0.5)
    kinds = [type(m) for m in model.modules()]
    assert not any(kind in (nn.BatchNorm1d, nn.BatchNorm2d) for kind in kinds)
    seen = []
    for layer in (model.hidden, model.output):
        layer.register_forward_pre_hook(lambda _, inputs: seen.append((inputs[0] == 0).float().mean().item()))
    model(torch.rand(4, 28, 28))
    assert all(share > 0.4 for share in seen)


@pytest.mark.parametrize("model", [lambda **given: MLP((4, 5, 3), **given), CNN])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"activation": "rleu"}, "No activation is called 'rleu'.*relu"),
        ({"activation": None}, "No activation is called None"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"dropout": "0.1"}, "dropout must be"),
        ({"dropout": True}, "dropout must be"),
        ({"dropout": float("nan")}, "dropout must be"),
        ({"batch_norm": 1}, "batch_norm must be True or False, got 1"),
        ({"init": "zeros"}, "No initialization is called 'zeros'"),
    ],
)
def test_bad_options_are_refused(model, given, said):
    with pytest.raises(thalweg.InputError, match=said):
        model(**given)
