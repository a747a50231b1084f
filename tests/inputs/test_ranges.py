"""The one type of range: its bounds, what it parses, and its two ways to say so."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from thalweg.errors import InputError
from thalweg.options.ranges import POSITIVE, Range, whole
from thalweg.recipes.catalogue import recipes


@pytest.mark.parametrize(
    ("of", "interval", "words"),
    [
        (Range(), "a number in (-inf, inf)", "a finite number"),
        (Range(0.0), "a number in [0, inf)", "a finite number from 0"),
        (POSITIVE, "a number in (0, inf)", "a positive finite number"),
        (Range(0.5, open_low=True), "a number in (0.5, inf)", "a finite number above 0.5"),
        (Range(0.0, 1.0), "a number in [0, 1]", "a finite number from 0 to 1"),
        (Range(0.0, 1.0, open_high=True), "a number in [0, 1)", "a finite number in [0, 1)"),
        (whole(1, 1000), "a whole number in [1, 1000]", "a whole number from 1 to 1,000"),
        (whole(0), "a whole number in [0, inf)", "a whole number from 0"),
        (whole(0, 2**63 - 1), "a whole number in [0, 9223372036854775807]",
         "a whole number from 0 to 9,223,372,036,854,775,807"),
    ],
)  # fmt: skip
def test_it_says_its_bounds_as_an_interval_and_in_words(of: Range, interval: str, words: str) -> None:
    assert (of.interval, of.accepted) == (interval, words)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, True, np.True_, torch.tensor(True), "1", None, [1], torch.ones(2), 10**400]
)
@pytest.mark.parametrize("of", [Range(), Range(0.0), whole(0), whole(0, 9)], ids=str)
def test_only_finite_numbers_are_inside(of: Range, value: Any) -> None:
    assert of.read(value) is None


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.float64(3), torch.tensor(3), torch.tensor([3.0])])
def test_what_holds_one_number_is_one(value: Any) -> None:
    assert (type(whole(0).read(value)), whole(0).read(value)) == (int, 3)
    assert (type(Range(0.0).read(value)), Range(0.0).read(value)) == (float, 3.0)


def test_a_refusal_names_what_was_refused() -> None:
    with pytest.raises(InputError, match=r"^The 'x' of y must be a number in \[0, 1\), got 1\.$"):
        Range(0.0, 1.0, open_high=True).check("The 'x' of y", 1)


def test_the_part_worth_searching_is_inside_and_so_is_its_middle() -> None:
    searched = [h.range for r in recipes().values() for h in r.hyperparameters.values() if h.range and h.range.search]
    assert len({of.scale for of in searched}) == 3
    for of in searched:
        assert of.search is not None
        assert all(end in of for end in of.search)
        assert of.search[0] < of.middle < of.search[1]


def test_the_learning_rates_worth_searching_are_the_rates_own_range() -> None:
    for recipe in recipes().values():
        if recipe.rate:
            of = recipe.hyperparameters[recipe.rate].range
            assert of is not None
            assert (of.search, of.scale) == (recipe.rates, "log")
