"""The card of an optimizer: all of it read off the rule, and the page of all cards is up to date."""

import pytest

from thalweg.recipes.catalogue import recipe, recipes
from thalweg.reports.card import as_page, as_text, card


@pytest.mark.parametrize("name", recipes())
def test_every_card_is_whole(name):
    of = card(recipe(name))
    assert of.when.endswith(".")
    assert "p ←" in of.recurrence or "y =" in of.recurrence or "w ←" in of.recurrence
    assert of.paper
    assert {row[0] for row in of.rows} >= {
        h.name for h in recipe(name).rule.hyperparameters.values() if not h.initially
    }
    text = as_text(of)
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("width", [60, 80, 118])
@pytest.mark.parametrize("name", recipes())
def test_a_card_fits_the_terminal(name, width):
    of = card(recipe(name))
    text = as_text(of, width)
    assert all(len(line) <= width for line in text.splitlines())
    for part in (of.recurrence, of.remarks, of.when, of.paper):
        assert "".join(part.split()) in "".join(text.split()), "nothing is cut"


def test_adam():
    of = card(recipe("adam"))
    assert of.memory == "2 numbers a parameter (exp_avg, exp_avg_sq); 3 with amsgrad"
    assert of.heads == ("hyperparameter", "torch", "keras", "optax", "paper", "range", "worth searching")
    assert ("eps", "1e-08", "1e-07", "1e-08", "1e-08", "[0, inf)", "1e-10 to 0.01") in of.rows
    assert ("decoupled_weight_decay", "False", "True", "False", "False", "True or False", "") in of.rows
    assert of.recurrence.startswith("m ← β1·m")
    assert "Keras adds ε before the bias correction" in of.remarks


def test_decay_composed_around_the_rule_is_shown():
    of = card(recipe("adamw"))
    first, second = of.recurrence.split("\n")[:2]
    assert first.split("   ")[0] == "p ← p - lr·λ·p"
    assert second == "m ← β1·m + (1 - β1)·g"
    assert "p ← p - lr·λ·p" in as_page([of])


def test_another_name_of_a_rule_has_its_class_and_arguments():
    assert card(recipe("nesterov")).drop_in == "thalweg.optim.SGD with momentum=0.9, nesterov=True"
    assert card(recipe("nadamw")).drop_in == "thalweg.optim.NAdam with weight_decay=0.01, decoupled_weight_decay=True"
    assert card(recipe("signum")).drop_in == "thalweg.optim.Signum"


def test_states_that_a_switch_adds():
    assert card(recipe("sgd")).memory == "0 numbers a parameter; 1 with momentum"
    assert card(recipe("rmsprop")).memory == "1 number a parameter (square_avg); 2 with momentum; 2 with centered"


def test_the_page_holds_every_card():
    page = as_page(map(card, recipes().values()))
    assert [line[3:].strip("`") for line in page.splitlines() if line.startswith("## ")] == list(recipes())
    assert all(card(made).recurrence.splitlines()[0].strip() in page for made in recipes().values())
