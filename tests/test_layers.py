"""The rooms of the package and the direction of the arrows between them (design.md), read off the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "thalweg"

LINES = (
    ("numerics", "errors"),
    ("options",),
    ("rules", "schedules", "regularization", "workloads", "records"),
    ("recipes",),
    ("execution",),
    ("population", "optim", "analysis"),
    ("studies", "reports"),
    ("api",),
    ("thalweg",),  # the package's own file, which offers what api offers
    ("cli", "testing"),
)
"""From the bottom up: a room imports rooms of lower lines only."""

LEVEL = {room: level for level, line in enumerate(LINES) for room in line}
WITHOUT_TORCH = ("records", "analysis", "reports")
VAGUE = {"utils", "util", "misc", "common", "core", "helpers", "base"}

FILES = sorted(ROOT.rglob("*.py"))


def module_of(path):
    """thalweg/rules/adam.py → thalweg.rules.elementwise.adam"""
    parts = ("thalweg", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module):
    return module.split(".")[1] if "." in module else "thalweg"


def imported(module):
    """What a module imports, anywhere in it: at its top, in functions, under TYPE_CHECKING."""
    tree = ast.parse(MODULES[module].read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} - only_version(tree)
        elif isinstance(node, ast.ImportFrom):
            found |= {target for alias in node.names if (target := from_import(module, node, alias.name))}
    return found - {module}


def only_version(tree):
    """{"thalweg"} where nothing of `import thalweg` is used but the version, which belongs to no room."""
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return {"thalweg"} if {node.attr for node in uses if node.value.id == "thalweg"} == {"__version__"} else set()


def from_import(module, node, name):
    """`from a import b`: the module a.b where there is one, else a."""
    assert node.level == 0, f"{module} imports relatively; write the whole name."
    if (node.module, name) == ("thalweg", "__version__"):
        return None
    inner = f"{node.module}.{name}"
    return inner if inner in MODULES or not node.module.startswith("thalweg") else node.module


IMPORTS = {module: imported(module) for module in MODULES}
OWN = {module: {name for name in names if name.split(".")[0] == "thalweg"} for module, names in IMPORTS.items()}


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
    users = [m for m, names in OWN.items() if room_of(m) != "cli" and any(room_of(name) == "cli" for name in names)]
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
    done, open_modules = set(), []

    def visit(module):
        assert module not in open_modules, " → ".join([*open_modules[open_modules.index(module) :], module])
        if module not in done:
            open_modules.append(module)
            for other in sorted(OWN[module] & set(MODULES)):
                visit(other)
            open_modules.pop()
            done.add(module)

    for module in MODULES:
        visit(module)


def folder_of(module):
    """A file straight in the package is a room of its own; `thalweg/__init__.py` offers what others make."""
    return module if MODULES[module].name == "__init__.py" or "." not in module[8:] else module.rsplit(".", 1)[0]


def folder_arrows():
    """Folder → the folders that its files import from."""
    found = {}
    for module in set(MODULES) - {"thalweg"}:
        others = {folder_of(other) for other in OWN[module] & set(MODULES)}
        found.setdefault(folder_of(module), set()).update(others - {folder_of(module)})
    return found


def test_no_cycles_between_folders():
    arrows, above = folder_arrows(), {}

    def below(folder, path):
        assert folder not in path, " → ".join([*path[path.index(folder) :], folder])
        if folder not in above:
            above[folder] = {other for f in arrows.get(folder, ()) for other in {f, *below(f, [*path, folder])}}
        return above[folder]

    for folder in arrows:
        below(folder, [])
    assert "thalweg.execution.cpu" in above["thalweg.execution"], "the folders were found"


MOST_LINES, MOST_OF_A_FUNCTION = 300, 60


def test_files_and_functions_are_short():
    """The bound, not the aim: files near 200 lines and functions near 12 are."""
    lines = {path.name: len(path.read_text().splitlines()) for path in FILES}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
    functions = [n for path in FILES for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    assert {f.name: n for f in functions if (n := code_lines(f)) > MOST_OF_A_FUNCTION} == {}


def code_lines(function):
    """Without its docstring, which says what every argument is."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if documented else 0)


def test_names_say_what_is_inside():
    names = [path.stem for path in FILES] + [path.name for path in ROOT.rglob("*") if path.is_dir()]
    assert VAGUE & set(names) == set()


def test_a_class_name_has_one_meaning():
    """A protocol and what keeps it may share a name's end, but no two public classes a name."""
    homes = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}
