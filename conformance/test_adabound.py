"""AdaBound's own package takes the same steps, where it still runs: its in-place sums have the old argument order."""

import warnings

import pytest
from adabound import AdaBound
from paths import ROUNDING, distance, of_torch, ours, task

SETTINGS = ({}, {"amsbound": True}, {"weight_decay": 0.03, "final_lr": 0.01, "gamma": 1e-2})


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_steps(setting):
    on = task(1e-3)
    with warnings.catch_warnings(action="ignore"):  # torch's, about that order
        expected = of_torch(AdaBound, setting, on)
    assert distance(ours("adabound", "torch", setting, on), expected, on) <= ROUNDING
