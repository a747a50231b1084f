"""The instructions of a nest, from the nodes that it computes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from thalweg.population.native.body import Body, Check, Compute, Constant, Position, Take, Term, Write
from thalweg.population.native.emitter import KINDS
from thalweg.population.native.nests import CONSTANTS, TAKES, Nest, broadcast, given_indices
from thalweg.population.native.operations import COMPARISONS, ONLY_REAL, POWERS, TESTS, name_of
from thalweg.population.native.places import Access, Place, Unsupported

LAYOUT = {"layout", "device", "pin_memory", "memory_format", "dtype", "non_blocking"}
"""Options that say how a result is stored; its dtype is that of the traced value."""


def body_of(nest: Nest, held: Mapping[Node, Place]) -> Body:
    """The nest's instructions. held: where the values are that it reads."""
    made = _Made(nest, held)
    return made.body


class _Made:
    """Builds the body of a nest."""

    def __init__(self, nest: Nest, held: Mapping[Node, Place]) -> None:
        self.body, self._held = Body(nest.shape, first=list(nest.first)), held
        self._values: dict[Node, int] = {}
        for source, copy in nest.copies:
            self.body.store(copy, self.body.load(source))
        for node in nest.nodes:
            self._values[node] = self._computed(node)
        for place, node in nest.writes:
            self.body.store(place, self._values[node])
        for place, node, mode in nest.reductions:
            self.body.store(place, self._value(node), mode)
        for place, node in nest.scatters:
            self._scatter(place, node)

    def _value(self, node: Node) -> int:
        return self._values[node] if node in self._values else self.body.load(self._held[node])

    def _argument(self, argument: Any, kind: str) -> Any:
        if isinstance(argument, Node):
            return self._value(argument)
        if argument is None:
            return None
        return Constant(float(argument) if kind == "real" else argument, kind)

    def _computed(self, node: Node) -> int:
        name, kind = name_of(node.target), KINDS.get(node.meta["val"].dtype, "")
        if not kind:
            raise Unsupported(f"it computes in {str(node.meta['val'].dtype).removeprefix('torch.')}")
        if name in CONSTANTS:
            return self.body.add(Compute("constant", kind, kind, (self._argument(_filled(name, node), kind),)), kind)
        if name in TAKES:
            return self._take(name, node, kind)
        if name == "arange":
            return self._positions(node, kind)
        if name == "scatter":
            return self._scattered(node, kind)
        if more := node.kwargs.keys() - LAYOUT - {"alpha"}:
            raise Unsupported(f"{node.target} with {', '.join(sorted(more))} has no native form")
        within = _within(name, node, kind)
        arguments = [self._argument(a, within) for a in node.args]
        if "alpha" in node.kwargs:
            arguments.append(self._argument(node.kwargs["alpha"], within))
        if name == "pow" and node.args[1] not in POWERS and (isinstance(node.args[1], Node) or kind != "real"):
            raise Unsupported(f"{node.target} has no native form")
        return self.body.add(Compute(name, kind, within, tuple(arguments)), kind)

    def _take(self, name: str, node: Node, kind: str) -> int:
        """An element at an index that is a value."""
        place = self._held[node.args[0]]  # type: ignore[index]
        if name == "index":
            terms, own = self._terms(node.args[1], place)  # type: ignore[arg-type]
            return self._taken(place, own, terms, kind, wraps=True)
        dim = 0 if name == "embedding" else _dim(node.args[1], place)
        strides, after = place.layout.stride(), len(place.shape) - dim - 1
        if name == "gather":
            index = self._loaded(node.args[2], lambda layout: layout)
            own = (*strides[:dim], 0, *strides[dim + 1 :])
        elif name == "embedding":
            index = self._loaded(node.args[1], lambda layout: layout.unsqueeze(-1))
            own = (*[0] * (len(self.body.shape) - 1), strides[1])
        else:
            index = self._loaded(node.args[2], lambda layout: layout.view(-1, *[1] * after))
            own = (*strides[:dim], 0, *strides[dim + 1 :])
        return self._taken(place, own, [Term(index, strides[dim], place.shape[dim])], kind, wraps=False)

    def _terms(self, indices: Sequence[Any], place: Place) -> tuple[list[Term], tuple[int, ...]]:
        """Indices of some dimensions, broadcast, and the strides of a place in the others."""
        given = given_indices(indices)
        start, end = given[0][0], given[0][0] + len(given)
        wide = broadcast(i for _, i in given)
        rest, strides = len(place.shape) - end, place.layout.stride()

        def view(layout: torch.Tensor) -> torch.Tensor:
            return layout.expand(wide)[(..., *[None] * rest)]

        terms = [Term(self._loaded(i, view), strides[d], place.shape[d]) for d, i in given]
        return terms, (*strides[:start], *[0] * len(wide), *strides[end:])

    def _loaded(self, node: Any, view: Callable[[Tensor], Tensor]) -> int:
        """A value from memory, by a view of it that is broadcast over the shape."""
        return self.body.load(self._held[node].seen(view))

    def _taken(self, place: Place, own: tuple[int, ...], terms: list[Term], kind: str, *, wraps: bool) -> int:
        access = Access(place.block, place.dtype, place.offset, own)
        return self.body.add(Take(access, tuple(terms), wraps), kind)

    def _positions(self, node: Node, kind: str) -> int:
        """start + position · step."""
        start, step = (0, 1) if len(node.args) == 1 else (node.args[0], node.args[2] if len(node.args) > 2 else 1)
        scaled = Compute("mul", kind, kind, (self._position(0), Constant(step, kind)))  # type: ignore[arg-type]
        moved = Compute("add", kind, kind, (self.body.add(scaled, kind), Constant(start, kind)))  # type: ignore[arg-type]
        return self.body.add(moved, kind)

    def _position(self, dim: int) -> int:
        strides = tuple(int(d == dim and n > 1) for d, n in enumerate(self.body.shape))
        return self.body.add(Position(Access("", torch.int64, 0, strides)), "int")

    def _scattered(self, node: Node, kind: str) -> int:
        """A scatter of one value along a dimension: that value where the position is the index."""
        source, dim, index, value = node.args
        assert isinstance(index, Node)
        dim = int(dim) % max(1, len(self.body.shape))  # type: ignore[arg-type]
        size = self.body.shape[dim] if self.body.shape else 1
        column = (*self.body.shape[:dim], 1, *self.body.shape[dim + 1 :])
        if isinstance(value, Node) or tuple(index.meta["val"].shape) != column or node.kwargs:
            raise Unsupported("a scatter of many values has no native form")
        place = self._loaded(index, lambda layout: layout)
        self.body.add(Check(place, size), "")
        here = self.body.add(Compute("eq", "bool", "int", (self._position(dim), place)), "bool")
        chosen = (here, self._argument(value, kind), self._argument(source, kind))
        return self.body.add(Compute("where", kind, kind, chosen), kind)

    def _scatter(self, into: Place, node: Node) -> None:
        name = name_of(node.target)
        if name == "embedding_dense_backward":
            self._embedded(into, node)
        elif name == "scatter_add":
            self._added(into, node)
        else:
            self._put(into, node)

    def _put(self, into: Place, node: Node) -> None:
        _, indices, values, *accumulate = node.args
        terms, own = self._terms(indices, into)  # type: ignore[arg-type]
        mode = "add" if accumulate and accumulate[0] else "set"
        self._indirectly(into, own, self._value(values), mode, terms, wraps=True)  # type: ignore[arg-type]

    def _added(self, into: Place, node: Node) -> None:
        _, dim, index, values = node.args
        dim, strides = _dim(dim, into), into.layout.stride()
        corner = tuple(slice(0, n) for n in self.body.shape)
        value = self._loaded(values, lambda layout: layout[corner])
        own = tuple(0 if d == dim else s for d, s in enumerate(strides))
        term = Term(self._value(index), strides[dim], into.shape[dim])  # type: ignore[arg-type]
        self._indirectly(into, own, value, "add", [term], wraps=False)

    def _indirectly(
        self, into: Place, own: tuple[int, ...], value: int, mode: str, terms: Sequence[Term], *, wraps: bool
    ) -> None:
        access = Access(into.block, into.dtype, into.offset, own)
        value = self.body.converted(value, KINDS[into.dtype])
        self.body.add(Write(access, value, mode, tuple(terms), wraps), "")

    def _embedded(self, into: Place, node: Node) -> None:
        """The gradient of an embedding."""
        values, indices, count, padding, by_frequency = node.args
        if by_frequency:
            raise Unsupported("an embedding whose gradient is scaled by frequency has no native form")
        index = self._loaded(indices, lambda layout: layout.unsqueeze(-1))
        value = self._value(values)  # type: ignore[arg-type]
        if padding != -1 and padding is not None:
            skipped = self.body.add(Compute("eq", "bool", "int", (index, Constant(padding, "int"))), "bool")  # type: ignore[arg-type]
            chosen = (skipped, Constant(0.0, "real"), value)
            value = self.body.add(Compute("where", "real", "real", chosen), "real")
        own = (*([0] * (len(self.body.shape) - 1)), into.layout.stride()[1])
        term = Term(index, into.layout.stride()[0], int(count))  # type: ignore[arg-type]
        self._indirectly(into, own, value, "add", [term], wraps=False)


def _dim(given: Any, place: Place) -> int:
    return int(given) % max(1, len(place.shape))


def _filled(name: str, node: Node) -> Any:
    if "zeros" in name or "empty" in name:
        return 0.0
    if "ones" in name:
        return 1.0
    return node.args[0 if name == "scalar_tensor" else -1]


def _within(name: str, node: Node, kind: str) -> str:
    """The kind in which a node computes."""
    if name in TESTS:
        return KINDS[node.args[0].meta["val"].dtype]  # type: ignore[union-attr]
    if name in COMPARISONS:
        values: list[Any] = [a.meta["val"] if isinstance(a, Node) else a for a in node.args]
        return KINDS[torch.result_type(*values)]
    if name in ONLY_REAL and kind != "real":
        raise Unsupported(f"{node.target} of whole numbers has no native form")
    return kind
