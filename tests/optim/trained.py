"""Parameters trained by an optimizer on given gradients: what the tests of the drop-ins share."""

import inspect

import torch

from thalweg.optim.classes import drop_ins
from thalweg.testing.trajectories import problem

SHAPES = ((3, 4), (6,))
COUNT = 18  # elements of SHAPES
PAIRS = {
    name: (cls, getattr(torch.optim, name))
    for name, cls in drop_ins().items()
    if hasattr(torch.optim, name) and not cls.recipe.rule.others
}
"""Class name → (ours, torch's), for every class of elements that both have: torch's Muon computes in bfloat16."""

COMMON = (
    {},
    {"weight_decay": 0.03},
)
BETAS = {"betas": (0.7, 0.98)}
OWN = {
    "ASGD": (
        {"lambd": 0.1, "alpha": 0.6},
        {"t0": 40.0},
        {"lambd": 0.01, "alpha": 0.6, "t0": 40.0, "weight_decay": 0.03, "maximize": True},
    ),
    "Adadelta": ({"rho": 0.7, "eps": 1e-4, "weight_decay": 0.03, "maximize": True},),
    "Adagrad": (
        {"lr_decay": 0.1},
        {"initial_accumulator_value": 0.5, "eps": 1e-3},
        {"initial_accumulator_value": 0.5, "lr_decay": 0.01, "weight_decay": 0.03, "maximize": True},
    ),
    "Adam": (
        {"amsgrad": True},
        {**BETAS, "eps": 1e-4},
        {"decoupled_weight_decay": True, "weight_decay": 0.03},
        {**BETAS, "amsgrad": True, "weight_decay": 0.03, "maximize": True},
    ),
    "AdamW": (
        {"weight_decay": 0.0},
        {**BETAS, "eps": 1e-4, "amsgrad": True, "maximize": True},
    ),
    "Adamax": ({**BETAS, "eps": 1e-4}, {**BETAS, "weight_decay": 0.03, "maximize": True}),
    "NAdam": (
        {"momentum_decay": 0.1},
        {**BETAS, "eps": 1e-4, "decoupled_weight_decay": True, "weight_decay": 0.03, "maximize": True},
    ),
    "RAdam": (
        {**BETAS, "eps": 1e-4},
        {"decoupled_weight_decay": True, "weight_decay": 0.03, "maximize": True},
    ),
    "RMSprop": (
        {"momentum": 0.9},
        {"centered": True},
        {"alpha": 0.8, "eps": 1e-4, "momentum": 0.5, "centered": True},
        {"momentum": 0.5, "centered": True, "weight_decay": 0.03, "maximize": True},
    ),
    "Rprop": (
        {"etas": (0.4, 1.3)},
        {"step_sizes": (1e-3, 0.05)},
        {"etas": (0.4, 1.3), "step_sizes": (1e-3, 0.05), "maximize": True},
    ),
    "SGD": (
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.03, "maximize": True},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.03, "maximize": True},
    ),
}
"""What each class has of its own, and a setting with everything at once."""


def taken(name, setting):
    """Those hyperparameters that torch's class takes: its Rprop has no weight decay."""
    arguments = inspect.signature(PAIRS[name][1]).parameters
    return {key: value for key, value in setting.items() if key in arguments}


SETTINGS = [(name, setting) for name in PAIRS for setting in (*COMMON, *OWN[name]) if taken(name, setting) == setting]
IDS = [f"{name}({', '.join(f'{k}={v}' for k, v in setting.items())})" for name, setting in SETTINGS]


def task(optimizer, *, steps=300, seed=0):
    """Gradients from 1e-6 to 10 for COUNT elements, and rates around the default of the class."""
    return problem(optimizer([torch.zeros(1)]).defaults["lr"], steps=steps, shape=(COUNT,), seed=seed)


def split(values, dtype=torch.float64):
    """Numbers `[…, COUNT]` as tensors `[…, *shape]`, one for each of SHAPES."""
    flat = torch.as_tensor(values, dtype=dtype)
    parts = flat.split([torch.Size(shape).numel() for shape in SHAPES], dim=-1)
    return [part.reshape(*flat.shape[:-1], *shape) for part, shape in zip(parts, SHAPES, strict=True)]


def parameters(values, dtype=torch.float64):
    """COUNT numbers as parameters of SHAPES."""
    return [part.clone().requires_grad_() for part in split(values, dtype)]


def fitted(cls, parts):
    """The param groups of a class: one, or where it steps matrices, one of those and one of the others."""
    if cls.__module__.startswith("torch.") or not cls.recipe.rule.others:
        return [{"params": [*parts]}]
    groups = [{"params": [p for p in parts if p.ndim > 1]}, {"params": [p for p in parts if p.ndim < 2], "adamw": True}]
    return [group for group in groups if group["params"]]


def values_of(parts):
    return torch.cat([p.detach().reshape(-1) for p in parts])


def train(optimizer, parts, gradients, rates):
    """Steps the optimizer through gradients `[steps, COUNT]` and rates; returns the parameters `[steps, COUNT]`."""
    history = []
    for *pieces, rate in zip(*split(gradients, parts[0].dtype), rates, strict=True):
        for p, g in zip(parts, pieces, strict=True):
            p.grad = g
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
        history.append(values_of(parts).clone())
    return torch.stack(history)


def assert_same_path(actual, expected, start):
    """Within 1e-12 of the largest value of each element: 300 steps of ten roundings of 1.1e-16 make 3.3e-13."""
    scale = torch.maximum(expected.abs().amax(0), torch.as_tensor(start).abs())
    error = ((actual - expected).abs() / scale).max().item()
    assert error <= 1e-12, f"off by {error:.3g} of the element's size"


MODIFIED = (
    {},
    {"weight_decay": 0.1, "maximize": True},
    {"clip_global_norm": 0.5, "cautious": True},
    {"clip_adaptive": 0.01, "centralize": True, "clip_tensor_norm": 1.0},
    {"lookahead_steps": 2, "ema_decay": 0.9, "clip_value": 0.3},
    {"max_norm": 0.9, "ema_decay": 0.8},
)
"""Arguments of any class: every modifier, some together."""
