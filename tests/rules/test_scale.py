"""Which optimizers do not care in which unit the loss is measured: those that say so, no more and no fewer."""

import pytest

from thalweg.recipes.catalogue import recipe, recipes
from thalweg.testing.symmetries import is_scale_free


@pytest.mark.parametrize("name", recipes())
def test_scale_free(name):
    assert is_scale_free(recipe(name)) == recipe(name).rule.scale_free


def test_what_theory_says():
    """Adam's root of second order divides the scale out; a cube root leaves a part of it, a plain step all."""
    assert [recipe(name).rule.scale_free for name in ("adam", "madgrad", "sgd")] == [True, False, False]
