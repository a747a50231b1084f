"""Traced graphs that are kept in a process: a second plan of the same workload traces nothing anew."""

import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.fx import GraphModule

from thalweg.population.program.python_state import code_digest
from thalweg.population.program.randomness import RandomSites
from thalweg.workloads.workload import Workload

MOST = 32  # programs whose graphs are kept, the last used


class Trace(NamedTuple):
    """A traced graph. activations: peak bytes per member that it computes between parameters and gradients."""

    graph: GraphModule
    sites: RandomSites
    activations: int


@dataclass
class Traces:
    """The traces of one program, by members and shapes, and what tracing found.

    output_major: weights that multiply the batch itself; fastest as `[members, out, in]` in memory. drawn_like: indices
    of parameters whose layout orders random draws.
    """

    graphs: dict[Any, Trace] = field(default_factory=dict)
    output_major: set[str] = field(default_factory=set)
    drawn_like: frozenset[int] = frozenset()


@dataclass(frozen=True)
class TraceKey:
    """What a trace follows from: the factory and the loss themselves, and a digest of their code and results."""

    model: Callable[[], nn.Module]
    loss: Any
    digest: bytes


def trace_key(workload: Workload, model: nn.Module, results: bytes) -> TraceKey | None:
    """The key of a workload's traces; `None` where they cannot be kept.

    model: a new one. results: a digest of its losses and gradients on some batches, to the last bit: they show changes
    where no code is looked at, as in other libraries.
    """
    code = code_digest(workload, model)
    objective = workload.objective
    modes = (torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled())
    settings = (*modes, objective.layout, objective.part, objective.precision, workload.augment is None)
    digest = repr((settings, code, results)).encode()
    return TraceKey(workload.model, workload.loss, digest) if code else None


def traces_of(key: TraceKey, *options: bool) -> Traces:
    """The traces kept under a key for a program's options; new ones where there are none."""
    place = (id(key.model), id(key.loss), key.digest, *options)
    with _TURN:
        kept = _KEPT.get(place)
        if kept is not None and kept[0]() is key.model and kept[1]() is key.loss:
            _KEPT.move_to_end(place)
            return kept[2]
        try:
            alive = weakref.ref(key.model, lambda _: _KEPT.pop(place, None)), weakref.ref(key.loss)
        except TypeError:  # a callable without weak references
            return Traces()
        _KEPT[place] = (*alive, Traces())
        while len(_KEPT) > MOST:
            _KEPT.popitem(last=False)
        return _KEPT[place][2]


_KEPT: OrderedDict[Any, tuple[Any, Any, Traces]] = OrderedDict()
_TURN = Lock()
