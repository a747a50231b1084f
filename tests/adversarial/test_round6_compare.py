"""Round 6: models of repositories whose state, parts or noise lie in odd places, each beside the plain loop."""

import contextvars
import itertools
import weakref
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import held, numbers
from round3 import lower
from round5 import Of
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

L, P = nn.Linear, nn.Parameter


def ab() -> dict[str, Any]:
    return {"a": L(4, 4), "b": L(4, 1)}


def default_argument(m: Any, x: Tensor, seen: Any = weakref.WeakKeyDictionary()) -> Tensor:  # noqa: B006
    k = m
    seen[k] = seen.get(k, 0) + m.training
    return m.b(torch.tanh(m.a(x))) * (1.0 if seen[k] < 9 else 0.8)


def by_context(m: Any, x: Tensor) -> Tensor:
    if m.training:
        m.var.set(m.var.get() + 1)
    return m.b(torch.tanh(m.a(x))) * (1.0 if m.var.get() < 9 else 0.8)


def by_iterator(m: Any, x: Tensor) -> Tensor:
    n = next(m.it) if m.training else 0
    return m.b(torch.tanh(m.a(x))) * (1.0 if n < 9 else 0.8)


def late(m: Any, x: Tensor) -> Tensor:
    """A count in a numpy array, changed in place."""
    m.np[0] += m.training
    return m.b(torch.tanh(m.a(x))) * (1.0 if m.np[0] < 9 else 0.8)


def actnorm(m: Any, x: Tensor) -> Tensor:
    """Data-dependent initialisation by a flag in a buffer."""
    h = m.a(x)
    if m.training and not m.initialized.item():
        with torch.no_grad():
            m.s.data.copy_(1 / h.std(0))
            m.t.data.copy_(-h.mean(0))
            m.initialized.fill_(1)
    return m.b((h + m.t) * m.s)


def actnorm_python(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    if not m.count:
        m.count = 1
        m.s.data = 1 / h.detach().std(0)
        m.t.data = -h.detach().mean(0)
    return m.b((h + m.t) * m.s)


def averaged_in_evaluation(m: Any, x: Tensor) -> Tensor:
    """Evaluated with an average of its weights, kept in the forward pass."""
    if m.training:
        with torch.no_grad():
            m.w.lerp_(m.b.weight, 0.3)
        return m.b(torch.tanh(m.a(x)))
    return F.linear(torch.tanh(m.a(x)), m.w, m.b.bias)


def views_of_a_buffer(m: Any, x: Tensor) -> Tensor:
    mean, var = m.stats[0], m.stats[1]
    if m.training:
        mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
        var.mul_(0.9).add_(x.var(0), alpha=0.1)
    return m.a((x - m.stats[0].clone()) / (m.stats[1].clone() + 0.1).sqrt())


def spatial_transformer(m: Any, x: Tensor) -> Tensor:
    theta = torch.eye(2, 3, dtype=x.dtype) + 0.1 * m.a(x).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(x), 1, 2, 2], align_corners=False)
    return m.b(F.grid_sample(x.view(-1, 1, 2, 2), grid, align_corners=False).flatten(1))


def googlenet(m: Any, x: Tensor) -> Any:
    h = torch.tanh(m.a(x))
    return (m.b(h), m.c(h)) if m.training else m.b(h)


def with_aux(o: Any, t: Tensor) -> Tensor:
    return F.mse_loss(o[0], t) + 0.4 * F.mse_loss(o[1], t) if isinstance(o, tuple) else F.mse_loss(o, t)


def spiking(m: Any, x: Tensor) -> Tensor:
    v, out = torch.zeros_like(m.a(x)), 0
    for _ in range(4):
        v = 0.9 * v + m.a(x)
        surrogate = torch.sigmoid(4 * (v - 0.5))
        s = ((v > 0.5).to(v) - surrogate).detach() + surrogate
        v = v - s.detach() * 0.5
        out = out + m.b(s)
    return out / 4


def mamba(m: Any, x: Tensor) -> Tensor:
    h, out = x.new_zeros(len(x), 4), []
    u, dt = m.a(x).chunk(2, -1)
    for i in range(2):
        decay = torch.exp(-F.softplus(dt[:, i : i + 1]) * m.w.exp())
        h = decay * h + u[:, i : i + 1]
        out.append(h)
    return m.b(torch.stack(out, 1).mean(1))


def slots(m: Any, x: Tensor) -> Tensor:
    s = m.w.expand(len(x), -1, -1)
    keys = m.a(x).view(-1, 2, 4)
    for _ in range(3):
        att = (keys @ s.transpose(1, 2)).softmax(-1) + 1e-8
        s = m.cell(((att / att.sum(1, keepdim=True)).transpose(1, 2) @ keys).flatten(0, 1), s.flatten(0, 1)).view_as(s)
    return m.b(s.mean(1))


def capsules(m: Any, x: Tensor) -> Tensor:
    u = m.a(x).view(-1, 3, 2, 2)
    b = torch.zeros(len(x), 3, 2, 1, dtype=x.dtype)
    for _ in range(3):
        s = (b.softmax(2) * u).sum(1, keepdim=True)
        v = s * (s.norm(dim=-1, keepdim=True) / (1 + s.square().sum(-1, keepdim=True)))
        b = b + (u.detach() * v).sum(-1, keepdim=True)
    return m.b(v.flatten(1))


def sinkhorn(m: Any, x: Tensor) -> Tensor:
    s = m.a(x).view(-1, 4, 4)
    for _ in range(5):
        s = s - s.logsumexp(2, keepdim=True)
        s = s - s.logsumexp(1, keepdim=True)
    return m.b((s.exp() @ x[..., None])[..., 0])


def kan(m: Any, x: Tensor) -> Tensor:
    basis = torch.exp(-((x[..., None] - torch.linspace(-2, 2, 5, dtype=x.dtype)) ** 2))
    return torch.einsum("bik,iko->bo", basis, m.w) + m.b(F.silu(x))


def top_k_sparse(m: Any, x: Tensor) -> Any:
    h = m.a(x)
    v, i = h.topk(2, -1)
    return m.b(torch.zeros_like(h).scatter(-1, i, v.relu()))


def unit_vectors(m: Any, x: Tensor) -> Tensor:
    m.a.weight.data = F.normalize(m.a.weight.data, dim=0)
    return m.b(torch.tanh(m.a(x)))


def dead_units(m: Any, x: Tensor) -> Tensor:
    """A unit that has not fired for a while is made anew, from what is there."""
    h = torch.relu(m.a(x))
    if m.training:
        m.idle = torch.where((h > 0).any(0), torch.zeros_like(m.idle), m.idle + 1)
        m.a.bias.data.add_(0.1 * (m.idle > 1))
    return m.b(h)


def ternary(m: Any, x: Tensor) -> Tensor:
    w = m.a.weight
    s = 1.0 / w.abs().mean().clamp(min=1e-5)
    return m.b(torch.tanh(F.linear(x, w + ((w * s).round().clamp(-1, 1) / s - w).detach(), m.a.bias)))


def deep_set(m: Any, x: Tensor) -> Tensor:
    idx = torch.tensor([0, 0, 1, 1])
    none = torch.zeros(len(x), 2, dtype=x.dtype)
    h = none.scatter_reduce(1, idx.expand(len(x), -1), m.a(x), "amax", include_self=False)
    return m.b(h)


def normalized_over_the_batch(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    if m.training:
        m.mu = 0.9 * m.mu + 0.1 * h.detach().mean(0)
        return m.b(h - h.mean(0))
    return m.b(h - m.mu)


def grad_enabled(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    return m.b(torch.tanh(h) if torch.is_grad_enabled() else torch.tanh(h) * 0.9)


def by_weights_grad(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    return m.b(torch.tanh(h) if h.requires_grad else torch.tanh(h) * 0.9)


def cosine_head(m: Any, x: Tensor) -> Tensor:
    return m.b(F.normalize(m.a(x), dim=-1)) * m.s.exp().clamp(max=1.05)


def weights_of_complex(m: Any, x: Tensor) -> Tensor:
    h = torch.view_as_real(x.view(-1, 2, 2)[..., 0].to(torch.complex128) @ torch.view_as_complex(m.w))
    return m.b(h.flatten(1))


def memory_bank(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    if m.training:
        m.bank.index_copy_(0, torch.arange(len(x)), h.detach())
    return m.b(h + 0.1 * (h @ m.bank.T).softmax(-1) @ m.bank)


def squeezed(m: Any, x: Tensor) -> Tensor:
    return m.b(torch.tanh(m.a(x))).squeeze()


def squeezed_loss(o: Tensor, t: Tensor) -> Tensor:
    return F.mse_loss(o, t.squeeze())


def progressive(m: Any, x: Tensor) -> Tensor:
    alpha = min(1.0, max(0.0, (m.count - 7) / 5))
    m.count += m.training
    return m.b(torch.tanh(m.a(x))) * alpha + (1 - alpha) * x[:, :1]


def half_of_gradient(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    if m.training:
        h.register_hook(lambda g: g * 0.5)
    return m.b(torch.tanh(h))


MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "a weak dictionary": (ab, default_argument, {}),
    "a context variable": (lambda: {**ab(), "var": contextvars.ContextVar("v", default=0)}, by_context, {}),
    "an iterator": (lambda: {**ab(), "it": itertools.count()}, by_iterator, {}),
    "a generator": (lambda: {**ab(), "it": (i for i in range(99))}, by_iterator, {}),
    "numpy in place": (lambda: {**ab(), "np": np.zeros(1)}, late, {}),
    "actnorm": (lambda: {**ab(), "s": P(torch.ones(4)), "t": P(torch.zeros(4)), "initialized": torch.zeros(())},
                actnorm, {}),
    "actnorm in python": (lambda: {**ab(), "s": P(torch.ones(4)), "t": P(torch.zeros(4))}, actnorm_python, {}),
    "averaged in evaluation": (lambda: {**ab(), "w": torch.zeros(1, 4)}, averaged_in_evaluation, {}),
    "views of a buffer": (lambda: {"a": L(4, 1), "stats": torch.zeros(2, 4)}, views_of_a_buffer, {}),
    "spatial transformer": (lambda: {"a": L(4, 6), "b": L(4, 1)}, spatial_transformer, {}),
    "googlenet": (lambda: {**ab(), "c": L(4, 1)}, googlenet, {
        "loss": with_aux, "metric": lower(lambda o, t: F.mse_loss(o, t))}),
    "spiking": (ab, spiking, {}),
    "mamba": (lambda: {**ab(), "w": P(torch.zeros(4))}, mamba, {}),
    "slots": (lambda: {"a": L(4, 8), "b": L(4, 1), "w": P(torch.randn(1, 3, 4)), "cell": nn.GRUCell(4, 4)}, slots, {}),
    "capsules": (lambda: {"a": L(4, 12), "b": L(4, 1)}, capsules, {}),
    "sinkhorn": (lambda: {"a": L(4, 16), "b": L(4, 1)}, sinkhorn, {}),
    "kan": (lambda: {"w": P(0.1 * torch.randn(4, 5, 1)), "b": L(4, 1)}, kan, {}),
    "sparse by topk": (lambda: {"a": L(4, 8), "b": L(8, 1)}, top_k_sparse, {}),
    "unit vectors by data": (ab, unit_vectors, {}),
    "dead units": (lambda: {**ab(), "idle": torch.zeros(4)}, dead_units, {}),
    "ternary": (ab, ternary, {}),
    "scatter reduce": (lambda: {"a": L(4, 4), "b": L(2, 1)}, deep_set, {}),
    "centred by the batch": (lambda: {**ab(), "mu": torch.zeros(4)}, normalized_over_the_batch, {}),
    "asks whether gradients are on": (ab, grad_enabled, {}),
    "asks whether its answer has one": (ab, by_weights_grad, {}),
    "clip's scale": (lambda: {**ab(), "s": P(torch.zeros(()))}, cosine_head, {}),
    "complex weights": (lambda: {"w": P(torch.randn(2, 3, 2)), "b": L(6, 1)}, weights_of_complex, {}),
    "memory bank": (lambda: {**ab(), "bank": torch.zeros(8, 4)}, memory_bank, {}),
    "squeezed": (ab, squeezed, {"loss": squeezed_loss, "metric": lower(squeezed_loss), "train": numbers(41, 1)}),
    "progressive": (ab, progressive, {}),
    "hook in forward": (ab, half_of_gradient, {}),
    "pruned": (lambda: {"a": prune.l1_unstructured(L(4, 4), "weight", 0.5), "b": L(4, 1)},
               lambda m, x: m.b(m.a(x)), {}),
    "spectral norm": (lambda: {"a": parametrizations.spectral_norm(L(4, 4)), "b": L(4, 1)},
                      lambda m, x: m.b(m.a(x)), {}),
    "projected lstm": (lambda: {"r": nn.LSTM(1, 5, proj_size=2, batch_first=True), "b": L(2, 1)},
                       lambda m, x: m.b(m.r(x[..., None])[0][:, -1]), {}),
    "nearest neighbours": (lambda: {"a": L(4, 3), "b": L(3, 1)}, lambda m, x: m.b(m.a(x)[
        torch.cdist(m.a(x), m.a(x)).argsort(1)[:, :2]].mean(1)) if m.training else m.b(m.a(x)), {}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_as_by_hand(name: str) -> None:
    make, call, changes = MODELS[name]
    held(partial(Of, make, call), options={"seeds": 2}, **changes)
