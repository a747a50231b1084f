"""Round 5: options of ours against the code that repositories publish, configuration files, and odd hosts."""

import collections
import copy
import inspect
import io
import itertools
import pickle
import warnings
from collections import UserList

import numpy as np
import pytest
import torch
from adversary import THEIRS, Run, gradient, parameters
from torch import nn
from torch.optim import lr_scheduler

import thalweg.optim
from thalweg import InputError


def close(ours, theirs, rtol=1e-10, atol=1e-11):
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)


# --- an option of ours, and what a loop around torch's optimizer does instead ---


def clip_value(run):
    nn.utils.clip_grad_value_(run.params, 0.3)


def clip_norm(run):
    nn.utils.clip_grad_norm_(run.params, 0.3)


def clip_each(run):
    for p in run.params:
        nn.utils.clip_grad_norm_([p], 0.3)


def clip_adaptive(run):
    """timm's adaptive_clip_grad."""

    def norm(x):
        return x.norm() if x.ndim <= 1 else x.norm(dim=tuple(range(1, x.ndim)), keepdim=True)

    for p in run.params:
        most = norm(p.detach()).clamp_(min=1e-3).mul_(0.3)
        n = norm(p.grad)
        p.grad.copy_(torch.where(n < most, p.grad, p.grad * (most / n.clamp(min=1e-6))))


def centralize(run):
    for p in run.params:
        if p.dim() > 1:
            p.grad.add_(-p.grad.mean(dim=tuple(range(1, p.dim())), keepdim=True))


BEFORE = {
    "clip_value": (0.3, clip_value), "clip_global_norm": (0.3, clip_norm), "clip_tensor_norm": (0.3, clip_each),
    "clip_adaptive": (0.3, clip_adaptive), "centralize": (True, centralize),
}  # fmt: skip


@pytest.mark.parametrize("option", BEFORE)
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_an_option_does_what_the_line_before_the_step_does(name, option):
    value, act = BEFORE[option]
    ours = Run(getattr(thalweg.optim, name), **THEIRS[name], **{option: value})
    theirs = Run(getattr(torch.optim, name), **THEIRS[name])
    for _ in range(6):
        ours.step()
        theirs.fill()
        act(theirs)
        theirs.optimizer.step()
    close(ours.values(), theirs.values(), 1e-6, 1e-6)


def test_an_average_is_timms_model_ema():
    run = Run(thalweg.optim.Adam, lr=0.05, ema_decay=0.9)
    twin = Run(torch.optim.Adam, lr=0.05)
    ema = [p.clone() for p in twin.values()]
    for _ in range(8):
        run.step()
        twin.step()
        for e, p in zip(ema, twin.values(), strict=True):
            e.mul_(0.9).add_(p, alpha=0.1)
    with run.optimizer.averaged_weights():
        inside = run.values()
    plain = ema
    if not all(torch.allclose(a, b) for a, b in zip(inside, plain, strict=True)):
        start = [p.detach() for p in parameters()]
        unbiased = [(e - 0.9**8 * s) / (1 - 0.9**8) for e, s in zip(ema, start, strict=True)]
        close(inside, unbiased)
    close(run.values(), twin.values())


# --- configuration as it comes ---


class ListConfig(collections.abc.Sequence):
    """OmegaConf's: a sequence that is neither list nor tuple."""

    def __init__(self, values):
        self._values = list(values)

    def __getitem__(self, at):
        return self._values[at]

    def __len__(self):
        return len(self._values)


BETAS = {
    "list": [0.8, 0.99], "config": ListConfig([0.8, 0.99]), "user list": UserList([0.8, 0.99]),
    "numpy": np.array([0.8, 0.99]), "tensors": (torch.tensor(0.8, dtype=torch.float64), 0.99),
    "float32": (np.float32(0.5), np.float32(0.75)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BETAS)
def test_betas_as_configuration_gives_them(kind):
    def act(run):
        run.step(2)
        saved = copy.deepcopy(run.optimizer.state_dict())
        run.optimizer.load_state_dict(saved)
        run.step(2)

    runs = [Run(thalweg.optim.Adam, betas=b) for b in (BETAS[kind], tuple(float(b) for b in BETAS[kind]))]
    for run in runs:
        act(run)
    close(*(run.values() for run in runs))


@pytest.mark.parametrize(
    "wrong", [{"lr": "1e-3"}, {"betas": "0.9,0.99"}, {"betas": 0.9}, {"betas": None}, {"eps": None}, {"lr": [0.1]},
              {"weight_decay": None}, {"lr": np.array([0.1, 0.2])}, {"betas": (0.9,)}, {"amsgrad": "False"}, {"lr": 1j},
              {"lr": True}], ids=str)  # fmt: skip
def test_configuration_that_is_wrong_is_refused_in_a_sentence(wrong):
    try:
        thalweg.optim.Adam(parameters(), **wrong)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) > 20  # noqa: PT017
    else:
        assert wrong in ({"lr": True},), wrong


def test_nanogpt_asks_the_signature_for_fused():
    assert "fused" in inspect.signature(thalweg.optim.AdamW).parameters
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    groups = [
        {"params": [p for p in named.values() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in named.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    twin = copy.deepcopy(model)
    both = [
        thalweg.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), fused=True),
        torch.optim.AdamW(
            [
                {**g, "params": [p for p in twin.parameters() if (p.dim() >= 2) == (i == 0)]}
                for i, g in enumerate(groups)
            ],
            lr=1e-2, betas=(0.9, 0.95), fused=True,
        ),
    ]  # fmt: skip
    x = torch.linspace(-1, 1, 24).view(8, 3)
    for m, o in zip((model, twin), both, strict=True):
        for i in range(5):
            for g in o.param_groups:
                g["lr"] = 1e-2 * (i + 1) / 5
            m(x).square().mean().backward()
            nn.utils.clip_grad_norm_(m.parameters(), 1.0)
            o.step()
            o.zero_grad(set_to_none=True)
    close(list(model.parameters()), list(twin.parameters()), 1e-5, 1e-6)


PARAMS = {
    "filter": lambda ps: filter(lambda p: p.requires_grad, ps), "map": lambda ps: (p for p in ps),
    "chain": lambda ps: itertools.chain(ps[:2], ps[2:]), "ParameterList": nn.ParameterList,
    "named": lambda ps: [(f"p{i}", p) for i, p in enumerate(ps)],
    "dict of groups": lambda ps: [{"params": (p for p in ps[:2]), "name": "a", "lr_scale": 0.5}, {"params": ps[2:]}],
    "one tensor in a group": lambda ps: [{"params": ps[0]}, {"params": ps[1:]}],
    "named in groups": lambda ps: [
        {"params": [("w", ps[0])]}, {"params": [(f"b{i}", p) for i, p in enumerate(ps[1:])]},
    ],
    "an object array": lambda ps: _array(ps),
}  # fmt: skip


def _array(ps):
    made = np.empty(len(ps), dtype=object)
    for i, p in enumerate(ps):
        made[i] = p
    return made


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", PARAMS)
def test_parameters_given_as(kind):
    ends = []
    for module in (thalweg.optim, torch.optim):
        ps = [nn.Parameter(p.detach()) for p in parameters()]
        o = module.Adam(PARAMS[kind](ps), lr=0.1)
        for step in range(4):
            for p in ps:
                p.grad = gradient(p, step)
            for g in o.param_groups:
                g["lr"] = 0.1 * g.get("lr_scale", 1.0)
            o.step()
            o.load_state_dict(pickle.loads(pickle.dumps(o.state_dict())))
        ends.append([p.detach() for p in ps])
    close(*ends)


# --- schedules over classes that torch has not ---

SCHEDULES = {
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.05, total_steps=9),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-2, step_size_up=3, cycle_momentum=False),
    "warm-up and cosine": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.CosineAnnealingLR(o, 6)], [3]),
}  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", [
    "Lion", "Adan", "AdEMAMix", "LaProp", "ADOPT", "AdaBelief", "QHAdam", "AggMo", "MADGRAD", "NAG", "Signum", "Yogi",
    "Grams", "Padam", "AccSGD", "QHM", "MSVAG"])  # fmt: skip
def test_a_schedule_saved_in_its_middle_goes_on(name, schedule):
    """And without a warning: all are errors here."""

    def made():
        run = Run(getattr(thalweg.optim, name), lr=1e-2)
        return run, SCHEDULES[schedule](run.optimizer)

    def go(run, s, n):
        for _ in range(n):
            run.step()
            s.step()

    try:
        run, s = made()
    except ValueError as error:  # torch's own, of a class without momentum
        assert "momentum" in str(error)  # noqa: PT017
        return
    go(run, s, 4)
    file = io.BytesIO()
    torch.save({"o": run.optimizer.state_dict(), "s": s.state_dict(), "p": run.values()}, file)
    go(run, s, 4)
    file.seek(0)
    other, t = made()
    saved = torch.load(file, weights_only=schedule != "one cycle")
    other.steps = 4
    with torch.no_grad():
        for p, v in zip(other.params, saved["p"], strict=True):
            p.copy_(v)
    other.optimizer.load_state_dict(saved["o"])
    t.load_state_dict(saved["s"])
    go(other, t, 4)
    close(other.values(), run.values(), 1e-12, 1e-12)
    assert all(torch.isfinite(v).all() for v in run.values())


def test_no_warning_of_the_order_where_the_order_is_right():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = Run(thalweg.optim.SGD, lr=0.1)
        for make in (lambda o: lr_scheduler.StepLR(o, 1), lambda o: lr_scheduler.ExponentialLR(o, 0.9)):
            s = make(run.optimizer)
            for _ in range(2):
                run.fill()
                run.optimizer.step(lambda: torch.zeros(()))
                s.step()
