"""Detects Python state that a model, loss or metric keeps between calls, by fingerprints from before and after.

A traced program repeats the first call, so a model that keeps such state has to be called at every step.
"""

import hashlib
import types
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from thalweg.population.program.python_walk import Walk, is_foreign, names_of, storage_of
from thalweg.workloads.workload import Workload

Fingerprints = Mapping[str, bytes]
REGISTERED = {"_parameters", "_buffers", "_modules", "training"}  # attributes of `nn.Module` that are checked elsewhere
HOOKS = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called")
BUILDING = {"__init__", "__new__", "train", "reset_parameters"}  # methods that are not called in a step
ASKING = {"parameters", "named_parameters", "state_dict", "requires_grad", "get_parameter", "modules", "named_modules"}
"""Names by which code reads parameters directly, instead of calling their modules."""


def fingerprints(workload: Workload, model: nn.Module) -> Fingerprints:
    """Fingerprints of every attribute of the model's modules, of their classes, and of the loss and the metric."""
    return {name: walk.digest(value) for name, value, walk in _walks(workload, model)}


def unseen(workload: Workload, model: nn.Module) -> str:
    """The first name whose fingerprint is incomplete, cut off at a limit of `Walk`; empty if there is none."""
    for name, value, walk in _walks(workload, model):
        walk.digest(value)
        if walk.cut:
            return name
    return ""


def code_digest(workload: Workload, model: nn.Module) -> bytes:
    """A digest of the code and the values that a step of a new model reads; empty where it is incomplete."""
    whole = hashlib.blake2b(digest_size=16)
    for name, value, walk in _walks(workload, model, code=True):
        whole.update(name.encode() + walk.digest(_without_ids(name, value)))
        if walk.cut:
            return b""
    return whole.digest()


def _walks(workload: Workload, model: nn.Module, *, code: bool = False) -> "Iterable[tuple[str, Any, Walk]]":
    registered = {storage_of(t) for t in (*model.parameters(), *model.buffers())}
    modules = {id(module) for module in model.modules()}
    named = [*_attributes(model), *_classes(model)]
    named += [("the loss", workload.loss), ("the metric", workload.metric.function)]
    named += [(f"the metric {m.name}", m.function) for m in workload.also]
    further = {"predict": workload.predict, "augment": workload.augment}
    named += [(name, function) for name, function in further.items() if function is not None]
    return ((name, value, Walk(registered, modules, code=code)) for name, value in named)


def referred(model: nn.Module) -> str:
    """The first attribute that references a parameter without registering it, such as a list; empty if none does.

    A traced program would take such a parameter for a constant. torch's recurrent layers keep such a list themselves.
    """
    registered = {storage_of(t) for t in model.parameters()}
    modules = {id(module) for module in model.modules()}
    for name, value in _attributes(model):
        walk = Walk(registered, modules)
        walk.digest(value)
        if walk.refers and not name.rpartition(".")[2].startswith("_flat_weight"):
            return name
    return ""


def changed(before: Fingerprints, after: Fingerprints) -> str:
    """The first name whose fingerprint differs; empty if none does."""
    return next((name for name in (*before, *after) if before.get(name) != after.get(name)), "")


def as_built(model: nn.Module) -> Fingerprints:
    """Fingerprints of every attribute of a new model's modules, and of which parameters are trainable."""
    registered = {storage_of(t) for t in (*model.parameters(), *model.buffers())}
    modules = {id(module) for module in model.modules()}
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    named = [*_attributes(model), ("requires_grad of its parameters", trained)]
    walks = {name: (Walk(registered, modules), _without_ids(name, value)) for name, value in named}
    digests = {name: walk.digest(value) for name, (walk, value) in walks.items()}
    return {name: digest for name, digest in digests.items() if not walks[name][0].cut}  # `unseen` reports the cut ones


def _without_ids(name: str, value: Any) -> Any:
    """Hooks without their keys, which are ids unique in a process; any other value unchanged."""
    return [*value.values()] if name.endswith(HOOKS) and isinstance(value, dict) else value


def reaches_parameters(workload: Workload, model: nn.Module) -> bool:
    """Whether the user's code reads parameters instead of calling their modules: a trace may return others."""
    own = [value for cls in _classes(model) for name, value in vars(cls[1]).items() if name not in BUILDING]
    own += [value for _, value in _attributes(model)] + [workload.loss, getattr(type(workload.loss), "forward", None)]
    waiting, seen = [f for f in own if isinstance(f, types.FunctionType)], set[Any]()
    while waiting:
        function = waiting.pop()
        if function in seen or is_foreign(function.__module__):
            continue
        seen.add(function)
        names = names_of(function.__code__)
        if names & ASKING:
            return True
        inner = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
        inner += [function.__globals__[name] for name in names if name in function.__globals__]
        waiting += [f for f in inner if isinstance(f, types.FunctionType)]
    return False


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _attributes(model: nn.Module) -> Iterable[tuple[str, Any]]:
    for path, module in model.named_modules():
        place = f"{path}." if path else ""
        yield from ((f"{place}{key}", value) for key, value in vars(module).items() if key not in REGISTERED)
        if isinstance(module, torch.jit.ScriptModule):  # TorchScript holds its attributes
            names: Iterable[str] = getattr(vars(module).get("_concrete_type"), "get_attributes", dict)()
            yield from ((f"{place}{key}", getattr(module, key, None)) for key in names)


def _classes(model: nn.Module) -> Iterable[tuple[str, Any]]:
    """The classes of the user's modules by name: a walk covers their attributes and the globals that methods read."""
    for cls in dict.fromkeys(cls for module in model.modules() for cls in type(module).__mro__):
        if not is_foreign(cls.__module__) and cls is not object:
            yield f"class {cls.__qualname__}", cls
