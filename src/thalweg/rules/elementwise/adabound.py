"""AdaBound: Adam whose rates are clipped between bounds that close in on SGD's."""

from typing import Literal

from thalweg.numerics import clip, maximum, sqrt
from thalweg.rules.contract import preset, rule
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, InitialRate, NonNegative, OpenFraction, Rate
from thalweg.rules.states import Zeros


@rule(
    paper="Luo et al. 2019, arXiv:1902.09843",
    when="To start as fast as Adam and end as SGD does; final_lr is the rate of that end.",
    family="adam",
    purpose="starts as fast as Adam, ends as SGD",
    drop_in="AdaBound(lr, betas, final_lr, gamma, eps, weight_decay, amsbound)",
    rates=(1e-5, 1e-1),
    rate_is_step=False,
    conventions={"keras": {}, "paper": {}},
)
def adabound(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, max_exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, final_lr: NonNegative = 0.1,
    gamma: OpenFraction = 1e-3, eps: Epsilon = 1e-8, amsbound: Flag = False, base_lr: InitialRate = None,
    convention: Literal["torch", "paper"] = "torch",
):  # fmt: skip
    """AdaBound.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·g²     (amsbound: the largest v so far stands for v below)
        f = final_lr · lr / base_lr
        η = clip(lr·√(1 - β2ᵗ)/(1 - β1ᵗ) / (√v + ε), f·(1 - 1/(γt + 1)), f·(1 + 1/(γt)))
        p ← p - η·m

    base_lr is the learning rate the run began with, as the paper's own package, which is followed here, calls it and
    loses it when a checkpoint is loaded. The paper itself corrects no moment, divides the clipped rate by √t, and its
    bounds do not follow lr.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    second = exp_avg_sq
    if amsbound:
        second = max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    if convention == "paper":
        unclipped, final, shrink = lr, final_lr, 1 / sqrt(t)
    else:
        unclipped, final, shrink = lr * sqrt(1 - beta2**t) / (1 - beta1**t), final_lr * lr / base_lr, 1.0
    rate = clip(unclipped / (sqrt(second) + eps), final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t)))
    return shrink * rate * exp_avg, exp_avg, exp_avg_sq, max_exp_avg_sq


amsbound = preset(
    adabound,
    "amsbound",
    "AdaBound with the largest second moment so far.",
    when="As AdaBound, with bounds on rates that never grow again.",
    purpose="bounds on rates that never grow again",
    amsbound=True,
)
