"""Every rule with every modifier: by itself against its arithmetic by hand, and all at once in every execution."""

import pytest

from scope import TYPICAL, in_turns, sample, spread
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.testing.accuracy import check_bfloat16, check_compiled_equals_reference
from thalweg.testing.modifiers import MODIFIERS, check_modifier, everything
from thalweg.testing.rules import MODIFIED_CHECKS, cases

CASES = [cases(r)[0] for r in recipes().values() if r.name == r.rule.name]
SAMPLED = [case for case in CASES if case.recipe.name in sample(recipes())]


def written(of):
    return of.__name__.removeprefix("check_") if callable(of) else str(of)


@pytest.mark.parametrize(("case", "modifier"), spread(SAMPLED, MODIFIERS), ids=str)
def test_modifier(case, modifier):
    check_modifier(case, modifier)


TRIED = in_turns([case for case in CASES if case.recipe.name in TYPICAL], MODIFIED_CHECKS)
TRIED += [(case, check_compiled_equals_reference) for case in SAMPLED if case.recipe.name not in TYPICAL]


@pytest.mark.parametrize(("case", "check"), TRIED, ids=written)
def test_everything_at_once(case, check):
    """Of the typical all checks, of others the one: the kernel is among the largest to compile."""
    check(everything(case))


def test_everything_in_bfloat16():
    """Of one rule: a kernel for each combination of dtypes takes long to compile."""
    check_bfloat16(everything(cases(recipe("adam"))[0]))
