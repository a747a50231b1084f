"""Modifiers around two rules against a float64 transcription of their papers, one by one and together."""

import numpy as np
import pytest
import torch

from oracles.modifiers import Adam, Momentum, trajectory
from scope import in_turns
from thalweg.recipes.catalogue import recipe
from thalweg.recipes.options import EMA
from thalweg.testing.trajectories import EXECUTIONS, advance, begin, problem

SHAPES = [(4, 3, 2, 2), (6, 8), (48,)]
RULES = {"momentum": Momentum, "adam": Adam}
SETTINGS = [
    {"clip_tensor_norm": 0.5},
    {"clip_global_norm": 0.5},
    {"clip_global_norm": 2.0, "clip_tensor_norm": 0.5, "clip_value": 0.2},
    {"clip_tensor_norm": 1e9},
    {"weight_decay": 0.02, "independent_weight_decay": True},
    {"weight_decay": 0.02, "independent_weight_decay": True, "decoupled_weight_decay": True},
    {"lookahead_steps": 5},
    {"lookahead_steps": 3, "lookahead_alpha": 0.8},
    {"lookahead_steps": 1, "lookahead_alpha": 1.0},
    {"ema_decay": 0.9},
    {"centralize": True},
    {"clip_adaptive": 0.05},
    {"clip_adaptive": 1e9},
    {"cautious": True},
    {"cautious": True, "weight_decay": 0.1},
    {"max_norm": 1.5},
    {"max_norm": 1e9},
    {"max_norm": 1.5, "keras_regularizers": True},
    {"max_norm": 1.5, "min_norm": 1.2, "norm_rate": 0.5},
    {"max_norm": 1.5, "min_norm": 1.2, "norm_rate": 0.5, "keras_regularizers": True},
    {"min_norm": 1.4, "ema_decay": 0.8},
    {"unit_norm": True},
    {"unit_norm": True, "keras_regularizers": True, "lookahead_steps": 3},
    {"non_negative": True},
    {"non_negative": True, "max_norm": 1.0, "proximal_l1": 0.1},
    {"l2": 0.1},
    {"l2": 0.1, "keras_regularizers": True},
    {"l1": 0.1},
    {"l1": 0.1, "l2": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True},
    {"l1": 0.1, "clip_value": 0.2, "cautious": True, "maximize": True},
    {"proximal_l1": 0.5},
    {"proximal_l2": 0.5},
    {"proximal_l1": 0.3, "proximal_l2": 0.2, "weight_decay": 0.1, "max_norm": 1.0, "ema_decay": 0.8},
    {"max_norm": 1.0, "weight_decay": 0.1, "decoupled_weight_decay": True, "lookahead_steps": 3, "ema_decay": 0.8},
    {"max_norm": 0.8, "clip_tensor_norm": 0.5, "cautious": True, "ema_decay": 0.9},
    {"centralize": True, "clip_adaptive": 0.5, "clip_global_norm": 3.0, "clip_tensor_norm": 1.0, "clip_value": 0.5,
     "weight_decay": 0.1, "cautious": True, "lookahead_steps": 4, "ema_decay": 0.5, "maximize": True},
    {"centralize": True, "clip_adaptive": 0.5, "clip_tensor_norm": 1.0, "weight_decay": 0.1,
     "decoupled_weight_decay": True, "cautious": True, "lookahead_steps": 4, "ema_decay": 0.5},
]  # fmt: skip


def written(of):
    return " ".join(f"{k}={v}" for k, v in of.items()) if isinstance(of, dict) else str(of)


TRIED = [("momentum", *pair) for pair in in_turns(SETTINGS, SHAPES)]
TRIED += [("adam", *pair) for pair in in_turns(SETTINGS, SHAPES[::-1])]


@pytest.mark.parametrize(("name", "setting", "shape"), TRIED, ids=written)
def test_values(name, setting, shape):
    task = problem(0.01, steps=100)
    gradients = task.gradients.reshape(-1, *shape)
    expected, average = trajectory(RULES[name](), task.start.reshape(shape), gradients, task.rates, **setting)
    of = recipe(name)
    for execution in EXECUTIONS.values():
        run = begin(of, of.resolve(setting), torch.tensor(task.start).reshape(shape))
        history = []
        for g, rate in zip(torch.tensor(gradients), task.rates, strict=True):
            advance(execution, [run], [g], [rate])
            history.append(run.p.numpy().copy())
        np.testing.assert_allclose(history, expected, rtol=1e-11, atol=1e-12)
        if "ema_decay" in setting:
            names = [s.name for s in run.structure.states]
            np.testing.assert_allclose(run.states[names.index(EMA.name) - len(names)], average[-1], rtol=1e-11)
