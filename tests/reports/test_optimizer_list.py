"""The list of optimizers: every one in one family, whole names at any width, the same as data."""

import json
from collections import Counter

import pytest

from thalweg.recipes.catalogue import recipes
from thalweg.reports.catalogue import HEADS, base, facts, groups, lines, rows, when
from thalweg.rules.families import FAMILIES
from thalweg.studies.protocol import TEXTBOOK


def grouped():
    return groups(recipes(), TEXTBOOK)


def test_every_optimizer_is_in_exactly_one_family():
    assert {
        name: recipe.preset.family for name, recipe in recipes().items() if recipe.preset.family not in FAMILIES
    } == {}
    assert {recipe.preset.family for recipe in recipes().values()} == set(FAMILIES), "no family is empty"


def test_every_optimizer_is_listed_once_and_the_default_ones_first():
    of = grouped()
    assert Counter(r.name for members in of.values() for r in members) == Counter(dict.fromkeys(recipes(), 1))
    heading, first = next(iter(of.items()))
    assert heading == "compared by default (11)"
    assert tuple(r.name for r in first) == TEXTBOOK
    assert all(FAMILIES[r.preset.family] == label for label, members in list(of.items())[1:] for r in members)


@pytest.mark.parametrize("name", recipes())
def test_when_is_a_short_phrase(name):
    words = recipes()[name].preset.purpose
    assert words
    assert not words.endswith(".")
    assert "  " not in words
    assert 21 + 2 + len(when(recipes()[name])) <= 80, "with the longest name it fits 80 columns"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 250])
def test_one_line_each_with_whole_names(width):
    found = lines(grouped(), width)
    assert [line for line, heading in found if heading] == list(grouped())
    entries = [line for line, heading in found if not heading]
    assert sorted(line.split()[0] for line in entries) == sorted(recipes())
    assert all(len(line) <= width for line in entries)


def test_words_are_whole_at_80_columns_and_hyperparameters_come_with_room():
    entries = {line.split()[0]: line for line, heading in lines(grouped(), 80) if not heading}
    assert all(entry.endswith(when(recipes()[name])) for name, entry in entries.items())
    assert "lr=" not in "".join(entries.values())
    wide = {line.split()[0]: line for line, heading in lines(grouped(), 140) if not heading}
    assert wide["adadelta"].endswith("lr=1, rho=0.9, eps=1e-06")
    assert wide["lion"].endswith("lr=0.0001, beta1=0.9, beta2=0.99, …")
    assert all(when(recipes()[name]) in line for name, line in wide.items())


def test_words_that_do_not_fit_are_cut_between_words():
    entries = {line.split()[0]: line for line, heading in lines(grouped(), 60) if not heading}
    assert entries["muon"].endswith("hidden matrices of transformers;…")


def test_another_name_of_a_rule_says_which():
    of = {name: base(recipe) for name, recipe in recipes().items() if base(recipe)}
    assert of == {
        "adamw": "adam", "amsbound": "adabound", "amsgrad": "adam", "momentum": "sgd", "moonlight": "muon",
        "nadamw": "nadam", "nesterov": "sgd", "signum": "signsgd",
    }  # fmt: skip
    assert when(recipes()["nesterov"]).startswith("of sgd: ")


def test_the_data_is_json_and_complete():
    data = facts(grouped(), TEXTBOOK)
    assert json.loads(json.dumps(data, allow_nan=False)) == json.loads(json.dumps(data))
    by = {one["name"]: one for one in data}
    assert set(by) == set(recipes())
    assert [one["name"] for one in data if one["default"]] == list(TEXTBOOK)
    assert by["nesterov"]["of"] == "sgd"
    assert by["nesterov"]["class"] is None
    assert by["adam"]["of"] is None
    assert by["adamw"]["hyperparameters"] == {
        "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False, "weight_decay": 0.01,
        "decoupled_weight_decay": True,
    }  # fmt: skip


def test_the_table_has_all_details():
    heads, body = rows(recipes().values())
    assert heads == HEADS
    table = {line[0]: line for line in body}
    assert table["nesterov"][1] == "lr=0.001, momentum=0.9, dampening=0, nesterov=True"
    assert table["adamw"][2] == "AdamW"
    assert all(len(line) == len(HEADS) and line[4] in FAMILIES for line in body)
