"""Digest of everything that is reachable from a Python value."""

import argparse
import array
import contextvars
import ctypes
import functools
import os
import queue
import random
import sys
import types
import warnings
import weakref
from collections import deque
from collections.abc import (
    Callable,
    Collection,
    Generator,
    ItemsView,
    Iterable,
    KeysView,
    Mapping,
    Sequence,
    ValuesView,
)
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MOST_NODES = 20_000  # values visited per name
MOST_BYTES = 16 << 20  # of tensors and arrays hashed per name; of further ones, id and version
DEEPEST = 100  # levels of nesting
FOREIGN = sys.stdlib_module_names - {"types"} | {"torch", "numpy", "thalweg"}
"""Packages whose functions and objects hold no user state, except for the types in `KINDS`."""

CACHES = {"lightning_utilities"}
"""Packages whose objects answer what is installed, and keep the answer: torchmetrics asks at the first call."""


def is_foreign(module: str | None) -> bool:
    return (module or "").split(".")[0] in FOREIGN


def storage_of(tensor: Tensor) -> int:
    """Data pointer of a tensor's storage; 0 for a tensor without storage."""
    try:
        return tensor.untyped_storage().data_ptr()
    except Exception:  # a tensor without storage
        return 0


class Walk:
    """Hashes everything reachable from a value. refers, cut: whether it reached a registered tensor, a limit.

    code: whether the code of functions is hashed too, also of those in a user's Python modules.
    """

    def __init__(self, registered: set[int], modules: set[int], *, code: bool = False) -> None:
        self._registered, self._modules, self._code = registered, modules, code
        self._hash = blake2b(digest_size=16)
        self._seen: dict[int, Any] = {}  # holds the values, so that no id is reused
        self._bytes, self._depth = 0, 0
        self.refers, self.cut = False, False

    def digest(self, value: Any) -> bytes:
        self._visit(value)
        return self._hash.digest()

    def _note(self, *facts: Any) -> None:
        self._hash.update(repr(facts).encode(errors="replace"))

    def _visit(self, value: Any) -> None:
        self._note(type(value).__qualname__)
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            self._note(value)
        elif len(self._seen) >= MOST_NODES or self._depth >= DEEPEST:
            self.cut = True
        elif id(value) not in self._seen:
            self._seen[id(value)] = value
            self._depth += 1
            try:
                self._enter(value)
            except Exception as error:  # inspecting a user's object may raise anything
                self._note(type(error).__qualname__)
            finally:
                self._depth -= 1

    def _enter(self, value: Any) -> None:
        """Hashes a value that may hold others, by the first type in `KINDS` that matches."""
        for kind, enter in KINDS:
            if isinstance(value, kind):
                enter(self, value)
                return
        if hasattr(type(value), "__next__"):
            self._iterator(value)
        elif type(value).__module__.split(".")[0] == "pandas":
            self._visit(value.to_numpy())
        elif type(value).__module__.split(".")[0] in CACHES:
            pass
        elif not is_foreign(type(value).__module__):
            self._object(value)
        else:
            self._note(getattr(value, "__qualname__", ""), _plain_attributes(value))

    def _each(self, values: Iterable[Any]) -> None:
        for value in values:
            self._visit(value)

    def _items(self, values: Mapping[Any, Any]) -> None:
        self._note(len(values))
        for key, value in list(values.items()):
            self._visit(key)
            self._visit(value)

    def _set(self, values: Collection[Any]) -> None:
        inner = [Walk(self._registered, self._modules, code=self._code) for _ in values]
        self._note(sorted(walk.digest(value) for walk, value in zip(inner, values, strict=True)))
        self.cut |= any(walk.cut for walk in inner)

    def _tensor(self, tensor: Tensor) -> None:
        if storage_of(tensor) in self._registered:
            self.refers = True  # to a parameter or a buffer, or a view of one
            return
        self._note(tuple(tensor.shape), tensor.dtype)
        try:
            self._memory(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(), tensor)
        except Exception:  # a tensor without values
            self._note(id(tensor), getattr(tensor, "_version", 0))

    def _users_module(self, module: types.ModuleType) -> None:
        """Hashes the data of a user's Python module (numbers, lists, …), its functions and classes if `code`."""
        name = getattr(module, "__name__", "")
        if is_foreign(name) or "site-packages" in str(getattr(module, "__file__", "")):
            return
        code = () if self._code else (types.ModuleType, types.FunctionType, type)
        own = {k: v for k, v in vars(module).items() if not k.startswith("__") and not isinstance(v, code)}
        self._items(own)

    def _array(self, values: Any) -> None:
        self._note(values.shape, values.dtype)
        if values.dtype.hasobject:
            self._each(values.ravel().tolist())
        else:
            self._memory(np.ascontiguousarray(values).reshape(-1).view(np.uint8), values)

    def _memory(self, data: Any, owner: Any) -> None:
        self._bytes += data.nbytes
        if self._bytes > MOST_BYTES:
            self.cut = True
            self._note(id(owner), getattr(owner, "_version", 0))
        else:
            self._hash.update(data.data)

    def _module(self, module: nn.Module) -> None:
        """Hashes an unregistered module with its tensors and class; a registered one has names of its own."""
        if id(module) not in self._modules:
            self._items(vars(module))
            self._visit(type(module))

    def _function(self, function: types.FunctionType) -> None:
        """Hashes a function's closure, defaults, attributes, and the globals and environment that it reads."""
        self._note(function.__module__, function.__qualname__)
        if is_foreign(function.__module__):
            return
        if self._code:
            self._note(*code_of(function.__code__))
        for cell in function.__closure__ or ():
            self._cell(cell)
        self._each((function.__defaults__, function.__kwdefaults__, vars(function)))
        names = names_of(function.__code__)
        self._each(function.__globals__[n] for n in sorted(names) if n in function.__globals__)
        if names & {"environ", "getenv"}:
            self._items(dict(os.environ))

    def _cell(self, cell: Any) -> None:
        try:
            self._visit(cell.cell_contents)
        except ValueError:  # not filled yet
            self._note("empty")

    def _class(self, cls: type) -> None:
        if not is_foreign(cls.__module__):
            self._each(value for name, value in vars(cls).items() if not name.startswith("__") or callable(value))

    def _method(self, method: types.MethodType) -> None:
        self._visit(method.__self__)
        self._visit(method.__func__)

    def _bound(self, method: Any) -> None:
        """Hashes a builtin function, or a method of a builtin object."""
        self._note(method.__qualname__)
        if not isinstance(method.__self__, types.ModuleType | type(None)):
            self._visit(method.__self__)

    def _generator(self, generator: Generator[Any, Any, Any]) -> None:
        frame: Any = generator.gi_frame  # type: ignore[attr-defined]  # a generator, by `KINDS`
        self._note(frame is None or frame.f_lasti)
        if frame is not None:
            self._items(dict(frame.f_locals))

    def _iterator(self, value: Any) -> None:
        """Hashes an iterator's source and position as they are pickled; nothing if they cannot be."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parts = value.__reduce_ex__(2)
        except Exception:
            return
        self._visit(parts if isinstance(parts, str) else parts[1:])

    def _object(self, value: Any) -> None:
        slots = (n for cls in type(value).__mro__ for n in _slots(cls))
        self._each(getattr(value, name, None) for name in slots if not name.startswith("__"))
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict):
            self._items(held)
        for name in ("__call__", "forward"):
            function = getattr(type(value), name, None)
            if isinstance(function, types.FunctionType):
                self._visit(function)


def _slots(cls: type) -> Iterable[str]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def _plain_attributes(value: Any) -> list[tuple[str, Any]]:
    """Numbers and strings that the user has set on an object of another library."""
    held = getattr(value, "__dict__", None)
    return (
        [(k, v) for k, v in held.items() if isinstance(v, bool | int | float | str)] if isinstance(held, dict) else []
    )


def code_of(code: types.CodeType) -> list[Any]:
    """A function's instructions, names and constants, with those of functions inside of it."""
    inner = [code_of(c) if isinstance(c, types.CodeType) else c for c in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, inner]


def names_of(code: types.CodeType) -> set[str]:
    inner = (names_of(c) for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*inner)


KINDS: tuple[tuple[Any, Callable[[Walk, Any], None]], ...] = (
    (Tensor, Walk._tensor),
    (np.ndarray, Walk._array),
    (nn.Module, Walk._module),
    (type, Walk._class),
    (types.FunctionType, Walk._function),
    (types.MethodType, Walk._method),
    ((types.BuiltinMethodType, types.MethodWrapperType), lambda walk, method: walk._bound(method)),
    (queue.Queue, lambda walk, waiting: walk._items(vars(waiting))),
    (contextvars.ContextVar, lambda walk, variable: walk._visit(variable.get(None))),
    ((np.nditer, np.flatiter), lambda walk, place: walk._note(getattr(place, "iterindex", None) or place.index)),
    ((staticmethod, classmethod), lambda walk, method: walk._visit(method.__func__)),
    (functools.partial, lambda walk, call: walk._each((call.func, call.args, call.keywords))),
    (types.ModuleType, Walk._users_module),
    ((Decimal, Fraction, date, time, timedelta, bytearray), lambda walk, value: walk._note(repr(value))),
    (ctypes._SimpleCData, lambda walk, number: walk._note(number.value)),
    ((ctypes.Array, ctypes.Structure, memoryview), lambda walk, memory: walk._note(bytes(memory))),
    (property, lambda walk, own: walk._each((own.fget, own.fset))),
    (weakref.ref, lambda walk, reference: walk._visit(reference())),
    (argparse.Namespace, lambda walk, held: walk._items(vars(held))),
    (range, lambda walk, numbers: walk._note(numbers)),
    (array.array, lambda walk, numbers: walk._note(numbers.typecode, numbers.tobytes())),
    (types.GeneratorType, Walk._generator),
    (torch.Generator, lambda walk, generator: walk._tensor(generator.get_state())),
    (random.Random, lambda walk, generator: walk._visit(generator.getstate())),
    (np.random.Generator, lambda walk, generator: walk._visit(generator.bit_generator.state)),
    (np.random.RandomState, lambda walk, generator: walk._visit(generator.get_state())),
    (np.generic, lambda walk, number: walk._note(repr(number))),
    (Mapping, Walk._items),
    ((Sequence, deque, KeysView, ValuesView, ItemsView), Walk._each),
    ((set, frozenset), Walk._set),
)
"""Types, and how a value of each is hashed; the first match applies."""
