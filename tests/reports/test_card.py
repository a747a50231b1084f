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


def test_adam():
    of = card(recipe("adam"))
    assert of.memory == "2 numbers a parameter (exp_avg, exp_avg_sq); 3 with amsgrad"
    assert of.heads == ("hyperparameter", "torch", "keras", "optax", "paper", "range", "worth searching")
    assert ("eps", "1e-08", "1e-07", "1e-08", "1e-08", "[0, inf)", "1e-10 to 0.01") in of.rows
    assert ("decoupled_weight_decay", "False", "True", "False", "False", "True or False", "") in of.rows
    assert of.recurrence.startswith("m ← β1·m")
    assert "Keras adds ε before the bias correction" in of.remarks


def test_states_that_a_switch_adds():
    assert card(recipe("sgd")).memory == "0 numbers a parameter; 1 with momentum"
    assert card(recipe("rmsprop")).memory == "1 number a parameter (square_avg); 2 with momentum; 2 with centered"


def test_the_page_holds_every_card():
    page = as_page(map(card, recipes().values()))
    assert [line[3:].strip("`") for line in page.splitlines() if line.startswith("## ")] == list(recipes())
    assert all(card(made).recurrence.splitlines()[0].strip() in page for made in recipes().values())
