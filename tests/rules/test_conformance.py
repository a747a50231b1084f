"""Every optimizer of the catalogue keeps every promise of the contract, in every setting of its flags.

Nothing is listed here: a new rule file is found by the catalogue, and its oracle by the rule's name.
"""

import importlib.util

import pytest

from thalweg.recipes.catalogue import recipes
from thalweg.testing.rules import CHECKS, ORACLE_CHECKS, cases


def oracle(rule):
    """`trajectory` of tests/oracles/<rule>.py; `None` where there is no such file."""
    name = f"oracles.{rule}"
    return importlib.import_module(name).trajectory if importlib.util.find_spec(name) else None


def settings(recipe):
    """All of them; of a preset its defaults only, since every other setting of it is one of its rule's."""
    every = cases(recipe, oracle(recipe.rule.name))
    return every if recipe.name == recipe.rule.name else every[:1]


CASES = [case for recipe in recipes().values() for case in settings(recipe)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_promise(case, check):
    if check in ORACLE_CHECKS and case.oracle is None:
        rule = case.recipe.rule.name
        pytest.fail(f"The rule {rule!r} has no oracle: transcribe its paper in float64 as tests/oracles/{rule}.py.")
    check(case)


def test_settings_cover_flags_and_switches():
    flags = {name: {case.label for case in CASES if case.recipe.name == name} for name in recipes()}
    assert flags["rmsprop"] == {
        "defaults", "plain", "momentum", "centered", "momentum centered", "coupled", "decoupled"
    }  # fmt: skip
    assert flags["adamax"] == {"defaults", "plain", "coupled", "decoupled"}
