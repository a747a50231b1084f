"""Initial weights by name: the variance and shape of each distribution, fans of every layer, torch's own functions."""

import math

import pytest
import torch
from torch import nn

import thalweg
from thalweg.workloads.cnn import CNN
from thalweg.workloads.initialization import INITS, fans
from thalweg.workloads.mlp import MLP

WIDE = (300, 700)  # inputs, outputs
VARIANCE = {"he": 2 / 300, "glorot": 2 / 1000, "lecun": 1 / 300}


def weights(init: str) -> torch.Tensor:
    torch.manual_seed(0)
    layer = nn.Linear(*WIDE, dtype=torch.float64)
    assert thalweg.initialize(layer, init) is layer
    assert not layer.bias.any()
    return layer.weight.detach()


@pytest.mark.parametrize("init", [name for name in INITS if name != "torch"])
def test_variance_and_mean(init):
    weight, variance = weights(init), VARIANCE[init.partition("-")[0]]
    assert weight.var().item() == pytest.approx(variance, rel=0.02)
    assert abs(weight.mean().item()) < 4 * math.sqrt(variance / weight.numel())


@pytest.mark.parametrize("scale", VARIANCE)
def test_where_each_distribution_ends(scale):
    std = math.sqrt(VARIANCE[scale])
    cut, limit = 2 * std / 0.87962566103423978, math.sqrt(3) * std
    assert weights(f"{scale}-normal").abs().max().item() > 4 * std
    assert 0.999 * cut < weights(f"{scale}-truncated-normal").abs().max().item() <= cut
    assert 0.999 * limit < weights(f"{scale}-uniform").abs().max().item() <= limit


@pytest.mark.parametrize(
    ("init", "torchs"),
    [
        ("glorot-uniform", nn.init.xavier_uniform_),
        ("glorot-normal", nn.init.xavier_normal_),
        ("he-uniform", lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu")),
        ("he-normal", lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
        ("lecun-normal", lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear")),
    ],
)
@pytest.mark.parametrize("layer", [lambda: nn.Linear(7, 5), lambda: nn.Conv2d(6, 4, (3, 2))])
def test_the_same_numbers_as_torchs_functions(init, torchs, layer):
    ours, theirs = layer(), layer()
    torch.manual_seed(3)
    thalweg.initialize(ours, init)
    torch.manual_seed(3)
    torchs(theirs.weight)
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-6, atol=0)


def test_fans_of_convolutions():
    assert fans(nn.Conv2d(6, 4, (3, 2))) == (36, 24)
    assert fans(nn.Conv1d(6, 4, 3, groups=2)) == (9, 12)  # a unit sees 3 channels
    assert fans(nn.ConvTranspose2d(6, 4, (3, 2))) == (36, 24)
    assert fans(nn.ConvTranspose2d(6, 6, 3, groups=6)) == (9, 9)  # a unit sees one channel
    assert fans(nn.Linear(6, 4)) == (6, 4)


def test_torchs_own_are_left_alone():
    torch.manual_seed(1)
    ours = thalweg.initialize(nn.Linear(5, 3), "torch")
    torch.manual_seed(1)
    plain = nn.Linear(5, 3)
    assert torch.equal(ours.weight, plain.weight)
    assert torch.equal(ours.bias, plain.bias)


def test_spellings():
    assert torch.equal(weights("He_Normal"), weights("he-normal"))


@pytest.mark.parametrize("init", ["he", "xavier-uniform", "", None, 3])
def test_an_unknown_name_is_refused(init):
    with pytest.raises(thalweg.InputError, match="No initialization is called"):
        thalweg.initialize(nn.Linear(2, 2), init)


def test_nothing_to_initialize_is_refused():
    with pytest.raises(thalweg.InputError, match="neither linear layers nor convolutions"):
        thalweg.initialize(nn.Embedding(3, 2))


@pytest.mark.parametrize("init", INITS)
def test_models_take_every_name(init):
    torch.manual_seed(0)
    model = MLP((300, 700, 10), init)
    expected = 1 / 900 if init == "torch" else VARIANCE[init.partition("-")[0]]
    assert model.hidden[0].weight.var().item() == pytest.approx(expected, rel=0.05)
    output = 1 / 2100 if init == "torch" else 2 / 710
    assert model.output.weight.var().item() == pytest.approx(output, rel=0.1)
    assert CNN(init=init)(torch.rand(2, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
            "The weight of ParametrizedLinear is par",
        ),
        (lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))), "The weight of 0 is param"),
        (lambda: nn.LazyLinear(5), "LazyLinear is lazy and does not know its sizes yet"),
        (lambda: nn.Linear(2, 2, dtype=torch.complex64), "The weight of Linear is complex"),
        (lambda: "x", "initialize takes an nn.Module, got 'x'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(layer, said):
    with pytest.raises(thalweg.InputError, match=said):
        thalweg.initialize(layer())


def test_what_is_frozen_stays():
    frozen = nn.Linear(3, 3)
    before = frozen.weight.clone()
    frozen.requires_grad_(False)
    thalweg.initialize(nn.Sequential(frozen, nn.Linear(3, 2)))
    assert torch.equal(frozen.weight, before)
