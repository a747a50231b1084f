"""Every rule with every modifier: by itself against its arithmetic by hand, and all at once in every execution."""

import pytest

from scope import in_turns, sample
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.testing.accuracy import check_bfloat16
from thalweg.testing.modifiers import MODIFIERS, check_modifier, everything
from thalweg.testing.rules import MODIFIED_CHECKS, cases

CASES = [cases(r)[0] for r in recipes().values() if r.name == r.rule.name]
SAMPLED = [case for case in CASES if case.recipe.name in sample(recipes())]


def written(of):
    return of.__name__.removeprefix("check_") if callable(of) else str(of)


@pytest.mark.parametrize(("case", "modifier"), in_turns(SAMPLED, MODIFIERS), ids=str)
def test_modifier(case, modifier):
    check_modifier(case, modifier)


@pytest.mark.parametrize(("case", "check"), in_turns(SAMPLED, MODIFIED_CHECKS), ids=written)
def test_everything_at_once(case, check):
    check(everything(case))


def test_everything_in_bfloat16():
    """Of one rule: a kernel for each combination of dtypes takes long to compile."""
    check_bfloat16(everything(cases(recipe("adam"))[0]))
