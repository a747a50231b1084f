"""The counting rules of the architecture, read off the source; `python tests/architecture.py` prints what they count.

`test_layers.py` holds the package to them.
"""

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1] / "src" / "thalweg"
FILES = sorted(ROOT.rglob("*.py"))

MOST_LINES = 300
"""Of a file: the bound, not the aim; files near 200 lines and functions near 12 are."""

MOST_OF_A_FUNCTION = 60
"""Code lines of a function, without its docstring."""

MOST_FRAMES = 6
"""On the stack from `step()` to the kernel, of a prepared step: the bound, not the aim."""


def module_of(path: Path) -> str:
    """thalweg/rules/adam.py → thalweg.rules.elementwise.adam"""
    parts = ("thalweg", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[module].read_text())


def imported(module: str) -> set[str]:
    """What a module imports, anywhere in it: at its top, in functions, under TYPE_CHECKING."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} - _only_version(tree(module))
        elif isinstance(node, ast.ImportFrom):
            found |= {target for alias in node.names if (target := _from_import(module, node, alias.name))}
    return found - {module}


def _only_version(of: ast.Module) -> set[str]:
    """{"thalweg"} where nothing of `import thalweg` is used but the version, which belongs to no room."""
    uses = [node for node in ast.walk(of) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return {"thalweg"} if {node.attr for node in uses if node.value.id == "thalweg"} == {"__version__"} else set()


def _from_import(module: str, node: ast.ImportFrom, name: str) -> str | None:
    """`from a import b`: the module a.b where there is one, else a."""
    assert node.level == 0, f"{module} imports relatively; write the whole name."
    assert node.module
    if (node.module, name) == ("thalweg", "__version__"):
        return None
    inner = f"{node.module}.{name}"
    return inner if inner in MODULES or not node.module.startswith("thalweg") else node.module


IMPORTS = {module: imported(module) for module in MODULES}
OWN = {module: {name for name in names if name.split(".")[0] == "thalweg"} for module, names in IMPORTS.items()}


def folder_of(module: str) -> str:
    """A file straight in the package is a room of its own; `thalweg/__init__.py` offers what others make."""
    return module if MODULES[module].name == "__init__.py" or "." not in module[8:] else module.rsplit(".", 1)[0]


def folder_arrows() -> dict[str, set[str]]:
    """Folder → the folders that its files import from."""
    found: dict[str, set[str]] = {}
    for module in set(MODULES) - {"thalweg"}:
        others = {folder_of(other) for other in OWN[module] & set(MODULES)}
        found.setdefault(folder_of(module), set()).update(others - {folder_of(module)})
    return found


def circles(arrows: Mapping[str, set[str]]) -> list[str]:
    """One circle for each arrow that closes one, written as "a → b → a"."""
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" → ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for other in sorted(arrows.get(name, ())):
                visit(other, [*path, name])
            done.add(name)

    for name in sorted(arrows):
        visit(name, [])
    return found


def long_files() -> dict[str, int]:
    """File → its lines, where there are more than `MOST_LINES`."""
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    return {name: n for name, n in lines.items() if n > MOST_LINES}


def long_functions() -> dict[str, int]:
    """Function → its code lines, where there are more than `MOST_OF_A_FUNCTION`."""
    found = {f"{module}.{f.name}": _code_lines(f) for module in MODULES for f in _functions(module)}
    return {name: n for name, n in found.items() if n > MOST_OF_A_FUNCTION}


def _functions(module: str) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef))


def _code_lines(function: ast.FunctionDef) -> int:
    """Without its docstring, which says what every argument is."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((first.end_lineno or 0) - first.lineno + 1 if documented else 0)


def callers(matches: Callable[[ast.Call], bool]) -> list[str]:
    """The functions with a call that matches, as `module.function`."""
    found = {
        f"{module}.{function.name}"
        for module in MODULES
        for function in _functions(module)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and matches(node)
    }
    return sorted(found)


def step_drivers() -> list[str]:
    """Functions that carry out a step's stages: `rows.update(program.update, …)`."""
    return callers(lambda call: _attribute(call.func) == "update" and [*map(_attribute, call.args[:1])] == ["update"])


def training_loops() -> list[str]:
    """Functions that have an executor carry out steps: `….executor.carry_out(…)`."""
    return callers(
        lambda call: (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "carry_out"
            and _attribute(call.func.value) == "executor"
        )
    )


def _attribute(node: ast.expr) -> str:
    """The last name of `a.b.c`; empty for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else ""


def ambiguous_classes() -> dict[str, list[str]]:
    """Class name → the modules that define a class of that name, where there are several."""
    homes: dict[str, list[str]] = {}
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module)
    return {name: where for name, where in homes.items() if len(where) > 1}


@dataclass
class StepCost:
    """Python between a call of `step()` and the parameter's change, of an Adam whose step is prepared."""

    frames: int  # on the stack when the kernel is called, `step` itself included
    calls: int  # of Python functions until then


def step_cost() -> StepCost:
    """Measured with `sys.setprofile`: the kernel has run when a function returns and the parameter is another."""
    import torch

    import thalweg.optim

    p = torch.nn.Parameter(torch.ones(3))
    optimizer = thalweg.optim.Adam([p])
    for _ in range(5):
        p.grad = torch.ones(3)
        optimizer.step()
    memory = p.detach().numpy()
    before, cost, depth, changed = memory[0], StepCost(0, 0), 0, False

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal depth, changed
        if event == "call" and not changed:
            depth, cost.calls = depth + 1, cost.calls + 1
        elif event == "return" and not changed:
            changed, cost.frames = bool(memory[0] != before), depth
            depth -= 1

    sys.setprofile(profile)
    try:
        optimizer.step()
    finally:
        sys.setprofile(None)
    assert changed, "the step did not move the parameter"
    return cost


def table() -> str:
    """What the rules count, one line each, and where."""
    cost = step_cost()
    rows: list[tuple[str, int, str]] = [
        (f"files over {MOST_LINES} lines", len(long_files()), ", ".join(long_files())),
        (f"functions over {MOST_OF_A_FUNCTION} code lines", len(long_functions()), ", ".join(long_functions())),
        ("import circles between folders", len(circles(folder_arrows())), ", ".join(circles(folder_arrows()))),
        ("class names with two meanings", len(ambiguous_classes()), ", ".join(ambiguous_classes())),
        ("drivers of a step", len(step_drivers()), ", ".join(step_drivers())),
        ("training loops", len(training_loops()), ", ".join(training_loops())),
        ("Python frames from step() to the kernel", cost.frames, f"at most {MOST_FRAMES}; prepared Adam, one tensor"),
        ("Python calls from step() to the kernel", cost.calls, "the same step"),
    ]
    return "\n".join(f"{rule:42} {count:4}  {where}".rstrip() for rule, count, where in rows)


if __name__ == "__main__":
    print(table())
