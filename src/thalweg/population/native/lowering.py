"""A traced graph as loop nests and matrix products over places in memory."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from thalweg.population.native import nests
from thalweg.population.native.bodies import body_of
from thalweg.population.native.body import Body
from thalweg.population.native.operations import ARITHMETIC, COMPARISONS, TESTS, name_of
from thalweg.population.native.places import TYPES, Place, Unsupported, dense
from thalweg.population.native.products import MatrixProduct, product

VIEWS = {
    "permute", "t", "transpose", "view", "_unsafe_view", "reshape", "expand", "unsqueeze", "squeeze", "slice", "select",
    "diagonal", "as_strided",
}  # fmt: skip
INVERTED = {"permute", "t", "transpose", "view", "_unsafe_view", "unsqueeze", "squeeze"}
PRODUCTS = {"mm", "bmm"}
LARGEST = 1 << 31  # elements: BLAS counts in 32 bits


@dataclass
class Lowered:
    """items: nests and products, in order. blocks: the bytes of each block of the workspace. constants: tensors."""

    items: list[Body | MatrixProduct] = field(default_factory=list)
    blocks: dict[str, int] = field(default_factory=dict)
    constants: dict[str, Tensor] = field(default_factory=dict)


class Lowering:
    """Lowers a graph. inputs: places of its placeholders. outputs: places that its results are written to."""

    def __init__(self, graph: GraphModule, inputs: Sequence[Place], outputs: Sequence[Place]) -> None:
        self._graph, self.lowered = graph, Lowered()
        self.nests: list[nests.Nest | MatrixProduct] = []
        self.held: dict[Node, Place] = {}
        self.ready: dict[Node, int] = {}  # after which of the nests a node's place holds its value
        self.inside: dict[Node, nests.Nest] = {}
        nodes = list(graph.graph.nodes)
        _require_supported(nodes)
        for node, place in zip((n for n in nodes if n.op == "placeholder"), inputs, strict=True):
            self.held[node], self.ready[node] = place, -1
        (results,) = (n.args[0] for n in nodes if n.op == "output")
        self._destinations = dict(_destinations(results, outputs))
        for node in nodes:
            self._lower(node)
        for result, place in zip(results, outputs, strict=True):
            self._deliver(result, place)
        self.lowered.items = [body_of(n, self.held) if isinstance(n, nests.Nest) else n for n in self.nests]

    def _lower(self, node: Node) -> None:
        if node.op == "get_attr":
            self._constant(node)
        if node.op != "call_function":
            return
        name = name_of(node.target)
        if name in VIEWS:
            self._view(node)
        elif name in PRODUCTS:
            self._product(node)
        elif name in nests.REDUCTIONS:
            nests.reduce(self, node)
        elif name in nests.SCATTERS:
            nests.scatter(self, node)
        elif name in nests.ASSEMBLED:
            nests.assemble(self, node)
        elif name in (ARITHMETIC.keys() | COMPARISONS.keys() | TESTS.keys() | nests.OTHERS):
            nests.compute(self, node)
        else:
            raise Unsupported(f"{node.target} has no native form")

    def _constant(self, node: Node) -> None:
        tensor = getattr(self._graph, str(node.target)).detach().contiguous()
        name = f"constant {len(self.lowered.constants)}"
        self.lowered.constants[name] = tensor
        self.held[node], self.ready[node] = dense(name, tensor.shape, tensor.dtype), -1

    def _view(self, node: Node) -> None:
        source, rest = node.args[0], node.args[1:]
        assert isinstance(source, Node)
        place = self.place(source)
        if name_of(node.target) == "as_strided" and not _lies_alike(place, source.meta["val"]):
            raise Unsupported("as_strided of memory that lies otherwise has no native form")
        target = torch.ops.aten.view.default if name_of(node.target) in ("_unsafe_view", "reshape") else node.target
        try:
            self.held[node], self.ready[node] = place.seen(target, *rest), self.ready[source]
        except RuntimeError:  # its strides allow no such view
            copy = self.copied(source)
            self.held[node], self.ready[node] = copy.seen(target, *rest), len(self.nests) - 1

    def _product(self, node: Node) -> None:
        left, right = node.args
        assert isinstance(left, Node)
        assert isinstance(right, Node)
        a, b = (p if _has_rows(p := self.place(n)) else self.copied(n) for n in (left, right))
        into = self.fresh(node)
        made = into if _has_rows(into) else self.workspace(into.shape, into.dtype)
        self.nests.append(product(a, b, made))
        if made is not into:
            self.nests.append(nests.Nest(into.shape, copies=[(made, into)]))
        self.held[node], self.ready[node] = into, len(self.nests) - 1

    def place(self, node: Node) -> Place:
        """The place that holds a node's value, which its nest writes from now on."""
        if node not in self.held:
            nest = self.inside[node]
            self.held[node], self.ready[node] = self.fresh(node), self.nests.index(nest)
            nest.writes.append((self.held[node], node))
        return self.held[node]

    def copied(self, node: Node) -> Place:
        """A contiguous copy of a node's value, by a nest of its own."""
        value = node.meta["val"]
        copy = self.workspace(value.shape, value.dtype)
        self.nests.append(nests.Nest(tuple(value.shape), copies=[(self.place(node), copy)]))
        return copy

    def fresh(self, node: Node) -> Place:
        """Memory for a node's value: where it is wanted in the end, else in the workspace."""
        value = node.meta["val"]
        wanted = self._destinations.pop(node, None)
        return self.workspace(value.shape, value.dtype) if wanted is None else wanted

    def workspace(self, shape: Sequence[int], dtype: torch.dtype) -> Place:
        name = f"workspace {len(self.lowered.blocks)}"
        self.lowered.blocks[name] = max(1, math.prod(shape)) * dtype.itemsize
        return dense(name, shape, dtype)

    def _deliver(self, result: Node, place: Place) -> None:
        held = self.place(result)
        if held.block != place.block:
            self.nests.append(nests.Nest(place.shape, copies=[(held, place)]))


def _require_supported(nodes: Sequence[Node]) -> None:
    """Raises `Unsupported` where values are of other dtypes, or empty."""
    values = [v for node in nodes for v in [node.meta.get("val")] if isinstance(v, Tensor) and node.users]
    reals = {v.dtype for v in values if v.is_floating_point()}
    if len(reals) > 1:
        raise Unsupported("it computes in several dtypes")
    others = {v.dtype for v in values} - set(TYPES)
    if others:
        raise Unsupported(f"it computes in {str(others.pop()).removeprefix('torch.')}")
    if any(v.numel() == 0 or v.numel() >= LARGEST for v in values):
        raise Unsupported("it makes tensors without elements, or too large ones")


def _lies_alike(place: Place, value: Tensor) -> bool:
    """Whether a value fills its block just as it fills its own memory in torch."""
    whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    return whole and place.offset == value.storage_offset() == 0 and place.layout.stride() == value.stride()


def _has_rows(place: Place) -> bool:
    """Whether rows or columns of each matrix are contiguous and apart, as a product needs them."""
    (rows, columns), (m, n) = place.layout.stride()[-2:], place.shape[-2:]
    by_row = (columns == 1 or n == 1) and (rows >= n or m == 1)
    by_column = (rows == 1 or m == 1) and (columns >= m or n == 1)
    return by_row or by_column


def _destinations(results: Sequence[Node], outputs: Sequence[Place]) -> list[tuple[Node, Place]]:
    """Where to write the values that results are views of, such that nothing has to be copied in the end."""
    found: dict[Node, Place] = {}
    for result, place in zip(results, outputs, strict=True):
        node: Any = result
        while node.op == "call_function" and name_of(node.target) in INVERTED:
            inner = _before(node, place)
            if inner is None:
                break
            node, place = node.args[0], inner
        else:
            if node.op == "call_function" and node not in found:
                found[node] = place
    return [*found.items()]


def _before(view: Node, place: Place) -> Place | None:
    """The place of a view's argument, if the view's own place is this; `None` if that cannot be."""
    name, (source, *rest) = name_of(view.target), view.args
    if name == "permute":
        dims: Any = rest[0]
        return place.seen(torch.permute, [list(dims).index(d) for d in range(len(dims))])
    inverse: Mapping[str, Callable[..., Tensor]] = {"t": torch.t, "transpose": torch.transpose}
    if name in inverse:
        return place.seen(inverse[name], *rest)
    try:
        return place.seen(torch.ops.aten.view.default, list(source.meta["val"].shape))  # type: ignore[union-attr]
    except RuntimeError:
        return None
