"""FX passes that rewrite a traced graph's matrix products into the form that a CPU multiplies fastest.

Where members share one batch, vmap expands it to `[members, …]` and multiplies member by member. Here each such product
becomes one: the members' matrices stacked, times the batch. Its result is transposed in memory,
`[members, out, batch]`, and the products that meet it in an elementwise operation are transposed likewise.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, ops
from torch.fx import Graph, GraphModule, Node

_BMM, _EXPAND, _TRANSPOSE = ops.aten.bmm.default, ops.aten.expand.default, ops.aten.transpose.int
_MEETING = {ops.aten.threshold_backward.default, ops.aten.tanh_backward.default, ops.aten.sigmoid_backward.default}
_MEETING |= {ops.aten.gelu_backward.default, ops.aten.mul.Tensor}
LARGE = 1 << 15  # elements per member from which a gradient is deferred: materialized when used


def shared(x: Tensor, each: Tensor) -> Tensor:
    """x `[p, k]` times each member's matrix `[members, k, n]`: `[members, p, n]`, in memory `[members, n, p]`."""
    members, k, n = each.shape
    stacked = each.transpose(1, 2).reshape(members * n, k)
    return torch.mm(stacked, x.t().contiguous()).view(members, n, -1).transpose(1, 2)


def turned(a: Tensor, b: Tensor) -> Tensor:
    """`torch.bmm(a, b)`, transposed in memory."""
    return torch.bmm(b.transpose(1, 2), a.transpose(1, 2)).transpose(1, 2)


FRESH = {shared, turned}
"""Functions whose result shares no memory with an input."""


@dataclass(frozen=True)
class Product:
    """A deferred gradient: the matrix product of left `[members, r, b]` and right `[members, b, c]` or `[b, c]`.

    Its layout in memory is `[members, r, c]`, like the parameter's.
    """

    left: Tensor
    right: Tensor

    def into(self, out: Tensor, members: slice) -> None:
        """Computes the product of some members into `out`, contiguous and of these members' size."""
        left = self.left[members]
        count, rows, inner = left.shape
        if self.right.ndim == 2:
            torch.mm(left.reshape(count * rows, inner), self.right, out=out.view(count * rows, -1))
        else:
            torch.bmm(left, self.right[members], out=out.view(count, rows, -1))

    def like(self, parameter: Tensor) -> Tensor:
        """The materialized gradient, in the parameter's shape `[members, …]` and memory layout, in its own dtype."""
        out = torch.empty_like(parameter, dtype=self.left.dtype)
        memory = out if out.is_contiguous() else out.transpose(1, 2)
        self.into(memory, slice(None))
        return out


def share(module: GraphModule) -> set[Node]:
    """Merges products by a shared matrix into one; returns the input weights that are fastest output-major."""
    graph, weights = module.graph, set()
    for node in list(graph.nodes):
        if node.target is not _BMM or not _is_shared(node.args[0]):
            continue
        each = node.args[1]
        if each.target is _TRANSPOSE and each.args[0].op == "placeholder":
            weights.add(each.args[0])
        _replace(graph, node, shared, node.args[0].args[0], each)
        _allow_copies(graph)
    return weights


def _allow_copies(graph: Graph) -> None:
    """Lets views be copies where a product that lies transposed now allows none, as of all outputs in one row."""
    for node in graph.nodes:
        if node.target is ops.aten.view.default:
            node.target = Tensor.reshape


def turn(module: GraphModule) -> None:
    """Computes products transposed if an elementwise operation combines them with a transposed tensor.

    Needs current `val`s.
    """
    for node in list(module.graph.nodes):
        if node.target not in _MEETING or len(node.all_input_nodes) != 2:
            continue
        one, two = node.all_input_nodes
        if "val" in one.meta and "val" in two.meta:
            for product, other in ((one, two), (two, one)):
                if product.target is _BMM and len(product.users) == 1 and _lies_turned(other, product):
                    _replace(module.graph, product, turned, *product.args)


def defer(module: GraphModule, parameters: int) -> None:
    """Defers large products among the gradients (the first outputs): each becomes `(left, right)`."""
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"][:parameters]
    returned = list(output.args[0])
    with module.graph.inserting_before(output):
        for i, parameter in enumerate(inputs):
            if _same_memory(returned[i], parameter) and returned[i].meta["val"][0].numel() >= LARGE:
                returned[i] = _factors(module.graph, returned[i]) or returned[i]
    output.args = (tuple(returned),)
    module.graph.eliminate_dead_code()


def _factors(graph: Graph, gradient: Node) -> tuple[Node, Node] | None:
    """(left, right) of a gradient that is a product in its memory layout; `None` for any other."""
    turned_over = gradient.target is _TRANSPOSE and {d % 3 for d in gradient.args[1:]} == {1, 2}  # type: ignore[operator]
    product = gradient.args[0] if turned_over else gradient
    if not isinstance(product, Node):
        return None
    if product.target is shared and turned_over:
        x, each = product.args
        return graph.call_function(_TRANSPOSE, (each, 1, 2)), graph.call_function(ops.aten.t.default, (x,))
    return (product.args[0], product.args[1]) if product.target is _BMM else None  # type: ignore[return-value]


def _is_shared(node: Any) -> bool:
    """Whether the node is one matrix, expanded over the members."""
    return isinstance(node, Node) and node.target is _EXPAND and node.args[0].meta["val"].ndim == 2  # type: ignore[union-attr]


def _lies_turned(node: Node, product: Node) -> bool:
    """Whether the node has the product's shape and is transposed in memory."""
    value = node.meta["val"]
    same = value.shape == product.meta["val"].shape
    differs = value.stride() != product.meta["val"].stride()
    return bool(same and value.ndim == 3 and differs and value.mT.is_contiguous())


def _same_memory(gradient: Node, parameter: Node) -> bool:
    made, held = gradient.meta.get("val"), parameter.meta.get("val")
    return made is not None and held is not None and made.shape == held.shape and made.stride() == held.stride()


def _replace(graph: Graph, node: Node, function: Any, *arguments: Any) -> None:
    with graph.inserting_before(node):
        new = graph.call_function(function, arguments)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    graph.erase_node(node)
