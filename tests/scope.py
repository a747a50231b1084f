"""Whether everything is put to everything (`make conformance`), or the suite has to end within its ten minutes.

A kernel for each rule, setting and dtype takes half a second to compile, and there are thousands.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

THOROUGH = bool(os.environ.get("THALWEG_THOROUGH"))

conformance_only = pytest.mark.skipif(not THOROUGH, reason="in make conformance: the suite has to end in time")
"""Of tests that take seconds, of which the suite has others of the kind."""


def few(values: Iterable[Any], count: int = 1) -> list[Any]:
    """All values, or the first of them."""
    found = list(values)
    return found if THOROUGH else found[:count]


TYPICAL = ("sgd", "momentum", "adam", "asgd", "ftrl", "lion", "nadam", "rprop", "schedule_free_adamw")
"""Rules without and with momentum, of one and of more states, by sign, with row states, that read the parameter."""


def sample(names: Iterable[str]) -> list[str]:
    """All of them, or those that are typical."""
    return [name for name in names if THOROUGH or name in TYPICAL]


def typical(classes: Mapping[str, Any]) -> dict[str, Any]:
    """Of the drop-ins all, or those of typical rules."""
    return {name: cls for name, cls in classes.items() if sample([cls.recipe.name])}


TURNS = 3


def in_turns(first: Iterable[Any], second: Iterable[Any]) -> list[tuple[Any, Any]]:
    """All pairs, or a third of them in which each of the first and each of the second occurs (of three or more)."""
    seconds = list(enumerate(second))
    return [(a, b) for i, a in enumerate(first) for j, b in seconds if THOROUGH or (i + j) % TURNS == 0]


def crossed(classes: Mapping[str, Any], options: Sequence[Any]) -> list[Any]:
    """(class, options) of every class with the first options, and of the typical ones with the others in turns."""
    return [(cls, options[0]) for cls in classes.values()] + in_turns(typical(classes).values(), options[1:])
