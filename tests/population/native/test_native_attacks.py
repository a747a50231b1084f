"""What fresh eyes found wrong, or left to chance: each equals torch now, or has no native form."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from native_programs import Formula, natively, require_equal, workload
from test_native_training import member, outcomes, planned, require_same
from torch import Tensor, nn

from problems import tiny
from thalweg.population.native.steps import Steps
from thalweg.population.program.failures import Disagreement
from thalweg.workloads.split import Sampling

DOUBLE = torch.float64
Function = Callable[[Tensor, Tensor], Tensor]


def of(function: Function, x: Tensor | None = None) -> object:
    x = torch.randn(5, 6, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)) if x is None else x
    return workload(lambda: Formula(function, DOUBLE), x, torch.zeros(len(x), dtype=DOUBLE))


EQUAL: dict[str, Function] = {
    "cat of whole numbers": lambda w, x: torch.cat([w * x, (x > 0).long()], 1),
    "cat of truth values": lambda w, x: torch.cat([w * x, x > 0], 1),
    "stack of kinds": lambda w, x: torch.stack([w * x, (x > 0).long()], 1),
    "slices of another kind": lambda w, x: torch.slice_scatter(w * 1, (x[:2] > 0).long(), 0, 1, 3) * x,
    "sign of what is no number": lambda w, x: w * (x.sqrt().sign() + 1),
    "window of -inf": lambda w, x: w * F.max_pool2d(x.view(1, 1, 5, 6).clamp(max=-torch.inf), 2, 2, 1).clamp(-3).sum(),
    "places in padded windows": lambda w, x: (
        w.sum() * F.max_pool2d(x.view(1, 1, 5, 6).masked_fill(x > 0, -torch.inf), 3, 2, 1, return_indices=True)[1]
    ),
    "largest of whole numbers": lambda w, x: w * x * (torch.arange(6) - 10).amax().to(DOUBLE),
    "least of whole numbers": lambda w, x: w * x * (torch.arange(6) + 3).amin().to(DOUBLE),
    "largest of truth values": lambda w, x: (x > 0).amax(1, keepdim=True) * w + (x > 0).amin(1, keepdim=True) * w,
    "whole numbers padded": lambda w, x: w[:, :3] * F.pad((x[:, :1] > 0).long(), (0, 2), value=-100).to(DOUBLE),
    "large whole numbers": lambda w, x: w * (torch.full((6,), 2**53 + 1) - 2**53).to(DOUBLE),
    "zeros of both signs": lambda w, x: (
        (1 / ((x - x) * -0.0)).clamp(-5, 5) * w + (1 / ((x - x) * 0.0)).clamp(-5, 5) * w
    ),
    "differences of products": lambda w, x: (w * x - x * w + 1e-12).sqrt() * w + (w * w - (-w) * (-w)).abs() * 1e9,
    "neighbouring indices": lambda w, x: w[:, torch.tensor([1, 3])] * x[torch.tensor([0, 2]), torch.tensor([1, -1])],
}  # fmt: skip

EITHER: dict[str, Function] = {
    "pad that leaves nothing": lambda w, x: F.pad(w, (-6, 6), value=0.5) * x + w,
    "indices apart": lambda w, x: (
        w[:3, :4] * x.view(5, 2, 3)[torch.tensor([0, 2, 4]), :, torch.tensor([1, 0, 2])][:, :1]
    ),
    "as_strided": lambda w, x: (w.t() * x.t()).as_strided((3, 4), (2, 1), 1),
    "small scatter": lambda w, x: (w * x).scatter(1, torch.zeros(1, 1, dtype=torch.long), 2.0) * x,
    "a few scattered": lambda w, x: (w * x).scatter(1, torch.zeros(3, 1, dtype=torch.long), 2.0) * x,
    "pool of one picture": lambda w, x: F.max_pool2d(w[None], (2, 1)),
    "pool to the end": lambda w, x: F.max_pool1d(w * x, 3, 2, 1, ceil_mode=True),
    "turned product": lambda w, x: torch.bmm(x[None].expand(3, 5, 6), w[:4].t()[None].expand(3, 6, 4)),
    "any of no dimension": lambda w, x: torch.any(x > 1, dim=0) * w,
    "numbers alone": lambda w, x: w.sum().var(unbiased=False) + w.sum().logsumexp(0) * w,
}


@pytest.mark.parametrize("name", EQUAL)
def test_what_was_wrong_is_equal(name: str) -> None:
    require_equal(of(EQUAL[name]))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", EITHER)
def test_what_is_not_equal_is_refused(name: str) -> None:
    with suppress(Disagreement):
        require_equal(of(EITHER[name]))  # type: ignore[arg-type]


MANY = torch.ones(70_000, 6)
LONG: dict[str, Function] = {
    "a function of C's library": lambda w, x: (x * 0.7).sin().sum() * w,
    "a mean": lambda w, x: ((x * 1.1).log1p().mean() + (x * 1.1).mean()) * w,
    "rows": lambda w, x: (x.view(6, -1) * 1.1).cos().sum(1) * w,
}
SCATTERED: dict[str, Function] = {
    "columns": lambda w, x: (x * 1.1).sum(0) * w,
    "rows in another order": lambda w, x: (x.t() * 1.1).sum(1) * w,
}
"""Sums of which a loop over each number is around one over the sums."""


@pytest.mark.parametrize("name", LONG)
def test_a_long_sum_in_float32_is_exact(name: str) -> None:
    """Added one by one in float32, the first of these is wrong by 0.2%."""
    require_equal(workload(lambda: Formula(LONG[name], torch.float32), MANY, torch.zeros(len(MANY))))


@pytest.mark.parametrize("name", SCATTERED)
def test_a_long_sum_in_float32_that_would_be_made_one_by_one_is_refused(name: str) -> None:
    made = workload(lambda: Formula(SCATTERED[name], torch.float32), MANY, torch.zeros(len(MANY)))
    with pytest.raises(Disagreement, match="a sum of so many numbers"):
        natively(made, members=1)


class Kinds(nn.Module):
    """A column is 0 until a weight has grown."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        grown = (self.out.weight.detach().abs().amax() > 0.8).long().expand(len(x), 1)
        return self.out(torch.cat([x[:, :5], grown], 1))


def test_a_kind_that_shows_late() -> None:
    require_same(tiny(DOUBLE, model=Kinds, epochs=20), [member("adam", s, lr=3e-2) for s in (0, 1)])


class Scattering(nn.Module):
    """Its index leaves the range once the bias has grown."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        place = (self.out.bias.detach().abs() * 4).floor().long()[:1].expand(len(x))[:, None]
        return self.out(x.scatter(1, place, 0.0))


def test_a_scatter_out_of_range_is_the_users_error() -> None:
    of_them = planned(tiny(DOUBLE, model=Scattering, epochs=40))
    found = outcomes(of_them, [member("sgd", s, lr=3.0) for s in range(4)])
    assert any("out of bounds" in m.failure for m in found), [m.failure for m in found]


def test_a_samples_number_out_of_range_is_never_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a damaged checkpoint: native code gathers samples by address."""
    of, calls, whole = planned(tiny(torch.float64, epochs=2)), list[int](), Steps.carry_out
    monkeypatch.setattr(Steps, "carry_out", lambda *a, **k: calls.append(1) or whole(*a, **k))
    outcomes(of, [member("sgd")])  # after which no live model is asked first
    assert calls
    calls.clear()
    split = of.job.workload.train
    wrong = Sampling(torch.ones(len(split) + 50, dtype=torch.float64), len(split))
    broken = of.of(replace(of.job.workload, train=replace(split, sampling=wrong)))
    found = outcomes(broken, [member("sgd", s) for s in (0, 1)])
    assert all("out of range" in m.failure for m in found), found
    assert not calls
