"""The native code of a function of tensors: a step of training, or a forward pass."""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx import GraphModule

from thalweg.errors import first_line
from thalweg.population.native import blas
from thalweg.population.native.compiled import PROTOTYPE, Compiled
from thalweg.population.native.loops import ERRORS
from thalweg.population.native.lowering import Lowered, Lowering
from thalweg.population.native.memory import ALIGNED, offsets
from thalweg.population.native.places import Place, Unsupported, dense
from thalweg.population.native.source import KEYS, Input, MemoryLayout, source
from thalweg.population.native.tracing import traced

Function = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Names:
    """The blocks of a function's arguments and results, in order.

    given: of the batch, the last of the arguments. alike: result → the argument whose memory layout it has; others are
    dense. loss: the result that is the loss, if the function is a training step. after: new buffer → buffer.
    """

    arguments: Sequence[str]
    results: Sequence[str]
    given: Sequence[str]
    alike: Mapping[str, str]
    loss: str = ""
    after: Mapping[str, str] = field(default_factory=dict)


class Code:
    """A compiled function of tensors, which is traced with `arguments` in their memory layout.

    sites: the random operations in it; their keys are the block `KEYS`, int64 `[sites]`, if there are any.
    model: the one that the function calls. library: whose matrix products it calls, one of `blas.libraries`. Raises
    `Unsupported` where something has no native form.
    """

    def __init__(
        self, function: Function, arguments: Sequence[Tensor], names: Names, model: nn.Module, library: str
    ) -> None:
        reals = {a.dtype for a in arguments if a.is_floating_point()}
        if len(reals) != 1:
            raise Unsupported("it computes in several dtypes")
        self.dtype, self.names = reals.pop(), names
        places = {b: dense(b, a.shape, a.dtype, a.stride()) for b, a in zip(names.arguments, arguments, strict=True)}
        graph, self.sites = traced(function, arguments, model)
        keys = {KEYS: dense(KEYS, (self.sites,), torch.int64)} if self.sites else {}
        self.results = [_result(n, value, places.get(names.alike.get(n, ""))) for n, value in _results(names, graph)]
        lowered = _lowered(graph, [*places.values(), *keys.values()], self.results)
        self._constants = lowered.constants
        at, self.workspace = offsets(lowered.items, lowered.blocks)
        blocks = ["workspace", ERRORS, *names.arguments, *keys, *names.results, *self._constants]
        self.slots = {name: i for i, name in enumerate(blocks)}
        sizes = {b: a.numel() * a.element_size() for b, a in zip(names.arguments, arguments, strict=True)}
        after = [(new, old, sizes[old]) for new, old in names.after.items()]
        rows = [Input(b, sizes[b] // max(1, len(arguments[-1]))) for b in names.given] if names.loss else []
        layout = MemoryLayout(
            self.slots, at, rows, names.loss, after, len(arguments[-1]) if names.loss else 0, self.sites
        )
        double = self.dtype is torch.float64
        self.text = source(lowered.items, layout, double=double)
        self._compiled = Compiled(self.text, blas.products(library, double=double))
        self.evaluate = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._compiled.address("evaluate"))
        self.interval = PROTOTYPE(self._compiled.address("interval") if names.loss else 0)

    def bases(self, workspace: "Workspace") -> NDArray[np.int64]:
        """A table of addresses in which only the run's own blocks are missing."""
        table = np.zeros(len(self.slots), np.int64)
        table[:2] = workspace.addresses
        for name, tensor in self._constants.items():
            table[self.slots[name]] = tensor.data_ptr()
        return table

    def aim(self, table: NDArray[np.int64], stacks: Mapping[str, Tensor], member: int) -> None:
        """Sets the addresses of a member's blocks. stacks: tensors `[members, …]` by the names of blocks."""
        for name, t in stacks.items():
            table[self.slots[name]] = t.data_ptr() + member * t.stride(0) * t.element_size()


class Workspace:
    """Memory of one worker for temporaries and errors."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = torch.empty(size + ALIGNED, dtype=torch.uint8)
        self.errors = torch.zeros(1, dtype=torch.int64)
        begin = self._memory.data_ptr()
        self.addresses = (-(-begin // ALIGNED) * ALIGNED, self.errors.data_ptr())


def _lowered(graph: GraphModule, inputs: Sequence[Place], results: Sequence[Place]) -> Lowered:
    """Raises `Unsupported` for whatever cannot be lowered."""
    try:
        return Lowering(graph, inputs, results).lowered
    except Unsupported:
        raise
    except Exception as error:
        raise Unsupported(f"it has no native form ({type(error).__name__}: {first_line(error)})") from error


def _results(names: Names, graph: GraphModule) -> Iterator[tuple[str, Tensor]]:
    """The names and values of a graph's results."""
    (found,) = (n.args[0] for n in graph.graph.nodes if n.op == "output")
    for name, node in zip(names.results, found, strict=True):
        yield name, node.meta["val"]


def _result(name: str, value: Tensor, alike: Place | None) -> Place:
    return dense(name, value.shape, value.dtype) if alike is None else Place(name, alike.layout)
