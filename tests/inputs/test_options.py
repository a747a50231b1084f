"""The declarations of options, and that whoever uses them says the same."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer

import thalweg
from thalweg.cli.main import app
from thalweg.options import declared
from thalweg.options.kinds import File, Flag, Folder, Listed, OneLine, Quantity
from thalweg.options.ranges import POSITIVE, Range, whole
from thalweg.studies.protocol import CONFIRMATION_OFFSET

TIME = Quantity("seconds", "a time", {"s": 1.0, "min": 60.0}, '"90s"')
SIGNATURE = inspect.signature(thalweg.compare).parameters
TAKEN = [
    "OPTIMIZERS", "LEARNING_RATES", "CONVENTION", "SEEDS", "CONFIRM_SEEDS", "BASE_SEED", "EPOCHS", "STEPS", "TUNE",
    "TRIALS", "CLIP_NORM", "EARLY_STOPPING", "BUDGET", "MEMORY", "PROGRESS", "OUT", "DEVICE", "DATA_DIR",
    "CHECKPOINT_EVERY",
]  # fmt: skip
OF_COMPARISON: dict[str, declared.Option] = {of.name: of for of in (getattr(declared, name) for name in TAKEN)}


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


@pytest.mark.parametrize("option", OF_COMPARISON.values(), ids=lambda option: option.name)
def test_compare_takes_what_is_declared(option: declared.Option) -> None:
    replaces_the_workloads = option in (declared.EPOCHS, declared.STEPS)
    assert SIGNATURE[option.name].default == (None if replaces_the_workloads else option.default)
    if isinstance(option.kind, Range) and option.kind.whole:
        said = re.search(rf"^ +{option.name}: (.*?)^ +\w+: ", thalweg.compare.__doc__ or "", re.DOTALL | re.MULTILINE)
        assert said is not None
        assert option.kind.range in " ".join(said[1].split())


def test_every_argument_of_compare_is_declared() -> None:
    assert set(SIGNATURE) == {"workload", *OF_COMPARISON}


def test_every_option_of_the_command_line_is_declared_and_shows_its_range() -> None:
    known = {
        **OF_COMPARISON,
        "data_dir": declared.DATA_DIR,
        "json": declared.JSON,
        "verbose": declared.VERBOSE,
    }
    command = typer.main.get_command(app).commands["compare"]  # type: ignore[attr-defined]
    shown = {
        parameter.name: parameter.help for parameter in command.params if parameter.name not in ("workload", "help")
    }
    assert set(shown) == set(known)
    assert all(option.described in shown[name] for name, option in known.items())


def test_tuning_seeds_never_reach_the_confirmation_seeds() -> None:
    assert declared.MOST_SEEDS == CONFIRMATION_OFFSET
