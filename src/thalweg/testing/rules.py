"""The contract of update rules as checks: run `check_rule` on your own."""

from collections.abc import Callable

from thalweg.recipes.catalogue import Recipe
from thalweg.testing.accuracy import (
    check_bfloat16,
    check_clip_value,
    check_compiled_equals_reference,
    check_float32,
    check_mask,
    check_maximize,
    check_oracle,
)
from thalweg.testing.invariants import (
    check_constant_gradient,
    check_pure,
    check_refusals,
    check_resume,
    check_rows,
    check_shapes,
    check_zero_gradient,
)
from thalweg.testing.modifiers import MODIFIERS, check_modifier, everything
from thalweg.testing.settings import Case, Oracle, cases

Check = Callable[[Case], None]

ORACLE_CHECKS: tuple[Check, ...] = (check_oracle, check_float32)
"""Checks that need an oracle."""

FORMULA_CHECKS: tuple[Check, ...] = (*ORACLE_CHECKS, check_compiled_equals_reference)
"""Checks of each further convention of a rule, which differs in its formula only."""

CHECKS: tuple[Check, ...] = (
    *ORACLE_CHECKS,
    check_compiled_equals_reference,
    check_bfloat16,
    check_maximize,
    check_clip_value,
    check_mask,
    check_pure,
    check_shapes,
    check_rows,
    check_resume,
    check_zero_gradient,
    check_constant_gradient,
    check_refusals,
)
"""All checks. Each takes one `Case` and raises `AssertionError` with a sentence that names the fault."""

MODIFIED_CHECKS: tuple[Check, ...] = (
    check_compiled_equals_reference,
    check_pure,
    check_rows,
    check_resume,
    check_constant_gradient,
)
"""Checks that also hold with every modifier at once."""

__all__ = [
    "CHECKS",
    "FORMULA_CHECKS",
    "MODIFIED_CHECKS",
    "ORACLE_CHECKS",
    "Case",
    "Check",
    "Oracle",
    "cases",
    "check_rule",
]


def check_rule(recipe: Recipe, oracle: Oracle | None = None) -> None:
    """Runs every check on every setting of an optimizer, and its defaults with each modifier and with all.

    Args:
        recipe: the optimizer, such as `Recipe(preset)` of the `Preset` that the `rule` decorator returned.
        oracle: a slow float64 transcription of its paper; without one, `ORACLE_CHECKS` are skipped.

    Raises:
        AssertionError: the first violation, in a sentence.
    """
    every = cases(recipe, oracle)
    for case in every:
        for check in CHECKS:
            if oracle is not None or check not in ORACLE_CHECKS:
                check(case)
    for modifier in MODIFIERS:
        check_modifier(every[0], modifier)
    for check in MODIFIED_CHECKS:
        check(everything(every[0]))
