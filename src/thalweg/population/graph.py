"""Cleaning a traced graph: what vmap writes that computes nothing is taken out."""

from torch import ops
from torch.fx import GraphModule, Node

_SAME_SHAPE = {ops.aten.expand.default, ops.aten.view.default, ops.aten._unsafe_view.default}


def clean(module: GraphModule) -> GraphModule:
    """The same program without reshapes to the same shape, products with 1, and transposes of transposes."""
    graph = module.graph
    for node in graph.nodes:
        source = _equal_to(node)
        if source is not None:
            node.replace_all_uses_with(source)
    graph.eliminate_dead_code(is_impure_node=_keeps)
    module.recompile()
    return module


def _equal_to(node: Node) -> Node | None:
    """The earlier node that this one merely repeats."""
    if node.op != "call_function" or not node.args or not isinstance(node.args[0], Node):
        return None
    source = node.args[0]
    if node.target in _SAME_SHAPE and _shape(node) is not None and _shape(node) == _shape(source):
        return source
    if node.target is ops.aten.mul.Scalar and node.args[1] == 1 and _dtype(node) == _dtype(source):
        return source
    if node.target is ops.aten.transpose.int and source.target is ops.aten.transpose.int:
        inner = source.args[0]
        if isinstance(inner, Node) and {*node.args[1:]} == {*source.args[1:]}:
            return inner
    return None


def _shape(node: Node) -> tuple[int, ...] | None:
    value = node.meta.get("val", node.meta.get("tensor_meta"))
    return None if value is None else tuple(value.shape)


def _dtype(node: Node) -> object:
    value = node.meta.get("val", node.meta.get("tensor_meta"))
    return None if value is None else value.dtype


def _keeps(node: Node) -> bool:
    """Operations that write into their arguments stay, used or not."""
    schema = getattr(node.target, "_schema", None)
    return node.op in ("placeholder", "output") or (schema is not None and schema.is_mutable)
