"""Content hashes of a workload: whether two studies, or a study and its resumption, train the same problem."""

import functools
import hashlib
import re
import types
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.workloads import losses
from thalweg.workloads.sources import is_users, reached, source
from thalweg.workloads.workload import Workload

DEEPEST = 4  # levels of nested values that are hashed


def content(workload: Workload, model: str) -> Mapping[str, str]:
    """Hashes of the workload's data, model and loss, 16 hexadecimal digits each. model: its `model_content`.

    Of functions the source is hashed without its comments, or the byte code if there is none, the values they close
    over, and a user's own functions and values that they reach by global names.
    """
    splits = (workload.train, workload.validation, workload.test)
    data = [part for split in splits if split is not None for part in split.digest()]
    function, own = workload.metric.function, [f for f in (workload.predict, workload.augment) if f is not None]
    metric = [workload.metric.name, str(workload.metric.higher_is_better), *_described(function)]
    for m in workload.also:
        metric += [m.name, *_described(m.function)]
    metric += [line for f in own for line in _described(f)]
    own_parameters = [_value(workload.parameters)] if workload.parameters else []
    return {
        "data": _digest(*map(_value, data)),
        "model": model,
        "loss": _digest(
            *_described(workload.loss),
            *metric,
            *own_parameters,
            *_reached(workload.loss, function, *(m.function for m in workload.also), *own),
        ),
    }


def code_content(things: Sequence[Any]) -> str:
    """A hash of functions, classes and objects of a user's own, and of what they reach; empty where there are none."""
    own = [thing for thing in things if isinstance(thing, functools.partial) or is_users(_kind(thing))]
    return _digest(*(line for thing in own for line in _described(thing)), *_reached(*own)) if own else ""


def value_content(value: Any) -> str:
    """A value as text: of a tensor or an array a hash of its content."""
    return _value(value)


def joined(*digests: str) -> str:
    """A hash of several."""
    return _digest(*digests)


def model_content(model: nn.Module) -> str:
    """A hash of the values, the structure and the classes' source of a model: a new one of the study's first seed."""
    kinds = {kind for m in model.modules() for kind in type(m).__mro__ if kind is not object and not _is_torchs(kind)}
    own = sorted(kinds, key=lambda c: (c.__module__, c.__qualname__))
    hooks = {f"{name} {kind}": hook for name, kind, hook in _hooks(model)}
    held = [line for kind in own for line in _closed_over(kind)]
    held += [line for name, hook in hooks.items() for line in (name, *_described(hook))]
    return _digest(_printed(model), *map(source, own), *_reached(*own, *hooks.values()), *held, *_states(model))


def _closed_over(kind: type) -> list[str]:
    """The values that the methods of a class close over, as those of one that is made within a factory."""
    found = []
    for name, value in sorted(vars(kind).items()):
        function = getattr(value, "__func__", getattr(value, "fget", value))
        for cell in getattr(function, "__closure__", None) or ():
            if _is_filled(cell) and cell.cell_contents is not kind:  # `__class__`, which super() uses
                found.append(f"{kind.__qualname__}.{name} {_value(cell.cell_contents)}")
    return found


def _hooks(model: nn.Module) -> list[tuple[str, str, Any]]:
    """(module with the hook's place, kind, hook) of a model's hooks."""
    of = [(name, kind, m) for name, m in model.named_modules() for kind in HOOKS]
    return [
        (f"{name} {i}", kind, hook)
        for name, kind, m in of
        for i, hook in enumerate((getattr(m, kind, None) or {}).values())
        if callable(hook)
    ]


def _is_torchs(kind: type) -> bool:
    return kind.__module__.startswith("torch.")


def _reached(*things: Any) -> list[str]:
    """What functions, classes and objects reach by global names, as text."""
    own = [_kind(losses.function_of(thing)) for thing in things]
    return [f"{name} {_content_of(value)}" for name, value in reached(own).items()]


def _kind(thing: Any) -> Any:
    """A function or a class itself, and the class of an object."""
    return thing if isinstance(thing, FunctionType | type) else type(thing)


def _content_of(value: Any) -> str:
    return source(value) if isinstance(value, FunctionType | type) else _value(value)


HOOKS = tuple(name for name in vars(nn.Module()) if name.endswith("_hooks"))


def _digest(*parts: str) -> str:
    whole = hashlib.blake2b(digest_size=8)
    for part in parts:
        whole.update(f"{len(part)}:{part}".encode())
    return whole.hexdigest()


def _printed(module: nn.Module) -> str:
    """The module's `repr` without memory addresses, which differ between processes."""
    try:
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(module))
    except Exception as error:  # a user's extra_repr may raise anything
        return f"{type(module).__qualname__} {type(error).__qualname__}"


def _states(module: nn.Module, depth: int = DEEPEST) -> list[str]:
    """Its state dict (only parameters and buffers if that fails), its frozen parameters, its modules' attributes."""
    try:
        saved = [f"{name} {_tensor(value)}" for name, value in module.state_dict().items()]
    except Exception:  # a user's get_extra_state may raise anything
        saved = [f"{n} {_tensor(t)}" for n, t in (*module.named_parameters(), *module.named_buffers())]
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    held = [f"{name} {_attributes(m, depth)}" for name, m in module.named_modules()]
    return [*saved, *frozen, *held]


OF_MODULES = frozenset(vars(nn.Module()))


def _attributes(module: nn.Module, depth: int) -> list[str]:
    """A module's attributes other than parameters, buffers and submodules."""
    return [f"{k} {_value(v, depth - 1)}" for k, v in vars(module).items() if k not in OF_MODULES]


def _tensor(value: Any) -> str:
    """Shape, dtype and a hash of every bit; `repr` of a value that is no tensor."""
    if not isinstance(value, Tensor):
        return repr(value)
    memory = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return f"{tuple(value.shape)} {value.dtype} {hashlib.blake2b(memory, digest_size=16).hexdigest()}"


def _described(function: Any, depth: int = DEEPEST) -> list[str]:
    """A callable's source, and the values bound to it: arguments of a partial, closure, attributes."""
    if isinstance(function, functools.partial):
        held = [_value(v, depth) for v in (*function.args, *sorted(function.keywords.items()))]
        return ["partial", *_described(function.func, depth), *held]
    if isinstance(function, nn.Module):
        return [_printed(function), *_states(function, depth)]
    if isinstance(function, types.MethodType):
        return [*_described(function.__func__, depth), _value(function.__self__, depth)]
    cells = getattr(function, "__closure__", None) or ()
    held = [_value(c.cell_contents, depth) for c in cells if _is_filled(c)]
    named = function if hasattr(function, "__qualname__") else type(function)
    own = _held(function, depth) if named is not function else []
    return [named.__qualname__, source(named), *held, *(f"{k} {v}" for k, v in own)]


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _value(value: Any, depth: int = DEEPEST) -> str:
    """A closure value or an attribute as text: its content, or its class if it has none to read."""
    try:
        return _told(value, depth)
    except Exception:  # a user's object may raise anything when it is inspected
        return type(value).__qualname__


def _told(value: Any, depth: int) -> str:
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.shape} {value.dtype} {hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()}"
    if isinstance(value, int | float | complex | str | bytes | bool | None | range | torch.dtype | PurePath):
        return repr(value)
    if isinstance(value, set | frozenset):
        return f"{type(value).__qualname__} {sorted(_value(v, depth - 1) for v in value)}"
    name = type(value).__qualname__
    if depth <= 0 or isinstance(value, types.ModuleType):
        return name
    if isinstance(value, dict):
        return f"{name} {[(_value(k, depth - 1), _value(v, depth - 1)) for k, v in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{name} {[_value(v, depth - 1) for v in value]}"
    if callable(value):
        return "\n".join(_described(value, depth - 1))
    return f"{name} {_held(value, depth - 1)}"


def _held(value: Any, depth: int) -> list[tuple[str, str]]:
    """The attributes of a user's object."""
    held = getattr(value, "__dict__", None)
    return [(str(k), _value(v, depth)) for k, v in held.items()] if isinstance(held, dict) else []
