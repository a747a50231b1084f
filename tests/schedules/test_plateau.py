"""Performance scheduling: cut by cut by hand, against torch's scheduler, its state, and what it refuses."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from thalweg.errors import InputError
from thalweg.schedules import PlateauState, parse, performance


def rates(settings, metrics, state=None):
    state, found = state or settings.start(), []
    for metric in metrics:
        state = settings.advance(state, metric)
        found.append(state.rate)
    return found


def test_it_cuts_after_patience_bad_measurements():
    plain = performance(1.0, factor=0.5, patience=2)
    assert rates(plain, [3, 2, 2, 2, 2, 2, 1, 1, 1]) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert rates(performance(1.0, factor=0.5, patience=2, convention="torch"), [3, 2, 2, 2, 2, 2, 2]) == [
        1, 1, 1, 1, 0.5, 0.5, 0.5,
    ]  # fmt: skip


def test_a_metric_that_is_to_rise():
    rising = performance(1.0, factor=0.5, patience=1, higher_is_better=True)
    assert rates(rising, [0.1, 0.2, 0.2, 0.3, 0.25]) == [1, 1, 0.5, 0.5, 0.25]


def test_thresholds():
    relative = performance(1.0, factor=0.5, patience=1, threshold=0.1)
    assert rates(relative, [10, 9.1, 8.9]) == [1, 0.5, 0.5]
    assert rates(relative, [-10, -10.9, -11.1]) == [1, 0.5, 0.5], "of the size of a negative metric"
    absolute = performance(1.0, factor=0.5, patience=1, threshold=0.1, mode="absolute")
    assert rates(absolute, [10, 9.95, 9.85]) == [1, 0.5, 0.5]


def test_cooldown_and_minimum():
    settings = performance(1.0, factor=0.5, patience=1, cooldown=2, minimum=0.2)
    assert rates(settings, [1] * 11) == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]


def test_the_cooldown_of_keras_is_one_shorter():
    settings = performance(1.0, factor=0.5, patience=1, cooldown=2, convention="keras")
    assert rates(settings, [1] * 7) == [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_nan_is_no_improvement():
    settings = performance(1.0, factor=0.5, patience=2)
    assert rates(settings, [1, math.nan, math.nan, 0.5]) == [1, 1, 0.5, 0.5]
    assert settings.advance(settings.start(), math.nan).best is None


@pytest.mark.parametrize("given", [{}, {"patience": 2}, {"patience": 0, "cooldown": 3, "factor": 0.5, "minimum": 0.05}])
@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("mode", ["relative", "absolute"])
@pytest.mark.parametrize("seed", range(5))
def test_torchs_own(given, higher, mode, seed):
    metrics = np.random.default_rng(seed).normal(size=80) * 2e-4 + [1, -1][seed % 2]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = {"min_lr" if name == "minimum" else name: value for name, value in given.items()}
    theirs |= {"mode": "max" if higher else "min", "threshold_mode": mode[:3]}
    scheduler, expected = lr_scheduler.ReduceLROnPlateau(optimizer, **theirs), []
    for metric in metrics:
        scheduler.step(metric)
        expected.append(optimizer.param_groups[0]["lr"])
    assert rates(performance(0.3, mode=mode, higher_is_better=higher, convention="torch", **given), metrics) == expected


def test_advance_is_pure_and_a_state_resumes():
    settings = performance(0.3, patience=3, factor=0.5)
    metrics = np.random.default_rng(0).normal(size=50).tolist()
    state = settings.start()
    for metric in metrics[:20]:
        before = dataclasses.replace(state)
        after = settings.advance(state, metric)
        assert (state, settings.advance(state, metric)) == (before, after)
        state = after
    saved = json.loads(json.dumps(dataclasses.asdict(state)))
    assert rates(settings, metrics[20:], PlateauState(**saved)) == rates(settings, metrics)[20:]
    assert state.cuts == len({0.3, *rates(settings, metrics[:20])}) - 1


def test_metrics_may_be_tensors_and_nothing_else_is_taken():
    settings = performance(0.3)
    assert settings.advance(settings.start(), torch.tensor(0.5)) == settings.advance(settings.start(), np.float32(0.5))
    with pytest.raises(InputError, match="follows a metric that is a number, got 'good'"):
        settings.advance(settings.start(), "good")


def test_a_relative_one():
    relative = parse("performance(patience=2, factor=0.5)")
    with pytest.raises(InputError, match=r"performance\(factor=0.5, patience=2\) has no base of its own"):
        relative.start()
    assert relative.with_base(0.3) == performance(0.3, patience=2, factor=0.5)
    with pytest.raises(InputError, match="'minimum' of performance must be a number in"):
        performance(minimum=0.5).with_base(0.1)
