"""The stub of `thalweg.optim`, from its classes' signatures: `python -m thalweg.optim.stubs > …/optim/__init__.pyi`.

The classes are created on first access, so type checkers and editors cannot see them in the source.
"""

import inspect
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import thalweg.optim
from thalweg.optim.classes import drop_ins
from thalweg.optim.interop.annotations import Number
from thalweg.optim.optimizer import Optimizer

WIDTH = 120  # of a line, as the formatter has it
HEAD = '''"""Written by `python -m thalweg.optim.stubs`, from the signatures of the classes."""

from typing import Literal, TypeAlias

from torch import Tensor, dtype
from torch.optim.optimizer import ParamsT

'''


ALIAS = "Number: TypeAlias = float | Tensor | Schedule"


def stub() -> str:
    """The text of `__init__.pyi`."""
    return f"{HEAD}{_imports()}\n\n{ALIAS}\n\n{_exported()}\n\n" + "\n".join(map(_class, drop_ins().values()))


def _imports() -> str:
    """Imports of the package's exports other than the classes, each from its module."""
    modules: dict[str, list[str]] = {"thalweg.schedules": ["Schedule"]}
    for name in thalweg.optim.__all__:
        modules.setdefault(getattr(thalweg.optim, name).__module__, []).append(name)
    return "\n".join(_import(module, sorted(names)) for module, names in sorted(modules.items()))


def _import(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _exported() -> str:
    in_order = sorted(
        [*thalweg.optim.__all__, *drop_ins()], key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    names = "".join(f'    "{name}",\n' for name in in_order)
    return f"__all__ = [\n{names}]"


def _class(of: type[Optimizer]) -> str:
    parameters = [*inspect.signature(of).parameters.values()]
    first = next((i for i, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), len(parameters))
    lines = ["self", *map(_argument, parameters[:first]), "*", *map(_argument, parameters[first:])]
    arguments = "".join(f"        {line},\n" for line in lines)
    return (
        f'class {of.__name__}(Optimizer):\n    """{_summary(of)}"""\n    def __init__(\n{arguments}    ) -> None: ...\n'
    )


def _summary(of: type[Optimizer]) -> str:
    return (of.__doc__ or "").partition("\n")[0]


def _argument(p: inspect.Parameter) -> str:
    default = "" if p.default is p.empty else f" = {p.default!r}"
    of = "ParamsT" if p.name == "params" else _type(p.annotation)
    return f"{p.name}: {of}{default}".replace("'", '"')


def _type(of: Any) -> str:
    """A type as source text, the same under every version of Python."""
    origin, arguments = get_origin(of), get_args(of)
    if of == Number:
        return "Number"
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin in (Union, UnionType):
        return " | ".join(map(_type, arguments))
    if origin is tuple:
        return f"tuple[{', '.join(map(_type, arguments))}]"
    return "None" if of is type(None) else str(of.__name__)


if __name__ == "__main__":
    print(stub(), end="")
