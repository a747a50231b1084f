"""The convolutional network: layer by layer what Keras builds, and where its weights start."""

import math

import pytest
import torch
from torch import nn

from thalweg.workloads.cnn import CNN

KERAS = [  # (layer, parameters as `model.summary()` counts them, shape of the output), by hand
    (nn.Conv2d, 3 * 3 * 1 * 32 + 32, (32, 26, 26)),
    (nn.BatchNorm2d, 4 * 32, (32, 26, 26)),
    (nn.MaxPool2d, 0, (32, 13, 13)),
    (nn.BatchNorm2d, 4 * 32, (32, 13, 13)),
    (nn.Conv2d, 3 * 3 * 32 * 64 + 64, (64, 11, 11)),
    (nn.BatchNorm2d, 4 * 64, (64, 11, 11)),
    (nn.MaxPool2d, 0, (64, 5, 5)),
    (nn.BatchNorm2d, 4 * 64, (64, 5, 5)),
    (nn.Linear, 1600 * 256 + 256, (256,)),
    (nn.BatchNorm1d, 4 * 256, (256,)),
    (nn.Linear, 256 * 10 + 10, (10,)),
]


def count(layer: nn.Module) -> int:
    """Parameters as Keras counts them: batch norm's running mean and variance among them, a counter not."""
    tensors = [*layer.parameters(), *(b for b in layer.buffers() if b.is_floating_point())]
    return sum(tensor.numel() for tensor in tensors)


def test_layers_have_the_parameters_and_shapes_of_keras():
    model, seen = CNN(), []

    def see(layer, _, output):
        seen.append((type(layer), count(layer), tuple(output.shape[1:])))

    for layer in model.modules():
        if isinstance(layer, tuple(kind for kind, _, _ in KERAS)):
            layer.register_forward_hook(see)
    model(torch.rand(3, 28, 28))
    assert seen == KERAS


def test_parameters_in_all():
    model = CNN()
    assert count(model) == 433_034
    assert sum(p.numel() for p in model.parameters()) == 433_034 - 2 * (32 + 32 + 64 + 64 + 256)


def test_kernels_are_glorot_uniform_and_biases_zero():
    torch.manual_seed(0)
    layers = [layer for layer in CNN().modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    fans = [(9, 9 * 32), (9 * 32, 9 * 64), (1600, 256), (256, 10)]
    for layer, (fan_in, fan_out) in zip(layers, fans, strict=True):
        limit = math.sqrt(6 / (fan_in + fan_out))
        assert 0.95 * limit < layer.weight.abs().max().item() <= limit * (1 + 1e-6)
        assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.1)
        assert not layer.bias.any()


def test_batch_norm_keeps_99_hundredths_of_its_mean():
    norm = CNN().features[2]
    x = torch.randn(50, 32, 26, 26)
    norm(x)
    torch.testing.assert_close(norm.running_mean, 0.01 * x.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    assert norm.eps == 1e-3


def test_activation_precedes_batch_norm():
    """What a convolution's batch norm sees is never negative."""
    model, seen = CNN(), []
    model.features[2].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].min().item()))
    model.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].min().item()))
    model(torch.randn(20, 28, 28))
    assert seen == [0, 0]
