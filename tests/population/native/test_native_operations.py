"""Every operation with a native form equals torch's, in value and gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from native_programs import Formula, require_equal, workload
from torch import Tensor, nn

from thalweg.population.native import blas
from thalweg.population.native.forward import NativeForward
from thalweg.workloads.source import Batch

FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add, sub, mul, div": lambda w, x: (w + x[:5, :6]) * (w - 2 * x[:5, :6]) / (1.5 + w * w),
    "alpha": lambda w, x: torch.add(torch.sub(w, x[:5, :6], alpha=3), w * w, alpha=0.5),
    "scalar first": lambda w, x: 2 - 1 / (3 + w * w),
    "neg, abs, sign": lambda w, x: -w.abs() * w.sign(),
    "sqrt, rsqrt, reciprocal": lambda w, x: (w * w + 1).sqrt() + (w * w + 2).rsqrt() + (w * w + 3).reciprocal(),
    "powers": lambda w, x: w**2 + w**3 - w**4 + (w * w + 1) ** 0.5 + (w * w + 1) ** -0.5 + (w * w + 1) ** -1,
    "split": lambda w, x: sum(i * part.sum(1) for i, part in enumerate((w * w).split(4, 1), 1)),  # type: ignore[misc]
    "chunk": lambda w, x: (w * w).chunk(2, 1)[0] * w.chunk(2, 1)[1],
    "parts of sizes": lambda w, x: (w * w).split([1, 3, 2], 1)[1] * w[:, :3].exp(),
    "unbind": lambda w, x: sum(i * row for i, row in enumerate((w * x[:5, :6]).unbind(0), 1)),  # type: ignore[misc]
    "exp": lambda w, x: (w * 3).exp(),
    "log": lambda w, x: (w * w + 1e-3).log(),
    "log1p, expm1": lambda w, x: (w * w).log1p() + w.expm1(),
    "tanh": lambda w, x: torch.tanh(w * 2),
    "sigmoid": lambda w, x: torch.sigmoid(w * 4),
    "erf": lambda w, x: torch.erf(w * 2),
    "sin, cos": lambda w, x: w.sin() + w.cos(),
    "gelu": lambda w, x: F.gelu(w * 3),
    "gelu by tanh": lambda w, x: F.gelu(w * 3, approximate="tanh"),
    "silu": lambda w, x: F.silu(w * 3),
    "relu": lambda w, x: F.relu(w),
    "relu6": lambda w, x: F.relu6(w * 5),
    "leaky relu": lambda w, x: F.leaky_relu(w, 0.1),
    "elu": lambda w, x: F.elu(w),
    "selu": lambda w, x: F.selu(w),
    "softplus": lambda w, x: F.softplus(w * 3),
    "mish": lambda w, x: F.mish(w),
    "hardswish": lambda w, x: F.hardswish(w * 4),
    "clamp": lambda w, x: w.clamp(-0.5, 0.7) + w.clamp(min=0.1) + w.clamp(max=-0.1),
    "maximum, minimum": lambda w, x: torch.maximum(w, x[:5, :6]) - torch.minimum(w, x[:5, :6] * w),
    "where": lambda w, x: torch.where(w > x[:5, :6], w * 2, w * w),
    "comparisons": lambda w, x: w * ((w < 0.5) & (w >= -0.5) | (w == 2)).to(w.dtype) + w * (~(w != w)).to(w.dtype),
    "masked fill": lambda w, x: w.masked_fill(w > 0.5, 0.25),
    "floor": lambda w, x: w * w.floor(),
    "whole numbers": lambda w, x: w * torch.arange(6) + w * torch.arange(1, 11, 2)[:, None],
    "sum": lambda w, x: w.sum() + w.sum(0) * w.sum(1, keepdim=True) + w.sum((0, 1), keepdim=True),
    "mean": lambda w, x: w.mean() * w.mean(0) + w.mean(1, keepdim=True),
    "var, std": lambda w, x: w.var(0) + w.var(1, unbiased=False, keepdim=True) + w.std(),
    "amax, amin": lambda w, x: w.amax(1, keepdim=True) * w - w.amin(0),
    "softmax": lambda w, x: w.softmax(1) + w.softmax(0) + w.log_softmax(-1),
    "logsumexp": lambda w, x: w.logsumexp(1) * w.logsumexp(0).sum(),
    "norm": lambda w, x: w / w.norm() + F.normalize(w, dim=1),
    "layer norm": lambda w, x: F.layer_norm(w * w, (6,), w[0], w[1]),
    "group norm": lambda w, x: F.group_norm(w.view(1, 5, 6).expand(2, 5, 6).reshape(2, 6, 5) * 2, 3, w[0], w[1]),
    "mm": lambda w, x: (w @ x[:6, :4]) @ (x[:4, :6] @ w.t()),
    "mm of views": lambda w, x: w[:, ::2] @ w[:3, 1:].t()[:3] @ w[1:4].t()[::2],
    "mm of columns": lambda w, x: w[:, :1] @ w[:1] + w[:, 2:3] @ x[:1, :6],
    "bmm": lambda w, x: torch.bmm(w.view(5, 3, 2), w.view(5, 2, 3)) + w.view(5, 3, 2) @ w.view(5, 3, 2).transpose(1, 2),
    "linear": lambda w, x: F.linear(x[:, :6], w, w[:, 0]),
    "matrix and vector": lambda w, x: w @ w[0] + w.t() @ w[:, 1] @ w.sum(0),
    "einsum": lambda w, x: torch.einsum("ij,ik,jl->kl", w, w, x[:6, :3]),
    "views": lambda w, x: w.t().reshape(10, 3)[2:8:3].unsqueeze(1).expand(2, 4, 3).permute(2, 0, 1) * w[0, 1],
    "cat": lambda w, x: torch.cat([w, w * 2], 1),
    "cat of the same": lambda w, x: torch.cat([w, w, w * 2], 0),
    "gather of what is computed beside": lambda w, x: (w * 2).gather(1, (x[:5, :6] > 0).long() * 5) + w * 2,
    "softmax and gather": lambda w, x: w.softmax(1).gather(1, torch.arange(5)[:, None]) * w.softmax(1),
    "powers of all kinds": lambda w, x: (w * w + 1) ** 1.5 + (w * w + 1) ** -0.3 + w**5,
    "stack": lambda w, x: torch.stack([w, w * w]),
    "pad": lambda w, x: F.pad(w, (1, 2)),
    "gather": lambda w, x: w.gather(1, (x[:5, :3] > 0).long() + 1),
    "index": lambda w, x: w[torch.tensor([0, 3, 3, -1])] * 2,
    "two indices": lambda w, x: w[torch.tensor([1, 1, 1, 1]), torch.tensor([0, 2, 2, -2])],
    "index select": lambda w, x: w.index_select(1, torch.tensor([5, 0, 0])),
    "embedding": lambda w, x: F.embedding((x[:, :3] > 0).long() * 4, w),
    "embedding with padding": lambda w, x: F.embedding((x[:, :3] > 0).long() * 4, w, padding_idx=4),
    "attention": lambda w, x: F.scaled_dot_product_attention(*[(w * k).view(1, 1, 5, 6) for k in (1, 2, 3)]),
    "causal attention": lambda w, x: F.scaled_dot_product_attention(*[w.view(1, 1, 5, 6)] * 3, is_causal=True),
    "tril": lambda w, x: w.tril() + w.triu(1) * 2,
    "cumulative sum": lambda w, x: torch.ones(5, 5, dtype=w.dtype).tril() @ w,
}  # fmt: skip


def of(name: str, dtype: torch.dtype) -> Any:
    x = torch.randn(7, 8, dtype=dtype, generator=torch.Generator().manual_seed(1))
    return workload(lambda: Formula(FORMULAS[name], dtype), x, torch.zeros(7, dtype=dtype))


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str) -> None:
    require_equal(of(name, torch.float64))


@pytest.mark.parametrize("library", blas.libraries())
@pytest.mark.parametrize("name", ["mm", "mm of views", "mm of columns", "bmm", "linear"])
def test_products_of_every_library(name: str, library: str) -> None:
    require_equal(of(name, torch.float64), library=library)
    require_equal(of(name, torch.float32), 1e-5, library)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf", "gelu", "softmax", "layer norm", "attention"])
def test_formulas_in_float32(name: str) -> None:
    require_equal(of(name, torch.float32), 1e-5)


BORDERS = torch.tensor([0.0, -0.0, 1e-38, -1e-38, 1e-45, 87.0, 88.7, 89.0, -87.4, -103.0, -104.5, 3e38, -3e38, 0.625])


class Element(nn.Module):
    """A function of each element of the inputs."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.zero, self.function = nn.Parameter(torch.zeros(1)), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) + self.zero


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf"])
def test_float32_is_within_two_units_in_the_last_place(name: str) -> None:
    x = torch.cat([torch.randn(4000, generator=torch.Generator().manual_seed(2)) * 8, BORDERS])
    x = x.abs() if name == "log" else x
    function: Callable[[Tensor], Tensor] = getattr(torch, name)
    made = NativeForward(workload(lambda: Element(function), x, x), Element(function), {}, "scipy")
    ours = made({"zero": torch.zeros(1, 1)}, Batch((x,), x))[0]
    exact = function(x.double())
    unit = torch.from_numpy(np.spacing(exact.float().abs().clamp(max=3e38).numpy())).double()
    same = ours == exact.float()  # infinite, or exactly rounded
    assert bool((same | ((ours.double() - exact).abs() <= 2 * unit)).all()), name
