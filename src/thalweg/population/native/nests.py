"""Fusion of elementwise operations and reductions into loop nests, in the order in which they are carried out."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch.fx import Node

from thalweg.population.native.operations import name_of
from thalweg.population.native.places import Place, Unsupported

REDUCTIONS = {
    "sum": ("add", 0.0),
    "amax": ("larger", -math.inf),
    "amin": ("smaller", math.inf),
    "any": ("add", 0.0),
    "all": ("smaller", 1.0),
}
"""How a value is combined with the result so far, and the result before all."""

SCATTERS = {"embedding_dense_backward", "index_put", "scatter_add"}
CONSTANTS = {
    "full", "full_like", "zeros", "zeros_like", "ones", "ones_like", "scalar_tensor", "new_zeros", "new_full", "empty",
    "empty_like", "empty_permuted", "empty_strided", "new_empty",
}  # fmt: skip
ASSEMBLED = {"cat", "constant_pad_nd", "slice_scatter", "select_scatter"}
TAKES = {"gather", "embedding", "index_select", "index"}
OTHERS = {"where", "pow", "scatter", "arange", "masked_fill", *CONSTANTS, *TAKES}


@dataclass(eq=False)
class Nest:
    """Loops over a shape: nodes computed at each element, and what is written. first: values before the loops."""

    shape: tuple[int, ...]
    nodes: list[Node] = field(default_factory=list)
    writes: list[tuple[Place, Node]] = field(default_factory=list)
    reductions: list[tuple[Place, Node, str]] = field(default_factory=list)
    scatters: list[tuple[Place, Node]] = field(default_factory=list)
    first: list[tuple[Place, float]] = field(default_factory=list)
    copies: list[tuple[Place, Place]] = field(default_factory=list)


class Scope(Protocol):
    """What has been lowered so far.

    nests: in order, with matrix products among them. inside: the nest that computes a node. held: the place that holds
    a node's value; ready: after which of the nests it does.
    """

    nests: list[Any]
    inside: dict[Node, Nest]
    held: dict[Node, Place]
    ready: dict[Node, int]

    def place(self, node: Node) -> Place:
        """The place that holds a node's value, which its nest writes from now on."""

    def fresh(self, node: Node) -> Place:
        """Memory for a node's value."""


def compute(lowering: Scope, node: Node) -> None:
    """Adds an elementwise node to the last nest that can hold it."""
    nest = _nest_for(lowering, node, tuple(node.meta["val"].shape), node.all_input_nodes)
    nest.nodes.append(node)
    lowering.inside[node] = nest


def reduce(lowering: Scope, node: Node) -> None:
    """Adds a reduction to the nest of its argument, or to a new one."""
    source, given = node.args[0], node.args[1] if len(node.args) > 1 else []
    assert isinstance(source, Node)
    shape, dims = tuple(source.meta["val"].shape), [given] if isinstance(given, int) else given
    kept: Any = [1 if not dims or d - len(shape) in dims or d in dims else n for d, n in enumerate(shape)]  # type: ignore[operator]
    mode, first = REDUCTIONS[name_of(node.target)]
    nest = _nest_for(lowering, node, shape, [source])
    into = lowering.fresh(node)
    lowering.held[node], lowering.ready[node] = into, lowering.nests.index(nest)
    nest.first.append((into, first))
    nest.reductions.append((into.seen(torch.ops.aten.view.default, kept), source, mode))


def scatter(lowering: Scope, node: Node) -> None:
    """Writes values at indices that are values themselves, into zeros or a copy of what they are added to."""
    name, args = name_of(node.target), node.args
    for source in node.all_input_nodes:
        lowering.place(source)
    into = lowering.fresh(node)
    if name == "embedding_dense_backward":
        nest = Nest(_shape_of(args[0]), first=[(into, 0.0)])
    else:
        lowering.nests.append(Nest(into.shape, copies=[(lowering.place(args[0]), into)]))  # type: ignore[arg-type]
        nest = Nest(_shape_of(args[2]) if name == "scatter_add" else _indexed_shape(args[1], into.shape))  # type: ignore[arg-type]
    lowering.nests.append(nest)
    lowering.held[node], lowering.ready[node] = into, len(lowering.nests) - 1
    nest.scatters.append((into, node))


def assemble(lowering: Scope, node: Node) -> None:
    """Puts values together: a copy, or a constant, and others over parts of it."""
    name, args = name_of(node.target), node.args
    sources = [lowering.place(source) for source in node.all_input_nodes]
    into = lowering.fresh(node)
    if name == "cat":
        _join(lowering, into, *args)
    elif name == "constant_pad_nd":
        fill = float(args[2]) if len(args) > 2 else 0.0  # type: ignore[arg-type]
        copies = [_padded(sources[0], into, args[1])]
        lowering.nests.append(Nest(copies[0][0].shape, first=[(into, fill)], copies=copies))
    else:
        view = torch.ops.aten.slice.Tensor if name == "slice_scatter" else torch.ops.aten.select.int
        lowering.nests.append(Nest(into.shape, copies=[(sources[0], into)]))
        part = into.seen(view, *args[2:])
        lowering.nests.append(Nest(part.shape, copies=[(sources[-1], part)]))
    lowering.held[node], lowering.ready[node] = into, len(lowering.nests) - 1


def _join(lowering: Scope, into: Place, parts: Any, dim: Any = 0) -> None:
    """Copies parts, of which some may be the same, one after the other along a dimension."""
    start = 0
    for place in map(lowering.place, parts):
        size = place.shape[dim]
        lowering.nests.append(Nest(place.shape, copies=[(place, into.seen(torch.narrow, dim, start, size))]))
        start += size


def _padded(source: Place, into: Place, given: Any) -> tuple[Place, Place]:
    """The parts of both that are the same. given: what is added before and after, the last dimension first."""
    for i, (before, after) in enumerate(zip(given[::2], given[1::2], strict=True)):
        dim = source.layout.ndim - 1 - i
        cut, room = (max(0, -before), max(0, -after)), (max(0, before), max(0, after))
        if source.shape[dim] <= sum(cut):
            raise Unsupported("padding that leaves nothing has no native form")
        source = source.seen(torch.narrow, dim, cut[0], source.shape[dim] - sum(cut))
        into = into.seen(torch.narrow, dim, room[0], into.shape[dim] - sum(room))
    return source, into


def broadcast(nodes: Iterable[Node]) -> tuple[int, ...]:
    """The shape of values that are broadcast together."""
    return tuple(torch.broadcast_shapes(*(n.meta["val"].shape for n in nodes)))  # type: ignore[no-untyped-call]


def _shape_of(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def given_indices(indices: Sequence[Any]) -> list[tuple[int, Node]]:
    """The indices of an element, with their dimensions. Raises `Unsupported` unless these are neighbours."""
    given = [(d, i) for d, i in enumerate(indices) if i is not None]
    dims = [d for d, _ in given]
    if any(i.meta["val"].dtype is not torch.int64 for _, i in given) or dims != [*range(dims[0], dims[0] + len(dims))]:
        raise Unsupported("such an index has no native form")
    return given


def _indexed_shape(indices: Sequence[Any], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of a tensor's elements at these indices."""
    given = given_indices(indices)
    start = given[0][0]
    return (*shape[:start], *broadcast(i for _, i in given), *shape[start + len(given) :])


def _nest_for(lowering: Scope, node: Node, shape: tuple[int, ...], sources: Sequence[Node]) -> Nest:
    """The last nest over the shape that shares a source with the node and comes after all of them; else a new one."""
    joins = (nest for nest in reversed(lowering.nests) if _joins(lowering, node, nest, shape, sources))
    found: Nest | None = next(joins, None)
    nest = found or Nest(shape)
    for source in sources:
        if lowering.inside.get(source) is not nest:
            lowering.place(source)
    if found is None:
        lowering.nests.append(nest)
    return nest


def _joins(lowering: Scope, node: Node, nest: Any, shape: tuple[int, ...], sources: Sequence[Node]) -> bool:
    """Whether a nest over the shape can hold a node with these sources, and has anything to do with it."""
    if not isinstance(nest, Nest) or nest.shape != shape or nest.copies or nest.scatters:
        return False
    place = lowering.nests.index(nest)
    return all(_known(lowering, node, nest, place, s) for s in sources) and _shares(nest, sources)


def _known(lowering: Scope, node: Node, nest: Nest, place: int, source: Node) -> bool:
    """Whether a nest at some place can give a node this source: at the same element, or from memory by then."""
    if lowering.inside.get(source) is nest:
        return not _reads_elsewhere(node)
    if source in lowering.held:
        return lowering.ready[source] < place
    return lowering.nests.index(lowering.inside[source]) < place


def _shares(nest: Nest, sources: Sequence[Node]) -> bool:
    """Whether the nest computes or reads one of the sources."""
    read = {n for node in nest.nodes for n in (node, *node.all_input_nodes)} | {of for _, of, _ in nest.reductions}
    return any(source in read for source in sources)


def _reads_elsewhere(node: Node) -> bool:
    """Whether a node reads its sources at other elements than its own."""
    return name_of(node.target) in (*TAKES, "scatter")
