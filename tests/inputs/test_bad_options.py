"""Options that are out of range or of another kind: one sentence says which range."""

from typing import Any

import pytest
from torch import nn

import thalweg
from broken_workloads import (
    compared,
)  # fmt: skip

OPTIONS = {
    "a rate that is a text": (
        {"optimizers": ["adam(lr='a')"]},
        "A learning rate must be a positive finite number, got",
    ),
    "a rate that is None": ({"optimizers": ["adam(lr=None)"]}, "A learning rate must be a positive finite number"),
    "a rate of zero": ({"optimizers": ["sgd(lr=0)"]}, "A learning rate must be a positive finite number, got 0"),
    "a whole number beyond floats": ({"optimizers": [f"adam(eps={'9' * 400})"]}, "'eps' must be a finite number"),
    "deep nesting": ({"optimizers": ["adam(lr=" + "-" * 50_000 + "1)"]}, "Cannot read"),
    "a value twice": ({"optimizers": ["adam(lr=1,lr=2)"]}, "Cannot read"),
    "called twice, the first call unread": ({"optimizers": ["adam(lr=1)(beta1=0.5)"]}, "Cannot read"),
    "a set as value": ({"optimizers": ["torch.optim:SGD(foreach={1,2})"]}, "'foreach' must be a finite number, a text"),
    "a complex value": ({"optimizers": ["torch.optim:SGD(maximize=1j)"]}, "'maximize' must be a finite number"),
    "an infinite value": ({"optimizers": ["torch.optim:SGD(momentum=1e999)"]}, "'momentum' must be a finite number"),
    "a title of two lines": ({"optimizers": ["a\nb=adam"]}, "name or title must be a text of one line"),
    "a title that cannot be encoded": ({"optimizers": ["a\ud800=adam"]}, "name or title must be a text of one line"),
    "a set of optimizers": ({"optimizers": {"sgd"}}, "optimizers must be a list of names or Contenders"),
    "a huge rate": ({"learning_rates": [10**400]}, "learning_rates must be a list of positive finite numbers"),
    "a number that Python does not print": ({"seeds": 10**5000}, "seeds must be .* got a value of type int"),
    "one hyperparameter to tune": ({"tune": 3, "learning_rates": None}, "tune must be a list"),
    "seeds that reach the confirmation seeds": ({"seeds": 1001}, "seeds must be a whole number from 1 to 1,000"),
    "a seed beyond the sampler's": ({"base_seed": 2**32}, "base_seed must be a whole number from 0 to 2,147,483,647"),
    "endless trials": ({"trials": 10**12}, "trials must be a whole number from 1 to 10,000"),
    "a huge norm": ({"clip_norm": 10**400}, "clip_norm must be a positive finite number"),
    "a budget without unit": (
        {"budget": "90"},
        'budget must be a time such as "90s", "10min" or "1.5h", or a positive finite number of seconds',
    ),
    "more runs than can be kept": (
        {"seeds": 1000, "learning_rates": [0.001 * k for k in range(1, 1001)], "optimizers": ["sgd", "adam"]},
        "would train 2,000,004 models, and at most 1,000,000",
    ),
    "no path": ({"out": 3}, "out must be the path of a directory"),
    "a path with a NUL": ({"out": "a\0b"}, "out must be the path of a directory"),
    "a path that is too long": ({"out": "/tmp/" + "a" * 5000}, "out must be the path of a directory"),
    "a file as directory": ({"out": __file__}, "out must be the path of a directory"),
    "a device that holds nothing": ({"device": "meta"}, "device 'meta' cannot be used"),
    "a device of no module": ({"device": "hpu"}, "device 'hpu' cannot be used"),
    "no device": ({"device": None}, "device must be the name of a device such as"),
    "progress as text": ({"progress": "no"}, "progress must be True or False, got 'no'"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_an_option_that_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(**options)


@pytest.mark.parametrize("given", [3, None, ["digits"], nn.Linear(4, 3)])
def test_what_is_no_workload(given: Any) -> None:
    with pytest.raises(thalweg.InputError, match=r"workload must be a thalweg\.Workload or a built-in one's name"):
        thalweg.compare(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fixed": 3}, "fixed must be a dict"),
        ({"fixed": {3: 4}}, "fixed must be a dict"),
        ({"space": 3}, "space must be a dict"),
        ({"space": {"beta1": range(10**12)}}, "at most 10,000 combinations"),
        ({"space": {"lr": ["a"]}}, "A learning rate must be"),
        ({"title": ""}, "name or title must be a text"),
    ],
)
def test_a_contender_that_is_wrong(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        thalweg.Contender("adam", **arguments)
