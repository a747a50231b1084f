"""A small problem for other frameworks' trainers: 64 samples of two classes, and a network."""

import torch
from torch import nn


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 6, generator=generator)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])
