"""Rounding by itself: nothing lost by compensation, nothing gained on average by stochastic rounding."""

import math

import numpy as np
import pytest
import torch

from thalweg.execution.storage.rounding import keys, merge, random_bits, split, stochastic

LOW = (torch.bfloat16, torch.float16)
SPECIAL = [0.0, -0.0, math.inf, -math.inf, 1e-40, -3e-39, 1.0, -1.0, 65504.0]


def numbers(dtype):
    """Of every size that the dtype has, and no larger."""
    generator = torch.Generator().manual_seed(0)
    spread = (-126, 120) if dtype is torch.bfloat16 else (-24, 14)
    powers = 2.0 ** torch.randint(*spread, (4096,), generator=generator).double()
    x = (torch.randn(4096, dtype=torch.float64, generator=generator) * powers).float()
    return torch.cat([x[x.abs() < torch.finfo(dtype).max / 2], torch.tensor(SPECIAL)])


def test_bfloat16_and_its_rest_are_the_float32():
    x = numbers(torch.bfloat16)
    p, rest = split(x, torch.bfloat16)
    assert (p.dtype, rest.dtype) == (torch.bfloat16, torch.int16)
    assert torch.equal(merge(p, rest).view(torch.int32), x.view(torch.int32))
    off = (p.double() - x.double()).abs()[torch.isfinite(x)]
    nearest = (x.bfloat16().double() - x.double()).abs()[torch.isfinite(x)]
    assert torch.equal(off, nearest)


def test_float16_and_its_rest_are_the_float32():
    x = numbers(torch.float16)
    x = x[x.abs() < 65504]
    p, rest = split(x, torch.float16)
    assert (p.dtype, rest.dtype) == (torch.float16, torch.int16)
    assert torch.equal(p, x.half())
    off = (merge(p, rest) - x).abs()
    halfway = rest == 2**15 - 1  # half a unit is one more than int16 holds
    assert off[(x.abs() >= 2.0**-17) & ~halfway].max() == 0
    assert (off <= 2.0**-39 + x.abs() * 2.0**-25).all()


@pytest.mark.parametrize("dtype", LOW)
def test_compensation_keeps_what_is_no_number(dtype):
    p, rest = split(torch.tensor([math.nan, math.inf, -math.inf]), dtype)
    assert str(merge(p, rest).tolist()) == "[nan, inf, -inf]"


@pytest.mark.parametrize("dtype", LOW)
def test_by_chance_a_number_goes_to_a_neighbour(dtype):
    x = numbers(dtype)
    rounded = stochastic(x, dtype, 12345)
    exact = x.to(dtype).float() == x
    assert torch.equal(rounded.float()[exact], x[exact])
    for towards, value in ((math.inf, x.abs()), (0.0, x.abs())):
        near = value.to(dtype)
        beyond = near.float() < value if towards else near.float() > value
        step = torch.nextafter(near, torch.tensor(towards, dtype=dtype))
        limit = torch.where(beyond, step, near)
        inside = rounded.float().abs() <= limit.float() if towards else rounded.float().abs() >= limit.float()
        assert inside[torch.isfinite(x)].all()
    assert str(stochastic(torch.tensor([math.nan, math.inf, -math.inf]), dtype, 1).tolist()) == "[nan, inf, -inf]"


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_by_chance_the_mean_stays(dtype, share):
    """Of n draws with chance q the share that goes up is q to within 5 √(q(1-q)/n)."""
    n, unit = 200_000, torch.finfo(dtype).eps
    for sign in (1.0, -1.0):
        rounded = stochastic(torch.full((n,), sign * (1 + share * unit)), dtype, 7).double()
        up = ((rounded.abs() - 1) / unit).mean().item()
        assert abs(up - share) <= 5 * math.sqrt(share * (1 - share) / n) + 2**-16


def test_chances_are_even_and_depend_on_everything():
    like = torch.empty(1 << 16)
    first, *others = (
        random_bits(int(keys(seed, np.array([t]), np.array([place]))[0]), like)
        for seed, t, place in ((0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1))
    )
    assert 0 <= first.min() <= first.max() < 1 << 16
    counts = torch.bincount(first >> 8, minlength=256).double()
    assert ((counts - 256) ** 2 / 256).sum() < 255 + 5 * math.sqrt(2 * 255)  # χ² of 255 degrees of freedom
    for other in others:
        centred = [x.double() - 32767.5 for x in (first, other)]
        assert abs((centred[0] * centred[1]).mean() / 65536**2 * 12) < 5 / math.sqrt(like.numel())


def test_chances_go_by_the_place_in_memory():
    like = torch.empty(6, 4)
    assert torch.equal(random_bits(5, like).flatten(), random_bits(5, torch.empty(24)))
    assert torch.equal(random_bits(5, like.t()), random_bits(5, like).t())


def test_by_chance_what_is_exact_stays():
    for dtype in (torch.float16, torch.bfloat16):
        p = (torch.rand(300_000, generator=torch.Generator().manual_seed(0)) + 1).to(dtype)
        assert all(torch.equal(stochastic(p.float(), dtype, key), p) for key in range(5))
