"""The workloads that a text names: built-in ones, and those of a user's file or module.

Listing the built-in ones imports neither torch nor scikit-learn.
"""

import ast
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from thalweg.errors import InputError, shown, suggest
from thalweg.workloads.user_files import is_place, load_from

if TYPE_CHECKING:
    from thalweg.workloads.workload import Workload


class _Factory(NamedTuple):
    module: str
    function: str
    takes_data_dir: bool

    def __call__(self, data_dir: str | os.PathLike[str] | None = None) -> "Workload":
        function = getattr(importlib.import_module(self.module), self.function)
        workload: Workload = function(data_dir) if self.takes_data_dir else function()
        return workload


def _found() -> dict[str, _Factory]:
    """Every public function of this folder annotated `-> Workload`, by its name with dashes.

    Parsed from the source, because importing torch and scikit-learn takes seconds. Quoted annotations, as in this
    file, are strings to `ast`, so `load` is not found.
    """
    found = {}
    for path in Path(__file__).parent.glob("*.py"):
        text = path.read_text("utf-8")
        for node in ast.parse(text).body if "-> Workload:" in text else ():  # parsing all would take 40 ms
            if _makes_workload(node):
                factory = _Factory(f"{__package__}.{path.stem}", node.name, bool(node.args.args))
                found[node.name.replace("_", "-")] = factory
    return dict(sorted(found.items()))


def _makes_workload(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
        return False
    return isinstance(node.returns, ast.Name) and node.returns.id == "Workload"


WORKLOADS = _found()


def workload_names() -> tuple[str, ...]:
    """The names that `load` knows, sorted."""
    return tuple(WORKLOADS)


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> "Workload":
    """The workload `name`: a built-in one, or yours as `my_file.py`, `my_file.py:name` or `package.module:name`.

    data_dir: the directory of a built-in one's files, if it has any.

    Raises:
        InputError: the name is unknown (the message suggests the closest ones), or the data or the file cannot be read.
    """
    if is_place(name):
        return load_from(name)
    if name not in WORKLOADS:
        raise InputError(f"Unknown workload {shown(name)}. {suggest(name, WORKLOADS)}")
    return WORKLOADS[name](data_dir)
