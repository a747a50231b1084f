"""Random numbers by hashing are what SplitMix64 gives, alike in every form, and distributed as they say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from thalweg.population.program.counter_hash import HASHED, Keys, happens, is_hashed, normal, uniform, words
from thalweg.population.program.randomness import SeededRandomness

PUBLISHED = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821)
"""The first outputs of SplitMix64 from the state 1234567, by the reference implementation."""

COUNT = 200_000
aten = torch.ops.aten


def splitmix(state: int) -> int:
    """The output after the state, in Python's whole numbers."""
    mask = (1 << 64) - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_the_published_sequence() -> None:
    assert words(torch.tensor(1234567), 5).tolist() == [n >> 11 for n in PUBLISHED]
    assert words(np.array(1234567, np.uint64), 5).tolist() == [n >> 11 for n in PUBLISHED]


@pytest.mark.parametrize("after", [0, 7])
def test_tensors_and_arrays_hash_alike(after: int) -> None:
    keys = [0, 1, (1 << 63) - 1, 987654321012345678]
    found = words(np.array(keys, np.uint64), 20_000, after)
    assert torch.equal(found, words(torch.tensor(keys), 20_000, after))
    step = 0x9E3779B97F4A7C15
    expected = [[splitmix(key + step * (after + i)) >> 11 for i in (0, 1, 16_383, 16_384, 19_999)] for key in keys]
    assert found[:, [0, 1, 16_383, 16_384, 19_999]].tolist() == expected


@pytest.mark.parametrize("make", [lambda key: torch.tensor(key), lambda key: np.array(key, np.uint64)])
@pytest.mark.parametrize(
    "draw",
    [
        lambda keys, shape: happens(keys, shape, 0.3),
        lambda keys, shape: uniform(keys, shape, torch.float64),
        lambda keys, shape: normal(keys, shape, torch.float64),
    ],
)
def test_a_member_has_the_numbers_that_it_has_alone(
    make: Callable[[Any], Keys], draw: Callable[[Keys, tuple[int, ...]], Tensor]
) -> None:
    together = draw(make([5, 6, 7]), (3, 4, 5))
    for m, key in enumerate((5, 6, 7)):
        assert torch.equal(together[m], draw(make(key), (4, 5)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distributions(dtype: torch.dtype) -> None:
    """Kolmogorov and Smirnov's test, with a probability of 1e-4 to fail a right one; neighbours are uncorrelated."""
    keys = np.array([3, 4], np.uint64)
    flat = uniform(keys, (2, COUNT), dtype).numpy()
    bell = normal(keys, (2, COUNT), dtype).numpy()
    assert flat.min() >= 0
    assert flat.max() < 1
    for own, kind in ((flat, "uniform"), (bell, "norm")):
        assert all(stats.kstest(row, kind).pvalue > 1e-4 for row in own)
        pairs = [(own[0], own[1]), (own[0][:-1], own[0][1:]), (own[0][:-7], own[0][7:])]
        assert all(abs(np.corrcoef(a, b)[0, 1]) < 4.5 / COUNT**0.5 for a, b in pairs)


@pytest.mark.parametrize("p", [0.0, 1e-4, 0.2, 0.5, 1.0])
def test_frequencies(p: float) -> None:
    count = int(happens(np.array(11, np.uint64), (COUNT,), p).sum())
    assert abs(count - p * COUNT) <= 4.5 * (p * (1 - p) * COUNT) ** 0.5


def test_every_operation_draws_by_its_key_alone() -> None:
    """Same shape and dtype as torch's own, in any memory layout, whatever torch's generator is at; that is left."""
    x = torch.rand(4, 6, dtype=torch.float64)
    calls: dict[str, Callable[[Tensor], Tensor]] = {
        "dropout": lambda x: torch.nn.functional.dropout(x, 0.4),
        "feature dropout": lambda x: torch.nn.functional.dropout1d(x, 0.4),
        "bernoulli": torch.bernoulli,
        "in place": lambda x: x.clone().bernoulli_(0.3),
        "of truth values": lambda x: torch.empty(x.shape, dtype=torch.bool).bernoulli_(0.3),
        "native dropout": lambda x: torch.native_dropout(x, 0.4, True)[0],
        "rand": lambda x: torch.rand(4, 6, dtype=torch.float64),
        "rand like": torch.rand_like,
        "randn": lambda x: torch.randn(4, 6),
        "randn like": torch.randn_like,
        "uniform": lambda x: x.clone().uniform_(-2, 3),
        "normal": lambda x: x.clone().normal_(1, 2),
    }
    for name, call in calls.items():
        before = torch.get_rng_state()
        with SeededRandomness(1, 2):
            first = call(x)
        assert torch.equal(before, torch.get_rng_state()), name
        torch.manual_seed(9)
        with SeededRandomness(1, 2):
            again = call(x.t().contiguous().t())
        with SeededRandomness(1, 3):
            other = call(x)
        theirs = call(x)
        assert torch.equal(first, again), name
        assert not torch.equal(first, other), name
        assert (first.shape, first.dtype) == (theirs.shape, theirs.dtype), name


def test_scaled_as_torch_scales() -> None:
    with SeededRandomness(0, 1):
        out, kept = torch.native_dropout(torch.ones(1000), 0.25, True)
        plain = torch.native_dropout(torch.ones(8), 0.25, False)[0]
        nothing = torch.native_dropout(torch.ones(8), 1.0, True)[0]
        dropped = torch.nn.functional.dropout(torch.ones(1000), 0.25)
        moved = torch.empty(COUNT).uniform_(-2, 3)
    assert set(out.tolist()) == set(dropped.tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert torch.equal(out != 0, kept)
    assert plain.tolist() == [1.0] * 8
    assert nothing.tolist() == [0.0] * 8
    assert stats.kstest(moved.double().numpy(), stats.uniform(-2, 5).cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: torch.empty(3).bernoulli_(1.5), "probability"),
        (lambda: torch.bernoulli(torch.tensor([0.5, 1.5])), "Probabilities"),
        (lambda: torch.bernoulli(torch.tensor([0.5, torch.nan])), "Probabilities"),
        (lambda: torch.empty(3).uniform_(1, 0), "limits"),
        (lambda: torch.empty(3).normal_(0, -1), "deviation"),
    ],
)
def test_what_torch_refuses_is_refused(call: Callable[[], Tensor], sentence: str) -> None:
    with pytest.raises(RuntimeError):
        call()
    with SeededRandomness(0, 1), pytest.raises(RuntimeError, match=sentence):
        call()


def test_what_is_not_hashed() -> None:
    generator = torch.Generator().manual_seed(3)
    assert not is_hashed(aten.bernoulli_.float, torch.float32, {"generator": generator})
    assert not is_hashed(aten.rand_like.default, torch.bfloat16, {})
    assert not is_hashed(aten.rand.default, None, {"dtype": torch.float16})
    assert not is_hashed(aten.multinomial.default, torch.float32, {})
    assert is_hashed(aten.bernoulli_.float, torch.bfloat16, {})
    assert all(torch.Tag.nondeterministic_seeded in operation.tags for operation in HASHED)
