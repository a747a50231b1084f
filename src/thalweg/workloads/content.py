"""What a workload is made of, as hashes: whether two studies, or a study and its resumption, train the same."""

import functools
import hashlib
import inspect
import re
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.workloads.workload import Workload

DEEPEST = 4  # values within each other


def content(workload: Workload, model: nn.Module) -> Mapping[str, str]:
    """Hashes of its data, its model and its loss, 16 hexadecimal digits each.

    model: as the workload makes it for the study's first seed. It counts with its values, its structure and the source
    of its classes; functions count with their source, or their byte code where there is none, and what they close over.
    """
    splits = (workload.train, workload.validation, workload.test)
    data = [t for split in splits if split is not None for t in (*split.inputs, split.targets)]
    own = {type(m) for m in model.modules() if not type(m).__module__.startswith("torch.")}
    sources = [_source(c) for c in sorted(own, key=lambda c: c.__qualname__)]
    metric = (workload.metric.name, str(workload.metric.higher_is_better), *_described(workload.metric.function))
    return {
        "data": _digest(*map(_tensor, data)),
        "model": _digest(_printed(model), *sources, *_states(model)),
        "loss": _digest(*_described(workload.loss), *metric),
    }


def _digest(*parts: str) -> str:
    whole = hashlib.blake2b(digest_size=8)
    for part in parts:
        whole.update(f"{len(part)}:{part}".encode())
    return whole.hexdigest()


def _printed(module: nn.Module) -> str:
    """Its structure as it prints it, without addresses, which are others in every process."""
    try:
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(module))
    except Exception as error:  # whatever somebody's extra_repr raises
        return f"{type(module).__qualname__} {type(error).__qualname__}"


def _states(module: nn.Module, depth: int = DEEPEST) -> list[str]:
    """Its parameters and buffers, which are trained, what else it saves where it can, and what its modules hold."""
    try:
        saved = [f"{name} {_tensor(value)}" for name, value in module.state_dict().items()]
    except Exception:  # whatever somebody's get_extra_state raises
        saved = [f"{n} {_tensor(t)}" for n, t in (*module.named_parameters(), *module.named_buffers())]
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    held = [f"{name} {_attributes(m, depth)}" for name, m in module.named_modules()]
    return [*saved, *frozen, *held]


OF_MODULES = frozenset(vars(nn.Module()))


def _attributes(module: nn.Module, depth: int) -> list[str]:
    """What a module holds beside parameters, buffers and modules."""
    return [f"{k} {_value(v, depth - 1)}" for k, v in vars(module).items() if k not in OF_MODULES]


def _tensor(value: Any) -> str:
    """Shape, dtype and every bit."""
    if not isinstance(value, Tensor):
        return repr(value)
    memory = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return f"{tuple(value.shape)} {value.dtype} {hashlib.blake2b(memory, digest_size=16).hexdigest()}"


def _described(function: Any, depth: int = DEEPEST) -> list[str]:
    """A callable's source, and the values that it carries with it."""
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
    return [named.__qualname__, _source(named), *held, *(f"{k} {v}" for k, v in own)]


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _value(value: Any, depth: int = DEEPEST) -> str:
    """What a function closes over, or an object holds; where a value says nothing but its address, its class."""
    try:
        return _told(value, depth)
    except Exception:  # whatever somebody's object raises when it is looked at
        return type(value).__qualname__


def _told(value: Any, depth: int) -> str:
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.shape} {value.dtype} {hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()}"
    if isinstance(value, int | float | complex | str | bytes | bool | None):
        return repr(value)
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
    """The attributes of an object of the user's."""
    held = getattr(value, "__dict__", None)
    return [(str(k), _value(v, depth)) for k, v in held.items()] if isinstance(held, dict) else []


def _source(thing: Callable[..., Any] | type) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        return "" if code is None else f"{code.co_code.hex()} {code.co_names} {_constants(code)}"


def _constants(code: Any) -> list[str]:
    """A code object's constants; functions inside it by theirs, whose addresses differ from run to run."""
    return [f"{c.co_code.hex()} {_constants(c)}" if inspect.iscode(c) else repr(c) for c in code.co_consts]
