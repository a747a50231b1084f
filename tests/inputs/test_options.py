"""The declarations of options, and that whoever uses them says the same."""

import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

import thalweg
from problems import tiny
from thalweg.cli.main import app
from thalweg.options import declared
from thalweg.options.comparison import COMPARISON, ComparisonOptions, settings
from thalweg.options.kinds import File, Flag, Folder, Listed, OneLine, Quantity
from thalweg.options.ranges import POSITIVE, Range, whole
from thalweg.studies.protocol import CONFIRMATION_OFFSET

TIME = Quantity("seconds", "a time", {"s": 1.0, "min": 60.0}, '"90s"')
SIGNATURE = inspect.signature(thalweg.compare).parameters
DOCUMENTED = dict(
    re.findall(r"^    (\w+): (.*?)(?=^    \w+: |^$)", inspect.getdoc(thalweg.compare) or "", re.DOTALL | re.MULTILINE)
)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (whole(0, 9), 9, 9), (whole(0, 9), 10, None), (whole(0, 9), 1.0, 1), (whole(0, 9), 1.5, None),
        (whole(0, 9), True, None), (whole(0, 2**63), 2**62 + 1, 2**62 + 1), (whole(0), 10**400, None),
        (Range(), 3, 3.0), (Range(), float("nan"), None), (Range(), "3", None),
        (POSITIVE, 0, None), (POSITIVE, 5e-324, 5e-324), (POSITIVE, float("inf"), None),
        (TIME, "1.5 min", 90.0), (TIME, 3, 3.0), (TIME, "3", None), (TIME, "3 h", None), (TIME, "0s", None),
        (Flag(), False, False), (Flag(), 0, None),
        (OneLine(), "a b", "a b"), (OneLine(), "", None), (OneLine(), " ", None), (OneLine(), "a\n", None),
        (OneLine(), 3, None),
        (Listed("numbers", 2, POSITIVE), (1, 2), [1.0, 2.0]), (Listed("numbers", 2, POSITIVE), [1, 0], None),
        (Listed("numbers", 2), [], None), (Listed("numbers", 2), range(10**12), None), (Listed("x", 2), "ab", None),
        (Range(0.0), 0, 0.0), (Range(0.0), -1e-300, None), (Range(0.0), float("inf"), None),
        (Folder(), __file__, None), (File(), "no/such/place.json", None), (File(), ".", None),
    ],
)  # fmt: skip
def test_what_a_kind_reads(kind: Any, value: Any, read: Any) -> None:
    assert kind.read(value) == read


def test_a_folder_may_be_new(tmp_path: Path) -> None:
    assert Folder().read(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"


def test_the_arguments_of_compare_are_the_options_in_their_order_with_their_defaults() -> None:
    """The signature is written out, for editors and type checkers; here it is held to the declaration."""
    options = {name: of.default for name, of in SIGNATURE.items() if name != "workload"}
    assert [*options.items()] == [(name, option.default) for name, option in COMPARISON.items()]
    for name, option in COMPARISON.items():
        accepts_none = type(None) in get_args(SIGNATURE[name].annotation)
        assert accepts_none == option.optional, name


def test_the_docstring_of_compare_explains_every_option_in_order() -> None:
    assert [*DOCUMENTED] == ["workload", *COMPARISON]
    for name, option in COMPARISON.items():
        if isinstance(option.kind, Range) and option.kind.whole:
            assert option.kind.range in " ".join(DOCUMENTED[name].split()), name


@pytest.mark.parametrize("command", ["compare", "example"])
def test_the_command_line_takes_every_option_and_shows_help_range_and_default(command: str) -> None:
    known = {name: of for name, of in COMPARISON.items() if command == "compare" or not of.textbook}
    known |= {of.name: of for of in (declared.JSON, declared.OPEN, declared.QUIET, declared.VERBOSE)}
    known = dict(sorted(known.items(), key=lambda item: declared.PANELS.index(item[1].panel)))
    taken = {p.name: p for p in typer.main.get_command(app).commands[command].params}  # type: ignore[attr-defined]
    assert [*taken][1:] == [*known], "after the argument"
    for name, option in known.items():
        assert taken[name].help == option.described + option.more
        assert taken[name].rich_help_panel == option.panel
        default = option.default if option.written is None else option.written
        assert str(taken[name].default) == str(default)
        assert taken[name].opts == [f"--{name.replace('_', '-')}"]


def test_a_textbooks_own_settings_are_no_options_of_its_repetition() -> None:
    assert {"optimizers", "convention", "schedules"} <= {name for name, option in COMPARISON.items() if option.textbook}


CHANGED: dict[str, Any] = {
    "learning_rates": (0.05, 0.1), "seeds": 2, "confirm_seeds": 1, "base_seed": 7, "steps": 9, "trials": 5,
    "clip_norm": 0.5, "early_stopping": {"patience": 2, "least_improvement": 0.0}, "memory": 8e9, "device": "cpu",
    "tag": "a word",
}  # fmt: skip


def test_what_was_asked_for_is_stored_restored_and_in_the_facts() -> None:
    """Every option whose value lasts; those of the session are not stored, and contenders stand on their own."""
    result = thalweg.compare(tiny(), ["sgd"], progress=False, **CHANGED)
    stored = json.loads(json.dumps(dict(result.study.request)))
    restored = ComparisonOptions.restored(stored)
    for name, value in CHANGED.items():
        assert getattr(restored, name) in (value, list(value) if isinstance(value, tuple) else value), name
    assert settings(stored) == result.facts()["settings"]
    others = ("optimizers", "convention", "schedules", "regularizers", "vary", "progress", "out")
    lasting = {name for name in COMPARISON if name not in others}
    assert set(settings(stored)) == lasting - {"checkpoint_every", "save_model"}
    assert settings({}) == {}


def test_a_request_of_an_earlier_version_is_restored_with_the_defaults_of_what_it_lacks() -> None:
    old = {
        "contenders": [], "workload": "digits", "data_dir": None, "epochs": 3, "steps": None, "budget": 60.0,
        "device": "cpu",
        "design": {"learning_rates": [0.1], "seeds": 2, "confirm_seeds": 5, "base_seed": 0, "per_decade": 2,
                   "fine": True, "tune": [], "trials": 64},
    }  # fmt: skip
    restored = ComparisonOptions.restored(old)
    assert (restored.epochs, restored.budget, restored.seeds, restored.learning_rates) == (3, 60.0, 2, [0.1])
    assert (restored.memory, restored.early_stopping, restored.clip_norm) == (None, None, None)


def test_tuning_seeds_never_reach_the_confirmation_seeds() -> None:
    assert declared.MOST_SEEDS == CONFIRMATION_OFFSET


def test_settings_of_an_earlier_study_are_those_it_stored() -> None:
    """What its version did not store is not told as if it had been asked for."""
    asked = {"workload": "digits", "contenders": [], "design": {"seeds": 2, "base_seed": 7}, "budget": None}
    assert settings(asked) == {"seeds": 2, "base_seed": 7, "budget": None}
    assert settings({}) == {}
