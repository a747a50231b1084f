"""Round 6: what training scripts do to an optimizer, beside torch's class of the same name."""

import copy
import types

import pytest
import torch
from adversary import parameters, same
from round6 import (
    a_copy_of_the_weight_is_the_gradient,
    adopts_the_average,
    adversarial_pair,
    begun_again_by_init,
    binary_net,
    diffusers_ema,
    frozen_with_a_gradient_left,
    lottery,
    one_gradient_for_two,
    partitioned,
    population_based,
    reset_to_the_empty_state,
    reset_to_the_live_empty_state,
    shared_adam,
    the_weight_is_the_gradient,
)
from torch import nn
from torch.optim import lr_scheduler

NAMES = ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "NAdam", "Rprop", "ASGD"]


def monkeypatched(run):
    calls, plain = [], run.optimizer.step

    def step(self, closure=None):
        calls.append(1)
        return plain(closure)

    run.optimizer.step = types.MethodType(step, run.optimizer)
    schedule = lr_scheduler.StepLR(run.optimizer, 2, 0.5)
    for _ in range(4):
        run.step()
        schedule.step()
    return len(calls)


def defaults_changed(run):
    run.step()
    run.optimizer.defaults["lr"] = 0.02
    extra = torch.ones(3, dtype=torch.float64, requires_grad=True)
    run.optimizer.add_param_group({"params": [extra]})
    run.params.append(extra)
    run.step(3)


def duplicate_group(run):
    run.step()
    try:
        run.optimizer.add_param_group({"params": run.params[:1]})
    except ValueError:
        run.step(2)
        return len(run.optimizer.param_groups)
    return "taken"


def old_checkpoint(run):
    """torch 1.0's: whole numbers of steps, groups without the later keys."""
    run.step(3)
    saved = copy.deepcopy(run.optimizer.state_dict())
    for s in saved["state"].values():
        if "step" in s:
            s["step"] = int(s["step"])
    for g in saved["param_groups"]:
        for k in ("maximize", "foreach", "capturable", "differentiable", "fused"):
            g.pop(k, None)
    run.optimizer.load_state_dict(saved)
    run.step(3)


def hooks_of_checkpoints(run):
    run.step(2)
    seen = []
    run.optimizer.register_state_dict_post_hook(lambda o, s: seen.append("post"))
    run.optimizer.register_load_state_dict_pre_hook(lambda o, s: {**s, "param_groups": [
        {**g, "lr": 0.02} for g in s["param_groups"]]})  # fmt: skip
    run.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))
    run.step(3)
    return seen, run.group["lr"]


def clipped_by_parts(run):
    for _ in range(4):
        run.fill()
        total = nn.utils.get_total_norm([p.grad for p in run.params], foreach=False)
        nn.utils.clip_grads_with_norm_(run.params, 0.2, total)
        torch._foreach_mul_([p.grad for p in run.params], 0.5)
        run.optimizer.step()


def a_tensor_of_one_element_as_rate(run):
    run.group["lr"] = torch.tensor(0.05, dtype=torch.float64)
    run.step(2)
    run.group["lr"].mul_(0.5)
    run.step(2)
    run.group["lr"] = float(run.group["lr"])
    run.step()


def group_split_in_flight(run):
    """A head is taken out of its group into one of its own; its state stays."""
    run.step(3)
    head = run.group["params"].pop()
    run.optimizer.add_param_group({"params": [head], "lr": 0.01})
    run.step(3)


def groups_sorted(run):
    run.step(2)
    run.group["params"].sort(key=lambda p: -p.numel())
    run.step(2)
    saved = copy.deepcopy(run.optimizer.state_dict())
    run.optimizer.load_state_dict(saved)
    run.step(2)


def two_of_one_state(run):
    """A second optimizer is handed the first's state as it is, not as a checkpoint."""
    run.step(2)
    second = type(run.optimizer)(run.params, lr=0.02)
    second.state = run.optimizer.state
    run.fill()
    second.step()
    run.step(2)


def chained(run):
    """One class in front of two optimizers, whose groups are those of both, under a schedule."""

    class Both(torch.optim.Optimizer):
        def __init__(self, *parts):
            self.parts = parts
            super().__init__([p for o in parts for g in o.param_groups for p in g["params"]], {"lr": 0.1})
            self.param_groups = [g for o in parts for g in o.param_groups]

        def step(self, closure=None):
            for o in self.parts:
                o.step()

    second = [*parameters()]
    both = Both(run.optimizer, type(run.optimizer)(second, lr=0.02))
    schedule = lr_scheduler.CosineAnnealingLR(both, 5)
    run.params = [*run.params, *second]
    for _ in range(5):
        run.fill()
        both.step()
        schedule.step()


def refilled(run):
    """Gradients are kept and set in place; every other step one is None."""
    for i in range(5):
        run.step(skip=(i % 4,))
        run.optimizer.zero_grad(set_to_none=False)
        run.optimizer.step()


ACTS = [
    shared_adam, one_gradient_for_two, a_copy_of_the_weight_is_the_gradient,
    frozen_with_a_gradient_left, reset_to_the_empty_state, reset_to_the_live_empty_state, begun_again_by_init,
    partitioned, binary_net, lottery, diffusers_ema, adopts_the_average, population_based, adversarial_pair,
    monkeypatched, defaults_changed, duplicate_group, old_checkpoint, hooks_of_checkpoints, clipped_by_parts,
    a_tensor_of_one_element_as_rate, group_split_in_flight, groups_sorted, two_of_one_state, chained, refilled,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_script_ends_as_with_torchs(name, act):
    loose = {"rtol": 1e-6, "atol": 1e-8} if name == "NAdam" else {}  # torch's product of momenta is in float32
    same(name, act, **loose)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("NAdam", "AdamW", "ASGD")])  # torch decays it first
def test_the_weight_is_the_gradient(name):
    same(name, the_weight_is_the_gradient)
