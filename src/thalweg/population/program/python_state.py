"""Python state that a model, a loss or a metric keeps between calls, told by fingerprints from before and after.

A traced program holds what the first call did, so a model whose code changes itself has to be called every time.
"""

import types
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from thalweg.population.program.python_walk import Walk, is_foreign, names_of, storage_of
from thalweg.workloads.workload import Workload

Fingerprints = Mapping[str, bytes]
REGISTERED = {"_parameters", "_buffers", "_modules", "training"}  # of a module: seen elsewhere
HOOKS = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called")
BUILDING = {"__init__", "__new__", "train", "reset_parameters"}  # methods that are not called in a step
ASKING = {"parameters", "named_parameters", "state_dict", "requires_grad", "get_parameter", "modules", "named_modules"}
"""Names by which code reaches parameters past the modules that it calls."""


def fingerprints(workload: Workload, model: nn.Module) -> Fingerprints:
    """One for every attribute of the model's modules and of their classes, and for the loss and the metric."""
    return {name: walk.digest(value) for name, value, walk in _walks(workload, model)}


def unseen(workload: Workload, model: nn.Module) -> str:
    """The first name behind which there is more than is looked at; empty where there is none."""
    for name, value, walk in _walks(workload, model):
        walk.digest(value)
        if walk.cut:
            return name
    return ""


def _walks(workload: Workload, model: nn.Module) -> "Iterable[tuple[str, Any, Walk]]":
    registered = {storage_of(t) for t in (*model.parameters(), *model.buffers())}
    modules = {id(module) for module in model.modules()}
    named = [*_attributes(model), *_classes(model)]
    named += [("the loss", workload.loss), ("the metric", workload.metric.function)]
    return ((name, value, Walk(registered, modules)) for name, value in named)


def referred(model: nn.Module) -> str:
    """The name of an attribute that leads to a parameter past its module, such as a list; empty where none does.

    A traced program would take what it reads there for a constant. Recurrent layers keep such a list themselves.
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
    """The first name whose fingerprint differs; empty where none does."""
    return next((name for name in (*before, *after) if before.get(name) != after.get(name)), "")


def as_built(model: nn.Module) -> Fingerprints:
    """One for every attribute of the modules of a model that was just built, and for what of it is trained."""
    registered = {storage_of(t) for t in (*model.parameters(), *model.buffers())}
    modules = {id(module) for module in model.modules()}
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    named = [*_attributes(model), ("requires_grad of its parameters", trained)]
    walks = {name: (Walk(registered, modules), _without_ids(name, value)) for name, value in named}
    digests = {name: walk.digest(value) for name, (walk, value) in walks.items()}
    return {name: digest for name, digest in digests.items() if not walks[name][0].cut}  # of those, `unseen` is noted


def _without_ids(name: str, value: Any) -> Any:
    """Hooks are kept by numbers that are given out once in a process."""
    return [*value.values()] if name.endswith(HOOKS) and isinstance(value, dict) else value


def reaches_parameters(workload: Workload, model: nn.Module) -> bool:
    """Whether the user's code asks modules for parameters, rather than calling them: a trace may answer otherwise."""
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
        if isinstance(module, torch.jit.ScriptModule):  # whose attributes are not Python's
            names: Iterable[str] = getattr(vars(module).get("_concrete_type"), "get_attributes", dict)()
            yield from ((f"{place}{key}", getattr(module, key, None)) for key in names)


def _classes(model: nn.Module) -> Iterable[tuple[str, Any]]:
    """The classes of the user's modules: what they hold, and what their methods read of their module's globals."""
    for cls in dict.fromkeys(cls for module in model.modules() for cls in type(module).__mro__):
        if not is_foreign(cls.__module__) and cls is not object:
            yield f"class {cls.__qualname__}", cls
