"""Adam and its kin with the same moments: AMSGrad, and AdamW by decoupled decay."""

from typing import Literal

from thalweg.numerics import lerp, maximum, sqrt
from thalweg.rules.contract import preset, rule
from thalweg.rules.conversions import Converted, Values
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag, Rate
from thalweg.rules.states import Zeros


def _moved(values: Values, source: str, target: str, constant_rate: bool) -> Converted:
    if values["amsgrad"] and {source, target} != {"torch", "keras"}:
        return "they take the largest second moment before and after its correction, or correct none"
    if "keras" in (source, target) and values["eps"] != 0:
        return "Keras adds ε before the bias correction and the others after it, which are the same for eps=0 only"
    return values


@rule(
    paper="Kingma & Ba 2014, arXiv:1412.6980; AMSGrad: Reddi et al. 2018, arXiv:1904.09237",
    when="As the first choice for a new model: it works over a wide range of rates.",
    family="adam",
    purpose="first choice for a new model",
    drop_in="Adam(lr, betas, eps, weight_decay, amsgrad)",
    rates=(1e-5, 1e-1),
    scale_free=True,
    conventions={"keras": {"eps": 1e-7}, "optax": {}, "paper": {}},
    move=_moved,
)
def adam(
    g, p, exp_avg: Zeros, exp_avg_sq: Zeros, max_exp_avg_sq: Zeros, t, *,
    lr: Rate = 1e-3, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: Epsilon = 1e-8, amsgrad: Flag = False,
    convention: Literal["torch", "keras", "optax", "paper"] = "torch",
):  # fmt: skip
    """Adam.

        m ← β1·m + (1 - β1)·g
        v ← β2·v + (1 - β2)·g²     (amsgrad: the largest v so far stands for v below)
        p ← p - lr · m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + ε)

    Keras adds ε before the bias correction: lr·√(1 - β2ᵗ)/(1 - β1ᵗ) · m/(√v + ε). Optax takes amsgrad's maximum after
    it, of v/(1 - β2ᵗ). The paper of amsgrad corrects neither moment.
    """
    exp_avg = lerp(exp_avg, g, 1 - beta1)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
    first, second = 1 - beta1**t, 1 - beta2**t  # the shares of the gradients so far in both averages
    largest = exp_avg_sq
    if amsgrad:
        largest = max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq / second if convention == "optax" else exp_avg_sq)
    if convention == "keras":
        update = lr * sqrt(second) / first * exp_avg / (sqrt(largest) + eps)
    elif convention == "paper" and amsgrad:
        update = lr * exp_avg / (sqrt(largest) + eps)
    else:
        share = 1.0 if convention == "optax" and amsgrad else sqrt(second)
        update = lr * (exp_avg / first) / (sqrt(largest) / share + eps)  # v over its share may exceed all numbers
    return update, exp_avg, exp_avg_sq, max_exp_avg_sq


adamw = preset(
    adam, "adamw", "Adam with decoupled weight decay.",
    when="For transformers and wherever weight decay is tuned: the decay does not pass through the moments.",
    purpose="transformers; wherever weight decay is tuned",
    paper="Loshchilov & Hutter 2017, arXiv:1711.05101", drop_in="AdamW(lr, betas, eps, weight_decay, amsgrad)",
    conventions={"keras": {"weight_decay": 4e-3}, "optax": {"weight_decay": 1e-4}, "paper": {}},
    weight_decay=1e-2, decoupled_weight_decay=True,
)  # fmt: skip
amsgrad = preset(
    adam, "amsgrad", "Adam divided by the largest second moment so far.",
    when="Where Adam's late steps are too large: its second moment never falls.",
    purpose="where its late steps are too large",
    paper="Reddi, Kale & Kumar 2018, arXiv:1904.09237", amsgrad=True,
)  # fmt: skip
