"""Schedules under `convention=` have the values of the library's own of the same name, step by step, past the end, too.

To 1e-12 of the peak; Keras computes in float32: 1e-6.
"""

import importlib
import importlib.util
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import optax
import pytest
import torch
from torch.optim import lr_scheduler

from thalweg import schedules
from thalweg.schedules import ScheduleWarning, join, performance

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{ScheduleWarning.__module__}.{ScheduleWarning.__qualname__}", "ignore:Detected call of `lr_scheduler.step"
)
PEAK, STEPS = 0.3, 40
WITHIN = {"torch": 1e-12, "optax": 1e-12, "hf": 1e-12, "timm": 1e-12, "keras": 1e-6}


def optimizer(rate=PEAK):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)


def of_torch(make, steps=STEPS):
    """The rates of a scheduler of torch, or of Hugging Face, as long as it gives any."""
    by, rates = optimizer(), []
    scheduler = make(by)
    for _ in range(steps):
        rates.append(float(by.param_groups[0]["lr"]))
        by.step()
        try:
            scheduler.step()
        except ValueError:  # a 1cycle that is over
            break
    return rates


def of_hf(name, **given):
    import transformers

    make = getattr(transformers.optimization, f"get_{name}")
    return of_torch(lambda by: make(by, **given))


def of_timm(name, **given):
    """By its file: the whole of timm needs torchvision."""
    (folder,) = importlib.util.find_spec("timm").submodule_search_locations
    package = types.ModuleType("timm.scheduler")
    package.__path__ = [str(Path(folder) / "scheduler")]
    sys.modules.setdefault(package.__name__, package)
    module, cls = name
    scheduler = getattr(importlib.import_module(f"timm.scheduler.{module}"), cls)(optimizer(), **given)
    return [scheduler._get_lr(t)[0] for t in range(STEPS)]


def of_keras(name, *given, **named):
    import keras

    schedule = getattr(keras.optimizers.schedules, name)(*given, **named)
    return [float(schedule(t)) for t in range(STEPS)]


def of_optax(schedule):
    import jax

    return jax.vmap(lambda t: schedule(t) + 0.0 * t)(np.arange(STEPS)).tolist()


def s(name, rate=PEAK, *, of, **given):
    """Made in its test, which may warn."""
    return partial(getattr(schedules, name), rate, convention=of, **given)


T, H, K, X, M = "torch", "hf", "keras", "optax", "timm"
CASES = [
    (s("constant", of=T), lambda: of_torch(lr_scheduler.ConstantLR)),
    (s("constant", of=T, factor=0.5, steps=7), lambda: of_torch(lambda o: lr_scheduler.ConstantLR(o, 0.5, 7))),
    (s("constant", of=H, warmup=5), lambda: of_hf("constant_schedule_with_warmup", num_warmup_steps=5)),
    (s("constant", of=H), lambda: of_hf("constant_schedule")),
    (s("constant", of=X), lambda: of_optax(lambda t: optax.constant_schedule(PEAK)(t))),
    (s("step", of=T, every=7), lambda: of_torch(lambda o: lr_scheduler.StepLR(o, 7))),
    (s("step", of=T, every=3, factor=0.7), lambda: of_torch(lambda o: lr_scheduler.StepLR(o, 3, 0.7))),
    (s("step", of=M, every=7), lambda: of_timm(("step_lr", "StepLRScheduler"), decay_t=7)),
    (
        s("step", of=M, every=7, factor=0.3),
        lambda: of_timm(("step_lr", "StepLRScheduler"), decay_t=7, decay_rate=0.3),
    ),
    (s("piecewise", of=T, boundaries=[3, 9]), lambda: of_torch(lambda o: lr_scheduler.MultiStepLR(o, [3, 9]))),
    (
        s("piecewise", of=T, boundaries=[3, 3, 20], factors=0.6),
        lambda: of_torch(lambda o: lr_scheduler.MultiStepLR(o, [3, 3, 20], 0.6)),
    ),
    (
        s("piecewise", of=X, boundaries=[3, 9], factors=[0.5, 0.1]),
        lambda: of_optax(optax.piecewise_constant_schedule(PEAK, {3: 0.5, 9: 0.1})),
    ),
    (
        s("piecewise", None, of=K, boundaries=[3, 9], values=[0.3, 0.1, 0.2]),
        lambda: of_keras("PiecewiseConstantDecay", [3, 9], [0.3, 0.1, 0.2]),
    ),
    (
        s("piecewise", of=M, boundaries=[3, 9], factors=0.1),
        lambda: of_timm(("multistep_lr", "MultiStepLRScheduler"), decay_t=[3, 9], decay_rate=0.1),
    ),
    (s("piecewise", of=M, boundaries=[3]), lambda: of_timm(("multistep_lr", "MultiStepLRScheduler"), decay_t=[3])),
    (s("exponential", of=T, factor=0.9), lambda: of_torch(lambda o: lr_scheduler.ExponentialLR(o, 0.9))),
    (
        s("exponential", of=X, steps=7, factor=0.5, begin=4, staircase=True, end=0.02),
        lambda: of_optax(optax.exponential_decay(PEAK, 7, 0.5, 4, True, 0.02)),
    ),
    (s("exponential", of=X, steps=7, factor=0.5), lambda: of_optax(optax.exponential_decay(PEAK, 7, 0.5))),
    (s("exponential", of=K, steps=7, factor=0.5), lambda: of_keras("ExponentialDecay", PEAK, 7, 0.5)),
    (
        s("exponential", of=K, steps=7, factor=0.5, staircase=True),
        lambda: of_keras("ExponentialDecay", PEAK, 7, 0.5, staircase=True),
    ),
    (s("inverse_time", of=K, steps=7, decay=0.5), lambda: of_keras("InverseTimeDecay", PEAK, 7, 0.5)),
    (
        s("inverse_time", of=K, steps=7, decay=0.5, staircase=True),
        lambda: of_keras("InverseTimeDecay", PEAK, 7, 0.5, staircase=True),
    ),
    (s("linear", of=T), lambda: of_torch(lr_scheduler.LinearLR)),
    (
        s("linear", of=T, start="100%", end="10%", steps=9),
        lambda: of_torch(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, 9)),
    ),
    (s("linear", of=X, steps=9, end=0.1), lambda: of_optax(optax.linear_schedule(PEAK, 0.1, 9))),
    (
        s("linear", of=H, steps=20, warmup=4),
        lambda: of_hf("linear_schedule_with_warmup", num_warmup_steps=4, num_training_steps=20),
    ),
    (s("polynomial", of=T), lambda: of_torch(lr_scheduler.PolynomialLR)),
    (s("polynomial", of=T, steps=12, power=2.5), lambda: of_torch(lambda o: lr_scheduler.PolynomialLR(o, 12, 2.5))),
    (
        s("polynomial", of=X, steps=12, power=2.5, end=0.1),
        lambda: of_optax(optax.polynomial_schedule(PEAK, 0.1, 2.5, 12)),
    ),
    (s("polynomial", of=K, steps=12), lambda: of_keras("PolynomialDecay", PEAK, 12)),
    (
        s("polynomial", of=K, steps=5, power=0.5, end=0.1, cycle=True),
        lambda: of_keras("PolynomialDecay", PEAK, 5, 0.1, power=0.5, cycle=True),
    ),
    (
        s("polynomial", of=H, steps=20, warmup=4, power=2.0),
        lambda: of_hf("polynomial_decay_schedule_with_warmup", num_warmup_steps=4, num_training_steps=20, power=2.0),
    ),
    (s("polynomial", of=M, steps=20), lambda: of_timm(("poly_lr", "PolyLRScheduler"), t_initial=20)),
    (
        s("polynomial", of=M, steps=20, warmup=4, start=0.01, end=0.02, power=0.9),
        lambda: of_timm(
            ("poly_lr", "PolyLRScheduler"), t_initial=20, warmup_t=4, warmup_lr_init=0.01, lr_min=0.02, power=0.9
        ),
    ),
    (
        s("cosine", of=T, steps=10, end=0.02),
        lambda: of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.02)),
    ),
    (s("cosine", of=X, steps=10, end="10%"), lambda: of_optax(optax.cosine_decay_schedule(PEAK, 10, 0.1))),
    (
        s("cosine", of=X, steps=20, warmup=4, start=0.01, end=0.02),
        lambda: of_optax(optax.warmup_cosine_decay_schedule(0.01, PEAK, 4, 20, 0.02)),
    ),
    (s("cosine", of=K, steps=10, end="10%"), lambda: of_keras("CosineDecay", PEAK, 10, 0.1)),
    (
        s("cosine", of=K, steps=10, warmup=4, start=0.01, end="10%"),
        lambda: of_keras("CosineDecay", 0.01, 10, 0.1, warmup_target=PEAK, warmup_steps=4),
    ),
    (
        s("cosine", of=H, steps=20, warmup=4),
        lambda: of_hf("cosine_schedule_with_warmup", num_warmup_steps=4, num_training_steps=20),
    ),
    (
        s("cosine", of=H, steps=20, warmup=4, end=0.02),
        lambda: of_hf(
            "cosine_with_min_lr_schedule_with_warmup", num_warmup_steps=4, num_training_steps=20, min_lr=0.02
        ),
    ),
    (
        s("cosine", of=M, steps=20, warmup=4, start=0.01, end=0.02),
        lambda: of_timm(
            ("cosine_lr", "CosineLRScheduler"), t_initial=20, warmup_t=4, warmup_lr_init=0.01, lr_min=0.02
        ),
    ),
    (
        s("cosine_restarts", of=T, period=4, end=0.02),
        lambda: of_torch(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4, eta_min=0.02)),
    ),
    (
        s("cosine_restarts", of=T, period=1, growth=3),
        lambda: of_torch(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1, 3)),
    ),
    (s("cosine_restarts", of=K, period=4), lambda: of_keras("CosineDecayRestarts", PEAK, 4)),
    (
        s("cosine_restarts", of=K, period=4, growth=1, decay=0.5, end="10%"),
        lambda: of_keras("CosineDecayRestarts", PEAK, 4, t_mul=1.0, m_mul=0.5, alpha=0.1),
    ),
    (
        s("cosine_restarts", of=H, steps=30, warmup=4, cycles=3),
        lambda: of_hf(
            "cosine_with_hard_restarts_schedule_with_warmup", num_warmup_steps=4, num_training_steps=30, num_cycles=3
        ),
    ),
    (
        s("cosine_restarts", of=M, period=4, growth=2, decay=0.5, cycles=3, end=0.02),
        lambda: of_timm(
            ("cosine_lr", "CosineLRScheduler"), t_initial=4, cycle_mul=2.0, cycle_decay=0.5, cycle_limit=3, lr_min=0.02
        ),
    ),
    (s("inverse_sqrt", of=H, warmup=5), lambda: of_hf("inverse_sqrt_schedule", num_warmup_steps=5)),
    (s("inverse_sqrt", of=H), lambda: of_hf("inverse_sqrt_schedule", num_warmup_steps=0)),
    (
        s("inverse_sqrt", of=H, warmup=5, timescale=12),
        lambda: of_hf("inverse_sqrt_schedule", num_warmup_steps=5, timescale=12),
    ),
    (
        s("wsd", of=H, steps=20, warmup=4, decay=6),
        lambda: of_hf("wsd_schedule", num_warmup_steps=4, num_decay_steps=6, num_training_steps=20),
    ),
    (
        s("wsd", of=H, steps=20, warmup=4, decay=6, end="10%", shape="1-sqrt"),
        lambda: of_hf(
            "wsd_schedule",
            num_warmup_steps=4,
            num_decay_steps=6,
            num_training_steps=20,
            min_lr_ratio=0.1,
            decay_type="1-sqrt",
        ),
    ),
    (
        s("wsd", of=M, steps=16, warmup=4, decay=6, end=0.02, start=0.01),
        lambda: of_timm(
            ("wsd_lr", "WSDLRScheduler"), t_initial=16, decay_t=6, warmup_t=4, lr_min=0.02, warmup_lr_init=0.01
        ),
    ),
    *(
        (
            s("cyclic", of=T, low=0.1, up=4, down=3, mode=mode, gamma=0.9),
            lambda mode=mode: of_torch(lambda o: lr_scheduler.CyclicLR(o, 0.1, PEAK, 4, 3, mode, gamma=0.9)),
        )
        for mode in ("triangular", "triangular2", "exp_range")
    ),
    (s("one_cycle", of=T, steps=20), lambda: of_torch(lambda o: lr_scheduler.OneCycleLR(o, PEAK, 20))),
    (
        s("one_cycle", of=T, steps=20, rise="35%", fall="35%", shape="linear"),
        lambda: of_torch(
            lambda o: lr_scheduler.OneCycleLR(
                o, PEAK, 20, pct_start=0.35, three_phase=True, anneal_strategy="linear"
            )
        ),
    ),
    (s("one_cycle", of=X, steps=17), lambda: of_optax(optax.cosine_onecycle_schedule(17, PEAK))),
    (s("one_cycle", of=X, steps=17, shape="linear"), lambda: of_optax(optax.linear_onecycle_schedule(17, PEAK))),
    (
        lambda: schedules.warmup(schedules.cosine(PEAK, steps=9, convention=T), steps=4, convention=T),
        lambda: of_torch(
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.LinearLR(o, total_iters=4), lr_scheduler.CosineAnnealingLR(o, 9)], [4]
            )
        ),
    ),
    (
        lambda: schedules.warmup(schedules.polynomial(PEAK, steps=9, end=0.1), steps=4, start=0.01, convention=X),
        lambda: of_optax(
            optax.join_schedules(
                [optax.linear_schedule(0.01, PEAK, 4), optax.polynomial_schedule(PEAK, 0.1, 1, 9)], [4]
            )
        ),
    ),
    (
        lambda: join(
            schedules.cosine(0.3, steps=8, warmup=2, convention=X),
            schedules.cosine(0.2, steps=12, warmup=3, convention=X),
            boundaries=[8],
        ),
        lambda: of_optax(
            optax.sgdr_schedule([
                {"init_value": 0.0, "peak_value": 0.3, "warmup_steps": 2, "decay_steps": 8},
                {"init_value": 0.0, "peak_value": 0.2, "warmup_steps": 3, "decay_steps": 12},
            ])
        ),
    ),
    (
        lambda: schedules.chain(
            schedules.step(PEAK, every=7, convention=T), schedules.exponential(factor=0.9, convention=T)
        ),
        lambda: of_torch(
            lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(o, 7), lr_scheduler.ExponentialLR(o, 0.9)])
        ),
    ),
]  # fmt: skip


def called(make):
    return f"{make.func.__name__} {make.keywords}" if isinstance(make, partial) else "several"


@pytest.mark.parametrize(("make", "theirs"), CASES, ids=[called(make) for make, _ in CASES])
def test_values(make, theirs):
    schedule, expected = make(), theirs()
    within = WITHIN[schedule.arguments.get("convention") or T]
    np.testing.assert_allclose([schedule(t) for t in range(len(expected))], expected, rtol=0, atol=PEAK * within)


@pytest.mark.parametrize("given", [{}, {"rise": "35%", "fall": "35%"}])
def test_the_momentum_of_torchs_one_cycle(given):
    by, momenta = optimizer(), []
    three = {"pct_start": 0.35, "three_phase": True} if given else {}
    scheduler = lr_scheduler.OneCycleLR(by, PEAK, 20, **three)
    for _ in range(20):
        momenta.append(by.param_groups[0]["momentum"])
        by.step()
        scheduler.step()
    ours = schedules.one_cycle(PEAK, steps=20, convention="torch", **given).momentum
    assert [ours(t) for t in range(20)] == pytest.approx(momenta, abs=1e-12)


METRICS = [
    np.r_[1.0, 0.9, 0.8, 0.8, 0.80005, 0.79995, 0.85, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.69993, 0.7, 0.7],
    np.random.default_rng(0).normal(size=60).cumsum() * 0.01 + 1,
    -1 + np.random.default_rng(1).normal(size=60) * 1e-4,
]


def run(settings, metrics):
    state, rates = settings.start(), []
    for metric in metrics:
        state = settings.advance(state, metric)
        rates.append(state.rate)
    return rates


@pytest.mark.parametrize("metrics", METRICS, ids=range(len(METRICS)))
@pytest.mark.parametrize("given", [{}, {"patience": 2}, {"patience": 2, "cooldown": 3, "factor": 0.5, "minimum": 0.05}])
@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_a_plateau_of_torch(metrics, given, higher, mode):
    by, rates = optimizer(), []
    theirs = {"min_lr" if name == "minimum" else name: value for name, value in given.items()}
    scheduler = lr_scheduler.ReduceLROnPlateau(by, mode="max" if higher else "min", threshold_mode=mode[:3], **theirs)
    for metric in metrics:
        scheduler.step(metric)
        rates.append(by.param_groups[0]["lr"])
    ours = performance(PEAK, mode=mode, higher_is_better=higher, convention="torch", **given)
    assert run(ours, metrics) == rates


@pytest.mark.parametrize("metrics", METRICS, ids=range(len(METRICS)))
@pytest.mark.parametrize("given", [{}, {"patience": 2}, {"patience": 2, "cooldown": 3, "factor": 0.5, "minimum": 0.05}])
@pytest.mark.parametrize("higher", [False, True])
def test_a_plateau_of_keras(metrics, given, higher):
    import keras

    theirs = {"min_lr" if name == "minimum" else name: value for name, value in given.items()}
    callback = keras.callbacks.ReduceLROnPlateau("m", mode="max" if higher else "min", **theirs)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(PEAK), loss="mse")
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, metric in enumerate(metrics):
        callback.on_epoch_end(epoch, {"m": float(metric)})
        rates.append(float(model.optimizer.learning_rate))
    ours = performance(PEAK, higher_is_better=higher, convention="keras", **given)
    assert run(ours, metrics) == pytest.approx(rates, rel=1e-6)


@pytest.mark.parametrize("metrics", METRICS, ids=range(len(METRICS)))
@pytest.mark.parametrize("given", [{}, {"patience": 2}, {"patience": 2, "cooldown": 3, "factor": 0.5, "minimum": 0.05}])
@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_a_plateau_of_optax(metrics, given, mode):
    import jax
    import jax.numpy as jnp
    from optax.contrib import reduce_on_plateau

    theirs = {name: value for name, value in given.items() if name != "minimum"}
    theirs["min_scale"] = given.get("minimum", 0.0) / PEAK
    tolerances = {"rtol": 0.0, "atol": 1e-4} if mode == "absolute" else {}
    transform = reduce_on_plateau(**theirs, **tolerances)
    state, rates = transform.init(jnp.zeros(1)), []
    update = jax.jit(lambda state, value: transform.update(jnp.ones(1), state, value=value)[1])
    for metric in metrics:
        state = update(state, float(metric))
        rates.append(PEAK * float(state.scale))
    assert run(performance(PEAK, mode=mode, convention="optax", **given), metrics) == pytest.approx(rates, rel=1e-12)


SAME = {
    "torch": {
        "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "SequentialLR", "PolynomialLR",
        "CosineAnnealingLR", "ChainedScheduler", "ReduceLROnPlateau", "CyclicLR", "CosineAnnealingWarmRestarts",
        "OneCycleLR",
    },
    "keras": {
        "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay",
        "PolynomialDecay",
    },
    "optax": {
        "constant_schedule", "cosine_decay_schedule", "cosine_onecycle_schedule", "exponential_decay",
        "join_schedules", "linear_onecycle_schedule", "linear_schedule", "piecewise_constant_schedule",
        "polynomial_schedule", "sgdr_schedule", "warmup_cosine_decay_schedule",
    },
    "hf": {
        "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt",
        "cosine_with_min_lr", "warmup_stable_decay",
    },
}  # fmt: skip
"""What each library has that is compared above."""

OTHERS = {
    "torch": {"LRScheduler": "the base class", "LambdaLR": "a function, as ours", "MultiplicativeLR": "recursive"},
    "keras": {"LearningRateSchedule": "the base class"},
    "optax": {
        "piecewise_interpolate_schedule": "what its 1cycle is made of",
        "warmup_constant_schedule": "warmup of constant",
        "warmup_exponential_decay_schedule": "warmup of exponential",
        "inject_hyperparams": "no schedule",
        "inject_stateful_hyperparams": "no schedule",
    },
    "hf": {
        "reduce_lr_on_plateau": "torch's",
        "cosine_warmup_with_min_lr": "its decay begins and ends a step early; ours without a convention does not",
        "greedy": "moves up and down with the loss",
    },
}
"""What else it has → why it is not compared."""


def of_library(name):
    import inspect

    import keras
    import transformers

    if name == "torch":
        return set(lr_scheduler.__all__)
    if name == "keras":
        return {n for n, v in vars(keras.optimizers.schedules).items() if inspect.isclass(v)}
    if name == "optax":
        return {n for n, v in vars(optax.schedules).items() if inspect.isfunction(v)}
    return {str(kind.value) for kind in transformers.SchedulerType}


@pytest.mark.parametrize("name", SAME)
def test_nothing_that_a_library_has_is_forgotten(name):
    assert of_library(name) == SAME[name] | set(OTHERS[name])
