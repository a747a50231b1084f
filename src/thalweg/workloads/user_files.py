"""Workloads of a user's own file or module: `my_file.py`, `my_file.py:name`, `package.module:name`."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from thalweg.errors import InputError, first_line, shown, suggest

if TYPE_CHECKING:
    from thalweg.workloads.workload import Workload

NAME = "workload"  # what is looked for in a file unless a name is given
PREFIX = "thalweg_user_"  # of the modules that files become, so that none hides another
RELATIVE = "; name the file as a part of its package, package.module:workload, or import without the dot"
READING: set[str] = set()  # files that are being read


def is_place(text: str) -> bool:
    """Whether a text says where a workload of the user's is, as no built-in one's name does."""
    return ".py" in text or ":" in text or "/" in text or "\\" in text


def absolute(place: str) -> str:
    """The place with the whole path of its file, so that a study finds it again from another directory."""
    path, name = _divided(place)
    if not path.endswith(".py"):
        return place
    return f"{Path(path).absolute()}:{name}" if name else str(Path(path).absolute())


def load_from(place: str) -> "Workload":
    """The workload at a place: an object, or what a function without arguments returns.

    Raises `InputError`: there is no such file, module or name, it raises, or it is no workload.
    """
    path, name = _divided(place)
    module = _file(Path(path)) if path.endswith(".py") else _module(path, place)
    return _made(_found(module, name, path), place)


def object_at(place: str) -> Any:
    """What a place names in a file or module: `my_file.py:name`. Raises `InputError` where there is nothing."""
    path, name = _divided(place)
    if not name:
        raise InputError(f"{shown(place)} names no object: write my_file.py:name or package.module:name.")
    return _found(_file(Path(path)) if path.endswith(".py") else _module(path, place), name, path)


def called_at(place: str) -> Any:
    """What a place names, or what that returns if it is a function. Raises `InputError` as `object_at`."""
    found = object_at(place)
    return _run(found, _divided(place)[0]) if isinstance(found, FunctionType) else found


def _divided(place: str) -> tuple[str, str]:
    """(file or module, name or empty). A drive's colon, as in C:\\, divides nothing."""
    path, colon, name = place.rpartition(":")
    if not colon or "/" in name or "\\" in name:
        return place, ""
    return path, name


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"The file '{path}' {what}; `thalweg new {path.name}` writes one to begin with.")
    name = PREFIX + path.stem
    if str(path.absolute()) in READING:
        raise InputError(
            "the file compares itself while it is read: put thalweg.compare into a main() that is called below if"
            " __name__ == '__main__'."
        )
    folder = str(path.parent.absolute())
    if folder not in sys.path:
        sys.path.append(folder)  # last: what lies beside the file hides no installed module
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look their module up
    loader = spec.loader
    READING.add(str(path.absolute()))
    try:
        _run(lambda: loader.exec_module(module), str(path))
    except InputError:
        sys.modules.pop(name, None)
        raise
    finally:
        READING.discard(str(path.absolute()))
    return module


def _module(name: str, place: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.append("")  # for a package in the working directory
    if not all(part.isidentifier() for part in name.split(".")) or not _is_known(name):
        raise InputError(
            f"There is no module {shown(name)} for the workload {shown(place)}: give a built-in workload's name, a"
            " file such as my_file.py, or package.module:name of a module that Python finds from here."
        )
    module: ModuleType = _run(lambda: importlib.import_module(name), name)
    return module


def _is_known(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _found(module: ModuleType, name: str, path: str) -> Any:
    """What is called `name` in a module; without one, what is called `workload`, or its only workload."""
    from thalweg.workloads.workload import Workload

    if name:
        if not hasattr(module, name):
            raise InputError(f"{path} has no {shown(name)}. {suggest(name, _candidates(module))}")
        return getattr(module, name)
    if hasattr(module, NAME):
        return getattr(module, NAME)
    several = [n for n, value in vars(module).items() if isinstance(value, Workload)]
    if len(several) != 1:
        held = f"it has {', '.join(several)}: say which, as {path}:{several[0]}" if several else "it has none"
        raise InputError(
            f"{path} must have a workload, an object called {NAME} or a function of that name that returns one; {held}."
        )
    return getattr(module, several[0])


def _candidates(module: ModuleType) -> list[str]:
    """Names that may be meant: of all but modules."""
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return [name for name, value in own.items() if not isinstance(value, ModuleType)] or [NAME]


def _made(found: Any, place: str) -> "Workload":
    from thalweg.workloads.workload import Workload

    if callable(found) and not isinstance(found, Workload):
        called: Callable[[], Any] = found
        found = _run(called, _divided(place)[0])
    if not isinstance(found, Workload):
        raise InputError(
            f"{place} must be a thalweg.Workload or a function without arguments that returns one, got {shown(found)}."
        )
    return found


def _run(call: Callable[[], Any], path: str) -> Any:
    """Runs a user's code; what it raises becomes one sentence with the line of the user's where it came from."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a file may raise anything, SystemExit too
        line = user_line(error, path)
        where = f"{path}, line {line}: " if line else f"{path}: "
        if isinstance(error, InputError):
            raise InputError(f"{where}{error}") from error
        told = first_line(error)
        advice = RELATIVE if isinstance(error, ImportError) and "relative import" in told else ""
        raise InputError(f"{where}{type(error).__name__}{': ' if told else ''}{told}{advice}") from error


def user_line(error: BaseException, path: str) -> int:
    """The last line of a file, or of a module's, that an error passed through; 0 if none."""
    if isinstance(error, SyntaxError) and error.filename and _same(error.filename, path):
        return error.lineno or 0
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _same(f.filename, path)]
    return frames[-1].lineno or 0 if frames else 0


def _same(filename: str, path: str) -> bool:
    """Whether a frame's file is a file of the user's, or that of a module by this name."""
    if not path.endswith(".py"):
        spec = importlib.util.find_spec(path)
        path = "" if spec is None or spec.origin is None else spec.origin
    return bool(path) and Path(filename).absolute() == Path(path).absolute()
