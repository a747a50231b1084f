"""Round 5: what popular training loops and libraries do to an optimizer, written as they write it."""

import collections
import copy
import itertools
import types

import numpy as np
import pytest
import torch
from adversary import same
from torch import nn
from torch.optim import lr_scheduler

NAMES = ["SGD", "Adam", "AdamW", "RMSprop"]


def splatting(run):
    """3D Gaussian splatting: points are cloned, pruned and their opacities reset in mid-run."""
    o = run.optimizer
    run.step(3)
    for kind in ("cat", "prune", "reset"):
        for i, p in enumerate(list(run.params)):
            if p.dim() == 0:
                continue
            state = o.state.get(p)
            of = {
                "cat": lambda t: torch.cat((t, torch.zeros_like(t[:2])), 0),
                "prune": lambda t: t[torch.arange(len(t)) % 3 != 1],
                "reset": torch.zeros_like,
            }[kind]
            for key in [k for k, v in state.items() if isinstance(v, torch.Tensor) and v.dim()]:
                state[key] = of(state[key])
            del o.state[p]
            run.group["params"][i] = run.params[i] = nn.Parameter(of(p.detach()).requires_grad_(True))
            o.state[run.group["params"][i]] = state
        run.step(2)


def half_master_copies(run):
    """apex's FP16_Optimizer: groups come to hold float32 copies, with the states that were there."""
    o = run.optimizer
    run.step(2)
    for i, p in enumerate(list(run.params)):
        master = p.detach().clone().float().requires_grad_()
        o.state[master] = o.state.pop(p)
        run.group["params"][i] = run.params[i] = master
    o.load_state_dict(o.state_dict())
    run.step(3)


def gradient_surgery(run):
    """PCGrad: gradients of tasks flattened, projected and put back as pieces of one vector."""
    for _ in range(4):
        run.fill()
        flat = torch.cat([p.grad.flatten() for p in run.params])
        other = flat.flip(0)
        flat = flat - (flat @ other) * other / (other.norm() ** 2)
        at = 0
        for p in run.params:
            p.grad = flat[at : at + p.numel()].view(p.shape)
            at += p.numel()
        run.optimizer.step()


def lightning_class(run):
    """Lightning 1's LightningOptimizer: another object with the same dictionary and a class made on the spot."""
    o = run.optimizer

    class Base:
        def __init__(self, optimizer):
            self.__dict__ = {k: v for k, v in optimizer.__dict__.items() if k not in ("step", "__del__")}
            self.__class__ = type("Lightning" + type(optimizer).__name__, (Base, type(optimizer)), {})
            self.inner = optimizer

        def step(self, closure=None):
            return self.inner.step(closure)

    run.optimizer = Base(o)
    run.step(2)
    run.optimizer.param_groups[0]["lr"] *= 0.5
    run.step(2)
    run.optimizer.load_state_dict(run.optimizer.state_dict())
    run.step(2)
    return len(run.optimizer.state)


def accelerated(run):
    """Accelerate's AcceleratedOptimizer: step is patched in the object, around a scaler, and taken back."""
    o, called = run.optimizer, []
    method = o.step

    def patched(*args, **kwargs):
        called.append(1)
        return method(*args, **kwargs)

    o.step = patched
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for i in range(4):
        run.fill()
        for p in run.params:
            p.grad *= scaler.scale(torch.ones((), dtype=torch.float64)) if i != 2 else torch.inf
        scaler.unscale_(o)
        scaler.step(o)
        scaler.update()
    o.step = method
    run.step(2)
    return len(called)


def bound_by_types(run):
    """DeepSpeed and old schedules: the step's function is taken and bound anew."""
    o = run.optimizer
    function = o.step.__func__
    o.step = types.MethodType(lambda self, closure=None: function(self, closure), o)
    schedule = lr_scheduler.StepLR(o, 2, 0.5)
    for _ in range(4):
        run.step()
        schedule.step()


def clipping_class(run):
    """detectron2: the class is replaced by one made on the spot that clips over all groups."""
    cls = type(run.optimizer)

    class Full(cls):
        def step(self, closure=None):
            nn.utils.clip_grad_norm_(itertools.chain(*[g["params"] for g in self.param_groups]), 0.5)
            super().step(closure=closure)

    run.optimizer.__class__ = Full
    run.step(4)


def yolo(run):
    """YOLOv5: three groups, warm-up by np.interp of rate and momentum, accumulated gradients."""
    cls, p = type(run.optimizer), run.params
    o = run.optimizer = cls([p[1]], lr=0.01)
    o.add_param_group({"params": [p[0]], "weight_decay": 5e-4})
    o.add_param_group({"params": p[2:], "weight_decay": 0.0})
    schedule = lr_scheduler.LambdaLR(o, lr_lambda=lambda x: (1 - x / 10) * 0.9 + 0.1)
    for epoch in range(3):
        for i in range(4):
            at = epoch * 4 + i
            for j, g in enumerate(o.param_groups):
                g["lr"] = np.interp(at, [0, 8], [0.1 if j == 0 else 0.0, g["initial_lr"] * (1 - epoch / 10)])
                if "momentum" in g and at:
                    g["momentum"] = np.interp(at, [0, 8], [0.8, 0.937])
            run.fill()
            if i % 2:
                o.step()
                o.zero_grad()
        schedule.step()


def lr_finder(run):
    """fastai's: weights and optimizer are kept, the rate climbs by a factor a step, both are put back."""
    o = run.optimizer
    run.step()
    kept, weights = copy.deepcopy(o.state_dict()), run.values()
    for i in range(10):
        run.group["lr"] = 1e-6 * 10 ** (i * 0.7)
        run.step()
    o.load_state_dict(kept)
    with torch.no_grad():
        for p, w in zip(run.params, weights, strict=True):
            p.copy_(w)
    run.step(3)


def reptile(run):
    """Reptile: inner steps on a copy, whose optimizer goes on from one state of all tasks."""
    state = None
    for _ in range(3):
        inner = [p.detach().clone().requires_grad_() for p in run.params]
        o = type(run.optimizer)(inner, lr=0.02)
        if state is not None:
            o.load_state_dict(state)
        for _ in range(3):
            run.fill()
            for p, q in zip(run.params, inner, strict=True):
                q.grad = p.grad.clone()
            o.step()
        state = o.state_dict()
        for p, q in zip(run.params, inner, strict=True):
            p.grad = p.data - q.data
        run.optimizer.step()


def lookahead(run):
    """lonePatient's Lookahead: a wrapper that shares groups and keeps slow weights in the same state."""
    o = run.optimizer
    for g in o.param_groups:
        g["counter"] = 0
    for _ in range(7):
        run.step()
        for g in o.param_groups:
            g["counter"] += 1
            if g["counter"] % 3 == 0:
                for p in g["params"]:
                    s = o.state[p]
                    if "slow_buffer" not in s:
                        s["slow_buffer"] = torch.empty_like(p.data).copy_(p.data)
                    s["slow_buffer"].add_(p.data - s["slow_buffer"], alpha=0.5)
                    p.data.copy_(s["slow_buffer"])
    o.load_state_dict(o.state_dict())
    run.step()
    return sorted(o.state[run.params[0]].keys() & {"slow_buffer"})


def dormant(run):
    """ReDo and shrink-and-perturb: moments of some units are zeroed by a mask, weights shrunk."""
    for _ in range(3):
        run.step(2)
        for p in run.params:
            mask = torch.arange(p.numel()).view(p.shape) % 2 == 0
            for v in run.optimizer.state.get(p, {}).values():
                if isinstance(v, torch.Tensor) and v.shape == p.shape and v.dim():
                    v[mask] = 0
            with torch.no_grad():
                p.mul_(0.8).add_(0.01)


def to_device(run):
    """What everyone copies: states are moved to the device one by one after loading."""
    run.step(2)
    run.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))
    for state in run.optimizer.state.values():
        for k, v in state.items():
            if torch.is_tensor(v):
                state[k] = v.to("cpu", copy=True)
    run.step(2)


def vectorized(run):
    """Flat vectors: weights are read and written as one vector between steps."""
    for _ in range(3):
        run.step()
        vector = nn.utils.parameters_to_vector(run.params)
        nn.utils.vector_to_parameters(vector.detach() * 0.9, run.params)


def reset(run):
    run.step(3)
    run.optimizer.state = collections.defaultdict(dict)
    run.step(3)


def grads_are_parameters(run):
    for _ in range(3):
        run.fill()
        for p in run.params:
            p.grad = nn.Parameter(p.grad, requires_grad=False)
        run.optimizer.step()


def saved_by_numpy(run):
    """States through numpy and back, as those do who ship them between machines."""
    run.step(2)
    saved = run.optimizer.state_dict()
    for s in saved["state"].values():
        for k, v in s.items():
            s[k] = torch.from_numpy(np.array(v.numpy())) if torch.is_tensor(v) else v
    run.optimizer.load_state_dict(saved)
    run.step(2)


def restarts_of_schedules(run):
    """Schedules made anew over an optimizer that has had one, at a later epoch."""
    first = lr_scheduler.ExponentialLR(run.optimizer, 0.8)
    for _ in range(3):
        run.step()
        first.step()
    second = lr_scheduler.CosineAnnealingLR(run.optimizer, 5, last_epoch=2)
    for _ in range(3):
        run.step()
        second.step()
    return round(run.group["lr"], 12)


def plateau(run):
    schedule = lr_scheduler.ReduceLROnPlateau(run.optimizer, "min", factor=0.3, patience=0, cooldown=1, min_lr=[1e-4])
    for i in range(6):
        run.step()
        schedule.step(torch.tensor([3.0, 2.0, 2.5, 2.6, 1.0, float("nan")][i]))


ACTS = [
    splatting, half_master_copies, gradient_surgery, lightning_class, accelerated, bound_by_types, clipping_class, yolo,
    lr_finder, reptile, lookahead, dormant, to_device, vectorized, reset, grads_are_parameters,
    saved_by_numpy, restarts_of_schedules, plateau,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_as_practitioners_do(name, act):
    loose = {"rtol": 1e-5, "atol": 1e-6} if act is half_master_copies else {}
    same(name, act, **loose)
