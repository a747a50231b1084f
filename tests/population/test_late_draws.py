"""Draws of random numbers that begin during training: found, undone, attributed to the run that may have drawn."""

import random

import numpy as np
import pytest
import torch

from thalweg.population.program.late_draws import DrawsLate, Undrawn
from thalweg.population.program.randomness import SeededRandomness, global_states, seeded

DRAWS = {"torch": lambda: torch.rand(1), "python": random.random, "numpy": np.random.rand}


@pytest.mark.parametrize("source", DRAWS)
def test_a_draw_is_found_and_undone(source: str) -> None:
    before = torch.default_generator.get_state(), global_states()
    with Undrawn(seeded=False) as undrawn:
        undrawn.require(quickly=False)
        DRAWS[source]()
        with pytest.raises(DrawsLate):
            undrawn.require(quickly=False)
    assert torch.equal(torch.default_generator.get_state(), before[0])
    assert global_states() == before[1]


def test_a_seeded_run_draws_only_if_no_other_may_have() -> None:
    with Undrawn(seeded=True) as undrawn:
        with Undrawn(seeded=False):
            torch.rand(1)
            undrawn.require(quickly=False)
        torch.rand(1)
        with pytest.raises(RuntimeError, match="cannot be seeded"):
            undrawn.require(quickly=False)


def test_a_run_beside_a_seeded_one_counts_as_drawing() -> None:
    """The seeded one restores the generators after each draw, and may undo the trace of the other's."""
    with Undrawn(seeded=False) as undrawn:
        undrawn.require(quickly=True)
        with Undrawn(seeded=True), pytest.raises(DrawsLate):
            undrawn.require(quickly=True)


def test_the_innermost_seeds() -> None:
    with SeededRandomness(3, 1):
        alone = torch.rand(4)
    with seeded(7, 2, random=True, outside=True):
        torch.rand(2)
        with SeededRandomness(3, 1):
            nested = torch.rand(4)
        after = torch.rand(2)
    with seeded(7, 2, random=True):
        torch.rand(2)
        assert torch.equal(torch.rand(2), after)
    assert torch.equal(nested, alone)
