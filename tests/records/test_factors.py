"""Factors and the learning rate are read off the records."""

from dataclasses import replace
from typing import Any

import pytest

from records_fixture import RUN, STUDY

ADAM = {"optimizer": "adam"}
KERAS = {"optimizer": "adam", "convention": "keras"}


@pytest.mark.parametrize(
    ("hyperparameters", "rate", "value"),
    [
        ({"lr": 0.1, "eta": 0.2}, "eta", 0.2),
        ({"lr": 1}, "lr", 1.0),
        ({"lr": 0.1}, None, None),
        ({"eps": 0.1}, "lr", None),
        ({"lr": None}, "lr", None),
    ],
)
def test_the_learning_rate_is_the_hyperparameter_that_the_record_names(
    hyperparameters: dict[str, Any], rate: str | None, value: float | None
) -> None:
    assert replace(RUN, hyperparameters=hyperparameters, rate=rate).learning_rate == value


def test_the_optimizer_is_a_factor() -> None:
    assert replace(RUN, factors=KERAS).optimizer == "adam"


@pytest.mark.parametrize(
    ("factors", "varied"),
    [
        ({}, ()),
        ({"a": KERAS}, ()),
        ({"a": ADAM, "b": ADAM}, ()),
        ({"a": ADAM, "b": KERAS}, ("convention",)),
        ({"a": KERAS, "b": {"optimizer": "sgd"}}, ("optimizer", "convention")),
        ({"a": ADAM, "b": ADAM, "c": {**ADAM, "schedule": None}}, ()),
    ],
)
def test_what_varies_differs_among_contenders(factors: Any, varied: tuple[str, ...]) -> None:
    assert replace(STUDY, factors=factors).varied == varied


def test_a_study_that_does_not_state_factors_has_those_of_its_runs() -> None:
    run = replace(RUN, factors=KERAS)
    assert STUDY.factors_of("adam", [run]) == KERAS
    assert replace(STUDY, factors={"adam": ADAM}).factors_of("adam", [run]) == ADAM
    assert STUDY.factors_of("adam", []) == {}
