"""Recipes, members and contenders travel between processes: they are equal again, and small."""

import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest

from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import Recipe, recipe, recipes
from thalweg.recipes.options import MODEL_RULES
from thalweg.rules.contract import preset, rule
from thalweg.rules.hyperparameters import Rate
from thalweg.schedules import cosine
from thalweg.studies.contenders import Contender

LARGEST = 4096  # bytes


@rule(paper="none", rates=(1e-3, 1.0))
def halved(g, p, t, *, lr: Rate = 0.1):
    """Half of it."""
    return lr * g / 2


def again(x: Any) -> Any:
    held = pickle.dumps(x)
    assert len(held) < LARGEST
    return pickle.loads(held)


@pytest.mark.parametrize("name", recipes())
def test_recipes_and_what_they_hold(name: str) -> None:
    found = recipe(name)
    assert again(found) == found == copy.deepcopy(found)
    assert again(found.preset) is found.preset
    assert again(found.rule) is found.rule
    assert again(found.structure(found.resolve({}))) == found.structure(found.resolve({}))


@pytest.mark.parametrize("convention", ["keras", "paper"])
def test_a_convention(convention: str) -> None:
    assert again(recipe("adam").under(convention)) == recipe("adam").under(convention)


@pytest.mark.parametrize("name", MODEL_RULES)
def test_model_rules(name: str) -> None:
    assert again(MODEL_RULES[name]) is MODEL_RULES[name]


def test_members() -> None:
    adam = recipe("adam")
    member = Member(adam, adam.resolve({"lr": cosine(1e-2, steps=10), "sam": 0.1}), 3)
    assert again(member) == member
    assert again(Member(adam, adam.resolve({}), 3)) == Member(adam, adam.resolve({}), 3)


@pytest.mark.parametrize(
    "contender",
    [
        Contender("sgd(momentum=0.9)"), Contender("quick = adam(sam=0.1)", space={"beta2": [0.9, 0.99]}),
        Contender("torch.optim:RAdam"), Contender("adamw", convention="keras"), Contender(halved),
    ],
    ids=lambda contender: contender.label,
)  # fmt: skip
def test_contenders(contender: Contender) -> None:
    assert again(contender) == contender


own_name = preset(recipe("adam").preset, "own_name", "Adam under a name of this module.", beta2=0.99)


def test_a_preset_of_a_rule_of_ours() -> None:
    assert again(Recipe(own_name)) == Recipe(own_name)


def test_what_is_bound_to_no_name_is_told() -> None:
    nameless = preset(halved, "another_name", "Bound to no name.")

    @rule(paper="none", rates=(1e-3, 1.0))
    def inside(g, p, t, *, lr: Rate = 0.1):
        """Bound in a function."""
        return lr * g

    for found in (nameless, inside, inside.rule):
        with pytest.raises(pickle.PicklingError, match=f"{found.name!r} cannot be pickled: test_pickling has no"):
            pickle.dumps(found)
        assert copy.deepcopy(found) is found


def test_another_process_finds_them() -> None:
    held = pickle.dumps([recipe("muon"), Contender("adamw(sam=0.1)")])
    code = f"import pickle; print(*(x.recipe.name if hasattr(x, 'recipe') else x.name for x in pickle.loads({held!r})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["muon", "adamw"]
