"""The rooms of the package and the direction of the arrows between them (design.md), read off the source."""

from collections import Counter
from pathlib import Path

import pytest

from architecture import (
    FILES,
    IMPORTS,
    MODULES,
    MOST_FRAMES,
    OWN,
    ROOT,
    ambiguous_classes,
    circles,
    folder_arrows,
    long_files,
    long_functions,
    step_cost,
    step_drivers,
    training_loops,
)

LINES = (
    ("numerics", "errors"),
    ("options",),
    ("rules", "schedules", "regularization", "workloads", "records"),
    ("recipes",),
    ("execution",),
    ("population", "optim", "analysis", "sparse"),
    ("studies", "reports"),
    ("api",),
    ("thalweg",),  # the package's own file, which offers what api offers
    ("cli", "testing"),
    ("__main__",),  # `python -m thalweg`, which is the command line
)
"""From the bottom up: a room imports rooms of lower lines only."""

LEVEL = {room: level for level, line in enumerate(LINES) for room in line}
WITHOUT_TORCH = ("records", "analysis", "reports")
VAGUE = {"utils", "util", "misc", "common", "core", "helpers", "base"}


def room_of(module):
    return module.split(".")[1] if "." in module else "thalweg"


def arrows():
    """(module, what it imports of other rooms)."""
    return [(m, other) for m, names in OWN.items() for other in sorted(names) if room_of(m) != room_of(other)]


def test_the_source_was_found():
    assert "thalweg.rules.elementwise.adam" in MODULES
    assert "thalweg.rules.contract" in OWN["thalweg.rules.elementwise.adam"]
    assert "torch" in IMPORTS["thalweg.numerics.functions"], "imports inside functions count"


def test_every_room_is_in_the_contract():
    rooms = {room_of(module) for module in MODULES}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert (rooms | folders) - set(LEVEL) == set(), "a new room needs a line in design.md and here"


@pytest.mark.parametrize(("module", "other"), arrows())
def test_imports_go_downwards(module, other):
    here, there = room_of(module), room_of(other)
    assert LEVEL[there] < LEVEL[here], f"{module} imports {other}, and {there} does not lie below {here}"


def test_everything_imported_exists():
    for module, names in OWN.items():
        assert names <= set(MODULES), f"{module} imports {names - set(MODULES)}"


def test_nothing_imports_the_command_line():
    others = {m: names for m, names in OWN.items() if room_of(m) not in ("cli", "__main__")}
    users = [m for m, names in others.items() if any(room_of(name) == "cli" for name in names)]
    assert users == []


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_rooms_without_torch(room):
    users = [m for m in MODULES if room_of(m) == room and any(n.split(".")[0] == "torch" for n in IMPORTS[m])]
    assert users == []


def test_rules_never_import_the_optimizers_of_torch():
    for module in MODULES:
        if room_of(module) == "rules":
            assert not any(name.startswith("torch.optim") for name in IMPORTS[module]), module


def test_no_cycles():
    """File by file; a package's own file counts only where it is imported by name."""
    assert circles({module: names & set(MODULES) for module, names in OWN.items()}) == []


def test_no_cycles_between_folders():
    arrows = folder_arrows()
    assert circles(arrows) == []
    assert "thalweg.execution.cpu" in set().union(*arrows.values()), "the folders were found"


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b → c → b"]


def test_files_and_functions_are_short():
    assert long_files() == {}
    assert long_functions() == {}


def test_one_place_drives_a_step_and_one_trains():
    assert step_drivers() == ["thalweg.execution.driver.carry_out"]
    assert training_loops() == ["thalweg.population.training.training_loop._carry_out"]


def test_a_prepared_step_is_a_few_calls_deep():
    assert 3 <= step_cost().frames <= MOST_FRAMES


def test_names_say_what_is_inside():
    names = [path.stem for path in FILES] + [path.name for path in ROOT.rglob("*") if path.is_dir()]
    assert VAGUE & set(names) == set()


def test_a_class_name_has_one_meaning():
    """A protocol and what keeps it may share a name's end, but no two public classes a name."""
    assert ambiguous_classes() == {}


def test_a_module_of_the_tests_has_a_name_of_its_own():
    """Every folder of tests is on the import path: of two files of one name, a process finds the one it met first."""
    stems = Counter(path.stem for path in Path(__file__).parent.rglob("*.py"))
    assert [stem for stem, files in stems.items() if files > 1] == ["conftest"]
