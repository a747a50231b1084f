"""pytorch_optimizer takes our steps, once its settings are the same; what it computes otherwise is told and watched.

Each setting is given to the peer in full, our defaults included, so that none of its own stays unnoticed.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytorch_optimizer
from paths import DIFFERENT, ROUNDING, distance, of_torch, ours, steady, task

from thalweg.recipes.catalogue import recipe, recipes


@dataclass(frozen=True)
class Peer:
    """renamed: our hyperparameter → theirs. extra: what it must be told beside. convention: ours that it follows."""

    cls: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    extra: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda values: {}
    convention: str = "torch"


def loud(rate):
    """A constant rate, and gradients so large that 1e-15 beside their squares is nothing."""
    on = steady(rate)
    return replace(on, gradients=1e9 * on.gradients)


PEERS = {
    "accsgd": Peer("AccSGD", {"small_const": "constant"}),
    "adabelief": Peer("AdaBelief"),
    "adadelta": Peer("AdaDelta"),
    "adamax": Peer("AdaMax"),
    "adamod": Peer("AdaMod"),
    "adan": Peer("Adan"),
    "ademamix": Peer("AdEMAMix", {}, lambda v: {"t_alpha_beta3": v["t_alpha"] or None}),
    "adopt": Peer("ADOPT", {}, lambda v: {"clip_lambda": (lambda step: (step - 1) ** 0.25) if v["clipped"] else None}),
    "aggmo": Peer("AggMo"),
    "diffgrad": Peer("DiffGrad"),
    "ftrl": Peer("FTRL", {"l1": "lambda_1", "l2": "lambda_2"}),
    "grams": Peer("Grams"),
    "laprop": Peer("LaProp", {}, lambda v: {"foreach": False}),  # in which it holds step sizes in float32
    "lion": Peer("Lion"),
    "madgrad": Peer("MADGRAD", convention="optax"),
    "msvag": Peer("MSVAG"),
    "padam": Peer("PAdam"),
    "qhadam": Peer("QHAdam"),
    "qhm": Peer("QHM"),
    "radam": Peer("RAdam", {}, lambda v: {"degenerated_to_sgd": True}),
    "schedule_free_adamw": Peer("ScheduleFreeAdamW", {"decay": "weight_decay"}, convention="optax"),
    "schedule_free_sgd": Peer("ScheduleFreeSGD"),
    "sgd": Peer("SGDW"),
    "signsgd": Peer("SignSGD"),
    "yogi": Peer("Yogi", {"initial_accumulator_value": "initial_accumulator"}, convention="optax"),
}  # fmt: skip

MOMENTS = {"beta1": 0.7, "beta2": 0.98, "eps": 1e-4}
COUPLED = {"weight_decay": 0.1, "decoupled_weight_decay": False}
DECOUPLED = {"weight_decay": 0.1, "decoupled_weight_decay": True}
SAME = {
    "accsgd": ({}, {"kappa": 500.0, "xi": 5.0, "small_const": 0.5, **COUPLED}),
    "adabelief": ({}, {**MOMENTS, **COUPLED}, {**MOMENTS, **DECOUPLED}),
    "adadelta": ({}, {"rho": 0.7, "eps": 1e-4, **COUPLED}, DECOUPLED),
    "adamax": ({}, {**MOMENTS, **COUPLED}, DECOUPLED),
    "adamod": ({"beta1": 0.0, "beta2": 0.98, "beta3": 0.9, "eps": 0.0, **DECOUPLED},),
    "adan": ({}, {**MOMENTS, "beta3": 0.9}, {**MOMENTS, **DECOUPLED}),
    "ademamix": (
        {},
        {**MOMENTS, "beta3": 0.99, "alpha": 3.0, **DECOUPLED},
        {**MOMENTS, "t_alpha": 200.0, "t_beta3": 200.0, **COUPLED},
    ),
    "adopt": ({}, {**MOMENTS, **COUPLED}, {**MOMENTS, "clipped": False, **DECOUPLED}),
    "aggmo": ({}, {"beta1": 0.5, "beta2": 0.8, "beta3": 0.9, **COUPLED}, DECOUPLED),
    "ftrl": (
        {"initial_accumulator_value": 0.0},
        {"initial_accumulator_value": 0.0, "l1": 0.01, "l2": 0.02, "beta": 0.5},
    ),
    "grams": ({}, {**MOMENTS, **DECOUPLED}),
    "laprop": ({}, {"beta1": 0.7, "beta2": 0.98}),
    "lion": ({}, {"beta1": 0.7, "beta2": 0.98, **COUPLED}, DECOUPLED),
    "madgrad": ({}, {"momentum": 0.7, "eps": 1e-4, **COUPLED}),
    "msvag": ({}, {"beta": 0.7}),
    "padam": ({"amsgrad": False}, {**MOMENTS, "partial": 0.2, "amsgrad": False, **COUPLED}),
    "qhadam": ({}, {**MOMENTS, "nu1": 0.6, "nu2": 0.8, **COUPLED}),
    "qhm": ({}, {"momentum": 0.9, "nu": 0.6, **COUPLED}, DECOUPLED),
    "radam": ({}, {"beta1": 0.7, "beta2": 0.98}, DECOUPLED),
    "schedule_free_adamw": ({}, {**MOMENTS, "decay": 0.1}),
    "schedule_free_sgd": ({}, {"momentum": 0.7, **COUPLED}),
    "sgd": ({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, **DECOUPLED}, {"momentum": 0.5, "dampening": 0.2}),
    "signsgd": ({}, {"momentum": 0.7, **COUPLED}, DECOUPLED),
    "yogi": ({}, {**MOMENTS, "initial_accumulator_value": 0.1, **COUPLED}, DECOUPLED),
}  # fmt: skip
"""Where it computes the same → settings that, together, vary every hyperparameter."""

TASKS = {"laprop": loud, "schedule_free_adamw": loud, "schedule_free_sgd": steady}
"""What parts these two otherwise stands below."""

WITHIN = {"qhadam": 5e-7}
"""It holds the shares of its averages in float32."""


def quick_and_loud(rate):
    """Those gradients, at a rate that changes."""
    return replace(loud(rate), rates=task(rate).rates)


EXPECTED_DIFFERENT = [
    ("adamod", {}, {}, task,
     "It averages and bounds η/(1 - β1ᵗ), as the authors' package; the paper bounds η, as we do."),
    ("adan", COUPLED, {}, task,
     "Its decay is the paper's, a division by 1 + lr·λ after the step, which we lack; ours here is L2."),
    ("adopt", {}, {"clip_lambda": lambda step: step**0.25}, task,
     "By default it limits the k-th update by (k + 1)^¼; paper and authors' package take k^¼, as we do."),
    ("diffgrad", {}, {}, task,
     "It adds 1e-15 in the root, and ε before the bias correction; the paper has Adam's denominator, as we do."),
    ("laprop", {}, {}, steady,
     "It adds 1e-15 in the root, and ε before the bias correction; paper and authors' package add it after, as we do."),
    ("laprop", {}, {}, quick_and_loud,
     "It keeps lr inside m, as the authors' package; in the paper lr is that of the step, as in ours."),
    ("laprop", DECOUPLED, {}, loud,
     "It decays after the step, as the authors' package; we do before it, as the paper of AdamW."),
    ("madgrad", {"eps": 1e-4, **DECOUPLED}, {}, task,
     "It decays by (lr + ε)·λ, as the authors' package; the paper has no such decay, and ours is lr·λ everywhere."),
    ("padam", {"amsgrad": True}, {}, task,
     "It has no maximum of v; the paper's Algorithm 1 and the authors' package have, as we do."),
    ("schedule_free_adamw", {}, {}, quick_and_loud,
     "It weighs by the largest rate so far, as the authors' package; the paper weighs a step by its own, as we do."),
    ("schedule_free_sgd", {}, {}, task,
     "It weighs by the largest rate so far, as the authors' package; the paper weighs a step by its own, as we do."),
]  # fmt: skip
"""Name, our setting, what else the peer is told, task, and what differs and who is right."""

UNDER_TORCH = {
    "madgrad": "It adds ε to the rate, as the authors' package; the paper does not, as we do not.",
    "schedule_free_adamw": "It corrects v, as the authors' newer versions; the paper corrects the rate, as we do.",
    "yogi": "It starts m at the initial accumulator value; the paper starts it at 0, as we do.",
}
"""Those that follow one of our other conventions → why not the default one."""

EXEMPT = {
    "adabound": "compared with its authors' package",
    "asgd": "another algorithm of that name: it estimates the rate from norms of all tensors",
    "lamb": "compared with Optax, Keras and timm; its update is that of the paper's version 3, without bias correction",
    "lars": "compared with Optax and timm; it leaves vectors without decay and scaling, as a param group does here",
    **dict.fromkeys(("muon", "normuon"), "compared as matrices, in test_matrices.py"),
}  # fmt: skip


UNSAID = {
    "adopt": {"clipped"},  # clip_lambda says it
    "ademamix": {"t_alpha", "t_beta3"},  # t_alpha_beta3 says both
    "padam": {"amsgrad"},  # it has none
}


def told(name, setting, convention):
    """The peer's class and all it must be told to compute our setting. What it does not know must be off."""
    peer = PEERS[name]
    make = getattr(pytorch_optimizer, peer.cls)
    known = set(inspect.signature(make).parameters)
    values = dict(recipe(name).under(convention).resolve(setting))
    given = {"weight_decouple": values.pop("decoupled_weight_decay")}
    for by_itself in ("lr", "lookahead_alpha", "norm_rate"):  # the last two mean nothing by themselves
        del values[by_itself]
    for plural in {"betas", "nus"} & known:
        members = sorted(key for key in values if key.rstrip("0123456789") + "s" == plural)
        given[plural] = tuple(values.pop(key) for key in members)
    shadowed = set(peer.renamed.values()) & set(values)
    given |= {peer.renamed.get(key, key): value for key, value in values.items() if key not in shadowed}
    given |= peer.extra(values)
    unknown = {key for key, value in given.items() if key not in known and value} - UNSAID.get(name, set())
    assert not unknown, f"{peer.cls} does not know {unknown}"
    return make, {key: value for key, value in given.items() if key in known}


def compared(name, setting, on, convention, **more):
    make, given = told(name, setting, convention)
    return distance(ours(name, convention, setting, on), of_torch(make, {**given, **more}, on), on)


def test_nothing_that_both_have_is_forgotten():
    theirs = {
        name
        for name in pytorch_optimizer.get_supported_optimizers()
        if pytorch_optimizer.load_optimizer(name).__module__.startswith("pytorch_optimizer")
    }
    both = {name for name in recipes() if name.replace("_", "") in theirs}
    assert both - set(PEERS) - set(EXEMPT) == set()
    assert {*SAME, *(name for name, *_ in EXPECTED_DIFFERENT)} == set(PEERS)


@pytest.mark.parametrize(("name", "setting"), [(n, s) for n, every in SAME.items() for s in every], ids=str)
def test_steps(name, setting):
    convention = PEERS[name].convention
    on = TASKS.get(name, task)(recipe(name).under(convention).defaults["lr"])
    assert compared(name, setting, on, convention) <= WITHIN.get(name, ROUNDING)


@pytest.mark.parametrize(("name", "setting", "more", "make_task", "why"), EXPECTED_DIFFERENT)
def test_what_differs_still_does(name, setting, more, make_task, why):
    convention = PEERS[name].convention
    assert compared(name, setting, make_task(recipe(name).defaults["lr"]), convention, **more) > DIFFERENT, why


@pytest.mark.parametrize(("name", "why"), UNDER_TORCH.items())
def test_the_default_convention_differs(name, why):
    assert compared(name, {}, TASKS.get(name, task)(recipe(name).defaults["lr"]), "torch") > DIFFERENT, why
