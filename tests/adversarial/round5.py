"""The models of round 5's attempts: how each calls its parts."""

import math
import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Of(nn.Module):
    """A model by two functions: one that gives it its parts, one that calls it."""

    def __init__(self, make: Any, call: Any) -> None:
        super().__init__()
        self.count, self.call = 0, call
        for name, part in make().items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *x: Tensor) -> Any:
        return self.call(self, *x)


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return -ctx.strength * g, None


def drop_path(m: Any, x: Tensor) -> Tensor:
    h = torch.tanh(m.a(x))
    if m.training:
        mask = h.new_empty((h.shape[0],) + (1,) * (h.ndim - 1)).bernoulli_(0.8)
        mask.div_(0.8)
        h = h * mask
    return m.b(x + h)


def mixup(m: Any, x: Tensor) -> Tensor:
    if m.training:
        lam = np.random.beta(0.4, 0.4)
        x = lam * x + (1 - lam) * x[torch.randperm(x.size(0))]
    return m.a(x)


def cutout(m: Any, x: Tensor) -> Tensor:
    if m.training and random.random() < 0.7:
        at = random.randint(0, 3)
        x = x.clone()
        x[:, at : at + 2] = 0
    return m.a(x)


def dann(m: Any, x: Tensor) -> Any:
    h = torch.tanh(m.a(x))
    if m.training:
        m.count += 1
    p = m.count / 15
    return m.b(h), m.c(Reversal.apply(h, 2 / (1 + math.exp(-10 * p)) - 1))


def moco(m: Any, x: Tensor) -> Any:
    q = F.normalize(m.a(x), dim=1)
    with torch.no_grad():
        for p, k in zip(m.a.parameters(), m.k.parameters(), strict=True):
            k.data = k.data * 0.9 + p.data * 0.1
        k = F.normalize(m.k(x), dim=1)
    pos = (q * k).sum(1, keepdim=True)
    neg = q @ m.queue.clone().detach()
    if m.training and len(x) == 8:
        at = int(m.ptr)
        m.queue[:, at : at + 8] = k.T
        m.ptr[0] = (at + 8) % 16
    return torch.cat([pos, neg], 1) / 0.5


def moe(m: Any, x: Tensor) -> Any:
    gate = m.a(x).softmax(-1)
    top, which = gate.topk(2, -1)
    out = torch.zeros(len(x), 1, dtype=x.dtype)
    for i, expert in enumerate(m.experts):
        rows, slot = torch.where(which == i)
        out = out.index_add(0, rows, top[rows, slot, None] * expert(x[rows]))
    return out, gate.mean(0).square().sum()


def rope(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).view(-1, 4, 4)
    if getattr(m, "cos", None) is None or m.cos.shape[0] < 4:
        f = torch.outer(torch.arange(4.0), 1 / 100 ** (torch.arange(0, 4, 2) / 4))
        m.cos, m.sin = torch.cat((f, f), -1).cos().to(x), torch.cat((f, f), -1).sin().to(x)
    a, b = h.chunk(2, -1)
    h = h * m.cos + torch.cat((-b, a), -1) * m.sin
    return m.b(F.scaled_dot_product_attention(h, h, h, is_causal=True).flatten(1))


def ode(m: Any, x: Tensor) -> Tensor:
    for i in range(5):
        k = torch.tanh(m.a(torch.cat([x, x.new_full((len(x), 1), i / 5)], 1)))
        x = x + 0.2 * torch.tanh(m.a(torch.cat([x + 0.1 * k, x.new_full((len(x), 1), i / 5 + 0.1)], 1)))
    return m.b(x)


def equilibrium(m: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        z = torch.zeros_like(x)
        for _ in range(30):
            new = torch.tanh(m.a(z) * 0.3 + x)
            if (new - z).norm() < 1e-4:
                break
            z = new
    return m.b(torch.tanh(m.a(z) * 0.3 + x))


def lora(m: Any, x: Tensor) -> Tensor:
    return m.b(torch.tanh(m.a(x) + (x @ m.down.T @ m.up.T) * 2.0))


def spectral(m: Any, x: Tensor) -> Tensor:
    f = torch.fft.rfft(m.a(x), dim=-1)
    return m.b(torch.fft.irfft(f * torch.view_as_complex(m.w), n=4, dim=-1))


def flow(m: Any, x: Tensor) -> Any:
    a, b = x.chunk(2, 1)
    s, t = m.a(a).chunk(2, 1)
    z = torch.cat([a, b * torch.tanh(s).exp() + t], 1) @ m.w
    return z, torch.tanh(s).sum(1) + torch.linalg.slogdet(m.w)[1]


def gp(m: Any, x: Tensor) -> Any:
    h = m.a(x)
    k = torch.exp(-torch.cdist(h, h).square() / 2) + 0.1 * torch.eye(len(x), dtype=x.dtype)
    return torch.linalg.cholesky(k), h


def graph(m: Any, x: Tensor) -> Tensor:
    src, dst = m.edges
    for layer in (m.a, m.b):
        h = layer(x)[:, src]
        x = x + torch.tanh(torch.zeros_like(x).index_add(1, dst, h).scatter_add(1, dst.expand_as(h), h))
    return m.c(x)


def lstm_cells(m: Any, x: Tensor) -> Tensor:
    h = c = x.new_zeros(len(x), 6)
    outs, last = [], x.new_zeros(len(x), 1)
    for i in range(4):
        last = x[:, i - 1 : i] if i and m.training and random.random() < 0.5 else last
        h, c = m.cell(torch.cat([x[:, i : i + 1], last], 1), (h, c))
        last = m.b(h)
        outs.append(last)
    return torch.cat(outs, 1).mean(1, keepdim=True)


def straight_through(m: Any, x: Tensor) -> Tensor:
    w = m.w - m.w.mean(1, keepdim=True)
    w = w.sign().detach() * w.abs().mean() - w.clamp(-1, 1).detach() + w.clamp(-1, 1)
    return m.b(torch.tanh(x @ w.T))


def observer(m: Any, x: Tensor) -> Tensor:
    if m.training:
        m.low.copy_(torch.minimum(m.low, x.detach().min()))
        m.high.copy_(torch.maximum(m.high, x.detach().max()))
    scale = (m.high - m.low) / 255
    return m.a(x + (((x / scale).round() * scale) - x).detach())


def distribution(m: Any, x: Tensor) -> Any:
    mu, s = m.a(x).chunk(2, 1)
    d = torch.distributions.Normal(mu, F.softplus(s) + 1e-3)
    return m.b(d.rsample() if m.training else d.mean), torch.distributions.kl_divergence(
        d, torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    ).mean()


def hyper(m: Any, x: Tensor) -> Tensor:
    w = m.a(x[:, :1]).view(-1, 1, 4)
    return torch.bmm(w, x.unsqueeze(-1)).squeeze(-1) + torch.func.functional_call(
        m.b, {"weight": m.c.weight * 2, "bias": m.b.bias}, x
    )


def adapted(m: Any, x: Tensor) -> Tensor:
    with torch.enable_grad():
        w = m.b.weight.requires_grad_(True)
        (g,) = torch.autograd.grad((m.a(x) @ w.T).square().mean(), w, create_graph=m.training)
    return F.linear(m.a(x), w - 0.1 * g, m.b.bias)


def forces(m: Any, x: Tensor) -> Tensor:
    with torch.enable_grad():
        y = x.detach().requires_grad_(True)
        return -torch.autograd.grad(m.b(torch.tanh(m.a(y))).sum(), y, create_graph=True)[0][:, :1]


def renormed(m: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        m.a.weight.div_(m.a.weight.norm(dim=1, keepdim=True).clamp(min=1))
    return m.b(m.a(x))


def autocast(m: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        h = torch.tanh(F.linear(x.float(), m.a.weight.float(), m.a.bias.float()))
    return m.b(h.to(x.dtype))


def annealed(m: Any, x: Tensor) -> Tensor:
    m.count += m.training
    return m.b(torch.tanh(m.a(x) / max(0.5, 1.0 - 0.1 * (m.count // 5))))
