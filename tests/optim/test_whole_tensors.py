"""LARS, LAMB and max-norm, which measure whole tensors: by hand in plain torch, in every dtype and on every way."""

import itertools
from unittest.mock import Mock

import pytest
import torch
from torch import nn

import thalweg.optim
from problems import refused
from scope import in_turns
from thalweg.errors import InputError
from thalweg.execution import dispatch

SHAPES = ((5, 7), (7,), (4, 3, 2, 2), ())
SETTINGS = {
    "LARS": ({}, {"weight_decay": 0.1}, {"momentum": 0.0}, {"nesterov": True, "weight_decay": 0.1}),
    "LAMB": ({}, {"weight_decay": 0.1}),
    "SGD": ({"momentum": 0.9, "max_norm": 0.8}, {"max_norm": 0.8, "weight_decay": 0.1}),
}
EVERY = [(n, o) for n, of in SETTINGS.items() for o in of]
every_setting = pytest.mark.parametrize(("name", "options"), EVERY, ids=str)
WAYS = list(itertools.product([False, True], ["compensated", "stochastic", "nearest"]))


def made(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype)) for s in SHAPES]


def gradient(p, step):
    generator = torch.Generator().manual_seed(100 * step + p.numel())
    return torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)


def trained(name, dtype=torch.float64, steps=6, params=None, lr=0.05, **options):
    params = made(dtype) if params is None else params
    optimizer = getattr(thalweg.optim, name)(params, lr=lr, **options)
    for step in range(steps):
        for p in params:
            p.grad = gradient(p, step)
        optimizer.step()
    return [p.detach() for p in params], optimizer


def limited(p, limit):
    return p * (limit / p.flatten(1).norm(dim=1)).clamp(max=1).view(-1, *[1] * (p.ndim - 1)) if p.ndim > 1 else p


def by_hand(name, steps=6, lr=0.05, weight_decay=0.0, momentum=None, nesterov=False, max_norm=0.0):
    """The papers' steps, a tensor at a time."""
    ends, momentum = [], {"LARS": 0.9, "SGD": 0.0}.get(name) if momentum is None else momentum
    for p in made():
        w, m, v = p.detach().clone(), torch.zeros_like(p), torch.zeros_like(p)
        for step in range(steps):
            g = gradient(w, step)
            if name == "LAMB":
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                u = m / (1 - 0.9 ** (step + 1)) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-6) + weight_decay * w
                w = w - lr * w.norm() / u.norm() * u
                continue
            ratio = 1e-3 * w.norm() / (g.norm() + weight_decay * w.norm() + 1e-8) if name == "LARS" else 1.0
            step_of = ratio * (g + weight_decay * w)
            m = momentum * m + step_of
            w = w - lr * (step_of + momentum * m if nesterov else m)
            w = limited(w, max_norm) if max_norm else w
        ends.append(w)
    return [w.detach() for w in ends]


@every_setting
@pytest.mark.parametrize("capturable", [False, True])
def test_float64(name, options, capturable):
    found, _ = trained(name, **options, capturable=capturable)
    torch.testing.assert_close(found, by_hand(name, **options), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("setting", "way"), in_turns(EVERY, WAYS), ids=str)
def test_bfloat16(setting, way):
    """Compensated, the steps are float32's; else each rounds the parameter, by a unit in its last place at most."""
    (name, options), (capturable, rounding) = setting, way
    start, lr = [p.detach().double() for p in made(torch.bfloat16)], 10.0 if name == "LARS" else 0.05
    exact, _ = trained(name, params=[nn.Parameter(p.clone()) for p in start], lr=lr, **options)
    found, optimizer = trained(name, torch.bfloat16, lr=lr, rounding=rounding, capturable=capturable, **options)
    for p, q, begun in zip(found, exact, start, strict=True):
        residual = 0.01 if rounding == "compensated" else 6 * 2**-8
        torch.testing.assert_close(p.double(), q, rtol=residual, atol=residual)
        assert not torch.equal(p.double(), begun)
        if "max_norm" in options and p.ndim > 1:
            assert p.float().flatten(1).norm(dim=1).max() <= 0.8 * (1 + 2**-8)
    assert ("compensation" in optimizer.state[optimizer.param_groups[0]["params"][0]]) == (rounding == "compensated")


@pytest.mark.parametrize("name", ["LARS", "LAMB", "Adam"])
def test_8_bit_states(name):
    options = {"max_norm": 2.0} if name == "Adam" else {"weight_decay": 0.1}
    ends = []
    for state_dtype in (None, "8bit"):
        torch.manual_seed(0)
        params = [nn.Parameter(torch.randn(64, 80))]
        found, optimizer = trained(name, params=params, steps=10, state_dtype=state_dtype, **options)
        ends.append(found[0])
    assert any(state.dtype == torch.uint8 for state in optimizer.state[params[0]].values())
    start = torch.randn(64, 80, generator=torch.Generator().manual_seed(0))
    moved = (ends[0] - start).norm()
    assert (ends[1] - ends[0]).norm() < 0.1 * moved
    if name == "Adam":
        assert (ends[1].norm(dim=1) <= 2.0 * (1 + 1e-6)).all()


@pytest.mark.parametrize("name", ["LARS", "LAMB"])
def test_a_sparse_gradient_is_the_dense_one(name):
    """Their norms are of whole tensors, so that every row moves."""
    ends = []
    for sparse in (True, False):
        torch.manual_seed(0)
        embedding = nn.Embedding(20, 4, sparse=sparse)
        optimizer = getattr(thalweg.optim, name)(embedding.parameters(), lr=0.1, weight_decay=0.1)
        for index in ([1, 5, 5], [2], [19, 1]):
            optimizer.zero_grad()
            embedding(torch.tensor(index)).square().sum().backward()
            optimizer.step()
        ends.append(embedding.weight.detach())
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-7)


def test_max_norm_of_the_rows_that_a_sparse_gradient_touches():
    """As `nn.Embedding(max_norm=…)` limits those that are looked up."""
    embedding = nn.Embedding(20, 4, sparse=True)
    with torch.no_grad():
        embedding.weight.fill_(2.0)
    optimizer = thalweg.optim.SGD(embedding.parameters(), lr=0.1, max_norm=1.0)
    embedding(torch.tensor([3, 7])).sum().backward()
    optimizer.step()
    sizes = embedding.weight.detach().norm(dim=1)
    torch.testing.assert_close(sizes[[3, 7]], torch.ones(2))
    assert (sizes[[0, 1, 2, 4]] == 4.0).all()


def test_units_within_the_limit_stay_as_they_are():
    p = nn.Parameter(torch.tensor([[0.3, 0.4], [3.0, 4.0]]))
    optimizer = thalweg.optim.SGD([p], lr=0.1, max_norm=1.0)
    for _ in range(1000):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert p[0].tolist() == torch.tensor([0.3, 0.4]).tolist()
    torch.testing.assert_close(p[1].detach(), torch.tensor([0.6, 0.8]))


def test_a_constrained_group_of_many_dtypes():
    """Each parameter as in a group of its own."""
    dtypes, ends = (torch.float64, torch.bfloat16, torch.float32), []
    for together in (True, False):
        generator = torch.Generator().manual_seed(0)
        params = [nn.Parameter(torch.randn(300, 300, generator=generator).to(dtype)) for dtype in dtypes]
        groups = [{"params": params}] if together else [{"params": [p]} for p in params]
        optimizer = thalweg.optim.SGD(groups, lr=0.05, max_norm=5.0, momentum=0.9, rounding="nearest")
        for step in range(4):
            for p in params:
                p.grad = gradient(p, step)
            optimizer.step()
        ends.append(params)
    assert all(torch.equal(p, q) for p, q in zip(*ends, strict=True))


@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_step_that_fails_before_it_is_rounded(by_kernel, monkeypatch):
    """The float32 copy of that step is forgotten: the next steps write the parameter."""
    if not by_kernel:
        monkeypatch.setattr(dispatch, "obstacle", refused)
    p = nn.Parameter(torch.ones(4, 5, dtype=torch.bfloat16))
    optimizer = thalweg.optim.SGD([p], lr=0.5, max_norm=10.0)
    for step in range(4):
        p.grad = torch.ones_like(p)
        with monkeypatch.context() as patch:
            if step == 2:
                patch.setattr("thalweg.execution.whole.constrained", Mock(side_effect=MemoryError))
                with pytest.raises(MemoryError):
                    optimizer.step()
            else:
                optimizer.step()
    assert p.eq(1 - 3 * 0.5).all()


def test_the_global_norm_is_of_all_groups_whatever_their_options():
    """A group that does not clip adds to the norm by which another clips, as does one that ascends."""
    params = [nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(3)]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "clip_global_norm": 0.0}]
    groups.append({"params": [params[2]], "maximize": True, "centralize": True})
    optimizer = thalweg.optim.SGD(groups, lr=1.0, clip_global_norm=1.0)
    for _ in range(4):  # the general path, then the prepared one
        for p, size in zip(params, (3.0, 4.0, 12.0), strict=True):
            p.grad = torch.tensor([size, 0.0], dtype=torch.float64)
        optimizer.step()
    factor = 1 / (13 + 1e-6)
    expected = [-4 * 3 * factor, -4 * 4.0, 4 * 12 * factor]
    torch.testing.assert_close([p[0].item() for p in params], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["LARS", "LAMB"])
def test_their_decay_is_their_own(name):
    cls = getattr(thalweg.optim, name)
    for other in ("decoupled_weight_decay", "independent_weight_decay"):
        with pytest.raises(InputError, match="its weight_decay is part of its formula"):
            cls([nn.Parameter(torch.ones(2))], **{other: True})


@pytest.mark.parametrize("name", ["LARS", "LAMB"])
def test_a_tensor_at_zero_moves_by_the_rate_itself(name):
    p = nn.Parameter(torch.zeros(3))
    optimizer = getattr(thalweg.optim, name)([p], lr=0.5)
    p.grad = torch.full((3,), 2.0)
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.full((3,), -1.0 if name == "LARS" else -0.5))
