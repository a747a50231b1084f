"""Augmented batches: their random numbers, and what `augment` may return."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thalweg
from thalweg.errors import InputError, ReturnValueError
from thalweg.population.program.randomness import seeded
from thalweg.workloads.augmentation import augmented
from thalweg.workloads.layout import Layout
from thalweg.workloads.source import Batch

BATCH = Batch((torch.arange(12.0).reshape(6, 2),), torch.arange(6))


def drawn(function: Any, seed: int, step: int) -> Batch:
    with seeded(seed, step, random=True):
        return augmented(function, BATCH, Layout(), step=False)


def numbers(draw: Any, seed: int = 0, step: int = 1) -> Tensor:
    """What a function of a generator draws."""
    found: list[Tensor] = []

    def augment(batch: Any, generator: torch.Generator) -> Any:
        found.append(draw(generator))
        return batch

    drawn(augment, seed, step)
    return found[0]


DRAWS = {
    "rand": lambda g: torch.rand(6, generator=g),
    "randn": lambda g: torch.randn(6, 2, generator=g),
    "randint": lambda g: torch.randint(0, 1000, (6,), generator=g),
    "randint of one bound": lambda g: torch.randint(1000, (6,), generator=g),
    "randint by name": lambda g: torch.randint(high=1000, size=(6,), generator=g),
    "a wide randint": lambda g: torch.randint(-(10**9), 10**9, (6,), generator=g),
    "randperm": lambda g: torch.randperm(9, generator=g),
    "uniform_": lambda g: torch.empty(6).uniform_(2, 3, generator=g),
    "bernoulli": lambda g: torch.bernoulli(torch.full((64,), 0.5), generator=g),
    "multinomial": lambda g: torch.multinomial(torch.ones(50), 9, generator=g),
    "no generator": lambda g: torch.rand(6),
    "its seed": lambda g: torch.rand(6, generator=torch.Generator().manual_seed(g.initial_seed())),
}


@pytest.mark.parametrize("name", DRAWS)
def test_numbers_depend_on_seed_and_step_alone(name: str) -> None:
    draw = DRAWS[name]
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = numbers(draw, 3, 7)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(numbers(draw, 3, 7), first)
    assert not torch.equal(numbers(draw, 3, 8), first)
    assert not torch.equal(numbers(draw, 4, 7), first)
    assert first.unique().numel() > 1  # every sample has its own


def test_whole_numbers_are_those_of_torch() -> None:
    values = numbers(lambda g: torch.randint(-2, 3, (5000,), generator=g))
    assert values.dtype == torch.int64
    assert values.unique().tolist() == [-2, -1, 0, 1, 2]
    counts = torch.bincount(values + 2).double()
    assert (counts / 1000 - 1).abs().max() < 4 * 0.04**0.5  # four standard deviations of 1,000 of 5,000
    assert numbers(lambda g: torch.randperm(9, generator=g)).sort().values.tolist() == [*range(9)]
    assert numbers(lambda g: torch.randint(3, (4,), dtype=torch.int32)).dtype == torch.int32
    with pytest.raises(ValueError, match="a first number below the last, not 3 and 3"):
        numbers(lambda g: torch.randint(3, 3, (4,), generator=g))


def test_it_may_write_into_its_batch() -> None:
    def augment(batch: Any, generator: torch.Generator) -> Any:
        batch[0].add_(1)
        return batch

    held = BATCH.inputs[0].clone()
    assert torch.equal(drawn(augment, 0, 1).inputs[0], held + 1)
    assert torch.equal(BATCH.inputs[0], held)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda x, y: None, "must return the batch in the form in which it was given it, as tensors, got NoneType"),
        (lambda x, y: x, "got Tensor"),
        (lambda x, y: ((x, x), y), "got tuple of length 2"),
        (lambda x, y: (x.numpy(), y), "as tensors, got tuple of length 2"),
        (lambda x, y: (x[:3], y), r"as many samples as it was given, 6, and its tensors have \[3, 6\]"),
        (lambda x, y: (x, y.sum()), r"\[6, 0\]"),
    ],
)
def test_what_is_no_batch_is_refused(returned: Any, said: str) -> None:
    with pytest.raises(ReturnValueError, match=said):
        drawn(lambda batch, generator: returned(*batch), 0, 1)


def test_it_must_be_a_function() -> None:
    data = BATCH.inputs[0], BATCH.targets
    with pytest.raises(InputError, match=r"augment must be a callable augment\(batch, generator\), got str"):
        thalweg.Workload(name="a", model=lambda: nn.Linear(2, 6), train=data, validation=data, augment="flip")  # type: ignore[arg-type]


def test_parts_of_a_step_have_numbers_of_their_own() -> None:
    found: list[int] = []

    def augment(batch: Any, generator: torch.Generator) -> Any:
        found.append(generator.initial_seed())
        return batch

    for _ in range(2):
        with seeded(3, 7, random=False):
            for _ in range(2):
                augmented(augment, BATCH, Layout(), step=False)
    assert found[0] != found[1]
    assert found[:2] == found[2:]
