"""Which optimizers do not care in which unit the loss is measured: as theory says, no more and no fewer."""

from thalweg.recipes.catalogue import recipes
from thalweg.testing.symmetries import is_scale_free

BY_SIGN = {"lion", "rprop", "signsgd", "signum"}
BY_A_MOMENT_OF_SECOND_ORDER = {
    "adabelief", "adam", "adam_uncorrected", "adamod", "adamw", "adan", "ademamix", "adopt", "amsgrad", "expectigrad",
    "grams", "laprop", "nadam", "nadamw", "nosadam", "qhadam", "rmsprop", "schedule_free_adamw", "yogi",
}  # fmt: skip
BY_THE_LARGEST = {"adamax"}
BY_THE_SUM_OF_SQUARES = {"adagrad", "ftrl"}
NOT_QUITE = {
    "radam": "its first steps are those of momentum",
    "adabound": "its bounds are rates, as SGD's is",
    "amsbound": "its bounds are rates, as SGD's is",
    "adadelta": "without ε it never starts",
    "diffgrad": "its friction compares gradients with 1",
    "madgrad": "a cube root undoes two thirds of a scale",
    "padam": "it divides by a part of the second moment",
}
"""Adaptive, and yet no others of this list."""


def test_scale_free():
    found = {name for name, recipe in recipes().items() if is_scale_free(recipe)}
    assert found == BY_SIGN | BY_A_MOMENT_OF_SECOND_ORDER | BY_THE_LARGEST | BY_THE_SUM_OF_SQUARES
    assert not found & set(NOT_QUITE)
    assert set(NOT_QUITE) <= set(recipes())
