"""The networks: their shape, where their weights start, and that a population can be traced through them."""

import math

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from thalweg.workloads.mlp import MLP

WIDTHS = (784, 100, 100, 100, 10)


@pytest.fixture(params=["he-normal", "he-truncated-normal"])
def hidden_init(request):
    return request.param


def test_layers(hidden_init):
    model = MLP(WIDTHS, hidden_init)
    shapes = [tuple(layer.weight.shape) for layer in (*model.hidden, model.output)]
    assert shapes == [(100, 784), (100, 100), (100, 100), (10, 100)]
    assert model(torch.rand(5, 28, 28)).shape == (5, 10)


def test_every_hidden_layer_of_a_model_is_initialised(hidden_init):
    torch.manual_seed(0)
    for layer in MLP(WIDTHS, hidden_init).hidden:
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / layer.in_features), rel=0.05)


def test_the_output_layer_is_glorot_uniform(hidden_init):
    torch.manual_seed(0)
    weight = MLP((2, 1000, 500), hidden_init).output.weight
    limit = math.sqrt(6 / 1500)
    assert 0.999 * limit < weight.abs().max().item() <= limit * (1 + 1e-6)
    assert weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.01)


def test_biases_start_at_zero(hidden_init):
    model = MLP(WIDTHS, hidden_init)
    assert all(not layer.bias.any() for layer in (*model.hidden, model.output))


def test_forward_is_the_formula():
    torch.manual_seed(0)
    model = MLP((6, 5, 4, 3), "he-normal").double()
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    for layer in (*model.hidden, model.output):
        torch.nn.init.normal_(layer.bias)
    h = x.reshape(7, 6)
    for layer in model.hidden:
        h = (h @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(model(x), h @ model.output.weight.T + model.output.bias)


def test_one_seed_gives_one_start(hidden_init):
    def start(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in MLP(WIDTHS, hidden_init).parameters()])

    assert torch.equal(start(3), start(3))
    assert not torch.equal(start(3), start(4))


def test_members_run_under_vmap():
    models = [MLP((12, 5, 3), "he-normal") for _ in range(4)]
    parameters, buffers = stack_module_state(models)
    x = torch.rand(4, 7, 3, 4)  # [members, samples, …]
    together = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)))(parameters, buffers, x)
    apart = torch.stack([model(inputs) for model, inputs in zip(models, x, strict=True)])
    torch.testing.assert_close(together, apart)
