"""Mixed precision and accumulation: a step behind a `GradScaler` is the step of the unscaled gradients, or none."""

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import fitted
from scope import THOROUGH, crossed, typical
from thalweg.optim.classes import drop_ins

SCALE = 2.0**9  # a power of two, so that nothing is rounded
SOME = typical(drop_ins()) if THOROUGH else {name: drop_ins()[name] for name in ("SGD", "Adam", "NAdam", "Lion")}
OPTIONS = ({}, {"clip_global_norm": 0.5, "weight_decay": 0.1}, {"clip_adaptive": 0.01}, {"cautious": True})


def scaler():
    return torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=1000)


def path(cls, *, scaled, overflow=(), unscaled=False, steps=6, **options):
    generator = torch.Generator().manual_seed(1)
    params = [nn.Parameter(torch.randn(s, generator=generator)) for s in ((5, 7), (3,))]
    optimizer, by = cls(fitted(cls, params), **options), scaler()
    for step in range(steps):
        gradients = [torch.randn(p.shape, generator=generator) for p in params]
        if step in overflow:
            gradients[0][0, 0] = torch.inf
        if not scaled:
            if step in overflow:
                continue
            for p, g in zip(params, gradients, strict=True):
                p.grad = g
            optimizer.step()
            continue
        loss = sum((p * g).sum() for p, g in zip(params, gradients, strict=True))
        optimizer.zero_grad()
        by.scale(loss).backward()
        if unscaled:
            by.unscale_(optimizer)
        by.step(optimizer)
        by.update(SCALE)
    return [p.detach() for p in params]


@pytest.mark.parametrize("fused", [None, True])
@pytest.mark.parametrize(("cls", "options"), crossed(SOME, OPTIONS), ids=str)
def test_scaled_is_unscaled(cls, options, fused):
    plain, scaled = (path(cls, scaled=s, fused=fused, **options) for s in (False, True))
    off = 8 * 6 * torch.finfo(torch.float32).eps  # six steps, of which a kernel may fuse what the other does not
    torch.testing.assert_close(scaled, plain, rtol=off, atol=off)


HOW = [{}, {"fused": True}, {"capturable": True}, {"fused": True, "capturable": True}]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("unscaled", [False, True])
@pytest.mark.parametrize("name", ["Adam", "SGD", "NAdam", "Muon", "NorMuon"])
def test_a_step_that_overflows_never_was(name, unscaled, how):
    cls = drop_ins()[name]
    plain = path(cls, scaled=False, overflow=(1, 4))
    scaled = path(cls, scaled=True, overflow=(1, 4), unscaled=unscaled, **how)
    torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parameters_in_half_precision(dtype):
    """torch's scaler refuses to unscale gradients in float16, and leaves them to a fused optimizer."""
    p = nn.Parameter(torch.ones(1000, dtype=dtype))
    optimizer, by = thalweg.optim.AdamW([p], lr=1e-3, weight_decay=0.0, fused=True), scaler()
    for _ in range(100):
        optimizer.zero_grad()
        by.scale(p.sum()).backward()
        by.step(optimizer)
        by.update(SCALE)
    assert abs(p.float().mean().item() - 0.9) < 0.01


def test_accumulation():
    """Gradients of parts add up to those of the whole."""
    ends = []
    for parts in (1, 4):
        torch.manual_seed(0)
        model = nn.Linear(3, 1).double()
        optimizer, x = thalweg.optim.Adam(model.parameters(), lr=0.1), torch.randn(8, 3).double()
        for _ in range(5):
            optimizer.zero_grad()
            for part in x.chunk(parts):
                (model(part).square().sum() / len(x)).backward()
            optimizer.step()
        ends.append(model.weight.detach())
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_the_backward_pass(dtype):
    """An optimizer a parameter, stepped as soon as its gradient is there."""
    ends = []
    for inside in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)
        make = {p: thalweg.optim.AdamW([p], lr=0.1) for p in model.parameters()}
        if inside:
            for p, optimizer in make.items():
                p.register_post_accumulate_grad_hook(lambda _, own=optimizer: (own.step(), own.zero_grad())[1])
        for _ in range(5):
            model(torch.ones(2, 3, dtype=dtype)).square().sum().backward()
            for p, optimizer in make.items() if not inside else ():
                optimizer.step()
                p.grad = None
        ends.append([p.detach() for p in model.parameters()])
    assert all(map(torch.equal, *ends))


@pytest.mark.parametrize(
    "options", [{}, {"clip_global_norm": 1.0}, {"centralize": True}, {"capturable": True}], ids=str
)
def test_small_gradients_survive_unscaling_in_float16(options):
    p = nn.Parameter(torch.zeros(2, 4, dtype=torch.float16))
    optimizer, scaler = thalweg.optim.Adam([p], lr=1e-2, eps=1e-12, fused=True, **options), torch.amp.GradScaler("cpu")
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale((p * torch.tensor([2e-8, -2e-8, 2e-8, -2e-8])).sum()).backward()
        scaler.step(optimizer)
        scaler.update(65536.0)
    assert p.abs().min() > 0.02
