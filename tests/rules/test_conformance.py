"""Every optimizer of the catalogue keeps every promise of the contract, in every setting of its flags.

Nothing is listed here: a new rule file is found by the catalogue, and its oracle by the rule's name.
"""

import importlib.util

import pytest

from scope import THOROUGH, sample
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import recipes
from thalweg.testing.accuracy import check_bfloat16, check_float32, check_formula, check_mask
from thalweg.testing.rules import CHECKS, FORMULA_CHECKS, ORACLE_CHECKS, cases


def oracle(rule):
    """`trajectory` of tests/oracles/<rule>.py; `None` where there is no such file."""
    name = f"oracles.{rule}"
    return importlib.import_module(name).trajectory if importlib.util.find_spec(name) else None


def settings(recipe):
    """All of them in every convention with a formula of its own; of presets and other conventions the defaults only."""
    for convention in recipe.conventions:
        by = recipe.under(convention)
        every = cases(by, oracle(recipe.rule.name))
        yield from every if recipe.name == recipe.rule.name and by.formula == convention else every[:1]


CASES = [case for recipe in recipes().values() for case in settings(recipe)]

COSTLY = (check_bfloat16, check_mask)  # kernels of their own, of what no rule has a part in


def checks(case):
    """All of them at a rule's defaults; at its other settings, of presets and of other conventions what its formula can
    get wrong, in float64.

    Of rules that are not typical the latter without a kernel for each setting: they are compiled as all others. In a
    thorough run all at every setting.
    """
    torchs, defaults = case.recipe.convention == CONVENTIONS[0], case.label == "defaults"
    is_typical = bool(sample([case.recipe.name]))
    if THOROUGH or (torchs and defaults and case.recipe.name == case.recipe.rule.name):
        every = CHECKS if torchs else FORMULA_CHECKS
        return every if is_typical else tuple(check for check in every if check not in COSTLY)
    in_float64 = tuple(check for check in FORMULA_CHECKS if check is not check_float32)
    return in_float64 if defaults or is_typical else (check_formula,)


PROMISES = [
    pytest.param(case, check, id=f"{case}-{check.__name__.removeprefix('check_')}")
    for case in CASES
    for check in checks(case)
]


@pytest.mark.parametrize(("case", "check"), PROMISES)
def test_promise(case, check):
    if check in (*ORACLE_CHECKS, check_formula) and case.oracle is None:
        rule = case.recipe.rule.name
        pytest.fail(f"The rule {rule!r} has no oracle: transcribe its paper in float64 as tests/oracles/{rule}.py.")
    check(case)


def test_settings_cover_flags_and_switches():
    flags = {name: {case.label for case in CASES if case.recipe.name == name} for name in recipes()}
    assert flags["rmsprop"] == {
        "defaults", "plain", "momentum", "centered", "momentum centered", "coupled", "decoupled"
    }  # fmt: skip
    assert flags["adamax"] == {"defaults", "plain", "coupled", "decoupled"}
