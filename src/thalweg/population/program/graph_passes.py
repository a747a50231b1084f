"""FX passes that clean a traced graph: they remove the no-ops and duplicates that vmap leaves."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, ops
from torch.fx import GraphModule, Node

from thalweg.population.program import matmul_passes
from thalweg.population.program.counter_hash import is_hashed
from thalweg.population.program.python_walk import storage_of
from thalweg.population.program.randomness import is_random

_SAME_SHAPE = {ops.aten.expand.default, ops.aten.view.default, ops.aten._unsafe_view.default}
_LAYOUT = {
    getattr(ops.aten, name)
    for name in (
        "detach", "clone", "alias", "t", "transpose", "permute", "view", "_unsafe_view", "expand", "slice", "select",
        "unsqueeze", "squeeze", "_to_copy", "lift_fresh_copy", "empty_like", "zeros_like", "ones_like", "full_like",
    )
}  # fmt: skip
"""Operations, other than pointwise ones, whose result takes its memory layout from their input."""

_LIKE: Mapping[Any, float] = {ops.aten.zeros_like.default: 0, ops.aten.ones_like.default: 1}
_FRESH = {ops.aten.bmm.default, ops.aten.add.Tensor, ops.aten.add_.Tensor, *matmul_passes.FRESH}
_BINDINGS: Mapping[Any, Callable[..., Any]] = {
    ops.aten.add.Tensor: torch.add,
    ops.aten.add_.Tensor: Tensor.add_,
    ops.aten.bmm.default: torch.bmm,
    ops.aten.div.Tensor: torch.div,
    ops.aten.expand.default: Tensor.expand,
    ops.aten.gather.default: torch.gather,
    ops.aten.mul.Tensor: torch.mul,
    ops.aten.neg.default: torch.neg,
    ops.aten.relu.default: torch.relu,
    ops.aten.relu_.default: torch.relu_,
    ops.aten.scatter.value: torch.scatter,
    ops.aten.sub.Tensor: torch.sub,
    ops.aten.sum.dim_IntList: torch.sum,
    ops.aten.t.default: torch.t,
    ops.aten.transpose.int: torch.transpose,
    ops.aten.unsqueeze.default: torch.unsqueeze,
    ops.aten.view.default: Tensor.view,
    ops.aten.where.self: torch.where,
}
"""Python callables of the same operations with less overhead: the graph runs every step."""


def clean(module: GraphModule) -> GraphModule:
    """Removes no-ops, common subexpressions and dead code, and folds constants; returns the module.

    With in-place operations, equal nodes may hold different values: such a graph keeps its constants and duplicates.
    """
    graph = module.graph
    for node in graph.nodes:
        source = _equal_to(node)
        if source is not None:
            node.replace_all_uses_with(source)
    if not writes(module):
        _keep_constants(module)
        _merge(module)
    graph.eliminate_dead_code(is_impure_node=lambda n: n.op in ("placeholder", "output") or _writes(n))
    return module


def obstacle(module: GraphModule, registered: Collection[int]) -> str:
    """Reason why the graph does not hold for every batch; empty if it shows none.

    registered: data pointers of the model's own parameters and buffers, none of which may be a constant.
    """
    for node in module.graph.nodes:
        if node.op == "get_attr" and storage_of(getattr(module, str(node.target))) in registered:
            return "its code reaches a parameter or buffer past its module, which a traced program would freeze"
        tags = getattr(node.target, "tags", ())
        sized = torch.Tag.dynamic_output_shape in tags and not _by_integers(node)
        if sized or torch.Tag.data_dependent_output in tags:
            return f"its code asks for what depends on the values of a batch ({node.target})"
    return ""


def drawn_like(module: GraphModule) -> set[Node]:
    """Inputs whose memory layout decides the order in which a generator's numbers are drawn."""
    random = [n for n in module.graph.nodes if n.op == "call_function" and is_random(n.target) and not drawn_by_hash(n)]
    waiting, seen = [argument for node in random for argument in node.all_input_nodes], set[Node]()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            packet = getattr(node.target, "overloadpacket", None)
            keeps = torch.Tag.pointwise in getattr(node.target, "tags", ()) or packet in _LAYOUT
            waiting += node.all_input_nodes if keeps else []
    return {node for node in seen if node.op == "placeholder"}


def drawn_by_hash(node: Node) -> bool:
    """Whether a random operation's numbers are hashed."""
    first = node.args[0] if node.args else None
    return is_hashed(node.target, _dtype(first) if isinstance(first, Node) else None, node.kwargs)


def _by_integers(node: Node) -> bool:
    """Whether the node indexes by integers, not masks, so that its shape is known."""
    if node.target is not torch.ops.aten.index.Tensor:
        return False
    indices = [index for index in node.args[1] if isinstance(index, Node)]  # type: ignore[union-attr]
    return all(_dtype(index) not in (None, torch.bool, torch.uint8) for index in indices)


def writes(module: GraphModule) -> bool:
    """Whether an operation of the graph writes into its arguments."""
    return any(_writes(node) for node in module.graph.nodes)


def measure(module: GraphModule, arguments: Sequence[Tensor]) -> None:
    """Updates every node's `val` (shapes and strides) with fake tensors, without computing."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.passes.fake_tensor_prop import FakeTensorProp

    FakeTensorProp(module, FakeTensorMode(allow_non_fake_inputs=True)).propagate(*arguments)


def computed(module: GraphModule) -> int:
    """Peak bytes of the tensors that the graph computes, each live from its computation to its last use."""
    places = {node: i for i, node in enumerate(module.graph.nodes)}
    sizes: dict[int, int] = {}
    lives: dict[int, tuple[int, int]] = {}  # by storage, which views share: first and last node
    for node, place in places.items():
        value = node.meta.get("val")
        if node.op == "call_function" and isinstance(value, Tensor):
            storage = value.untyped_storage()
            last = max((places[user] for user in node.users), default=place)
            first, before = lives.get(storage._cdata, (place, place))
            sizes[storage._cdata], lives[storage._cdata] = storage.nbytes(), (first, max(last, before))
    changes = sorted(
        change for key, (first, last) in lives.items() for change in ((first, sizes[key]), (last + 1, -sizes[key]))
    )
    return max(itertools.accumulate(change for _, change in changes), default=0)


def finish(module: GraphModule) -> None:
    """Reuses memory and binds operations. The last pass; needs current `val`s."""
    _reuse(module)
    for node in module.graph.nodes:
        node.target = _BINDINGS.get(node.target, node.target) if node.op == "call_function" else node.target
    module.recompile()


def _equal_to(node: Node) -> Node | None:
    """The earlier node that this one only repeats; `None` if it computes anything."""
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


def _keep_constants(module: GraphModule) -> None:
    """Folds nodes that have no tensor argument, or take only its shape, into constants."""
    for node in list(module.graph.nodes):
        if node.op != "call_function" or not _repeatable(node):
            continue
        fill, value = _LIKE.get(node.target), node.meta.get("val")
        if fill is not None and value is not None:
            made = torch.full(value.shape, fill, dtype=value.dtype, device=value.device)
        elif not node.all_input_nodes:
            made = node.target(*node.args, **node.kwargs)
        else:
            continue
        name = f"constant_{node.name}"
        module.register_buffer(name, made)
        with module.graph.inserting_before(node):
            node.replace_all_uses_with(module.graph.get_attr(name))


def _merge(module: GraphModule) -> None:
    """Eliminates common subexpressions."""
    seen: dict[str, Node] = {}
    for node in module.graph.nodes:
        if node.op != "call_function" or not _repeatable(node):
            continue
        first = seen.setdefault(f"{node.target} {node.args} {node.kwargs}", node)
        if first is not node:
            node.replace_all_uses_with(first)


def _reuse(module: GraphModule) -> None:
    """Lets elementwise operations overwrite a product that nothing else reads: a step is bound by memory."""
    for node in module.graph.nodes:
        if node.target is ops.aten.add.Tensor and not node.kwargs and _spent(node.args[1], node):
            node.target, node.args = ops.aten.add_.Tensor, (node.args[1], node.args[0])
        elif node.target is ops.aten.relu.default and _spent(node.args[0], node):
            node.target = ops.aten.relu_.default
        elif node.target is ops.aten.threshold_backward.default and _spent(node.args[0], node):
            node.target = ops.aten.threshold_backward.grad_input
            node.kwargs = {"grad_input": node.args[0]}


def _spent(value: Any, node: Node) -> bool:
    """Whether `value` owns its memory, has the layout and dtype of `node`, and is read by `node` only."""
    if not (isinstance(value, Node) and value.target in _FRESH and len(value.users) == 1):
        return False
    own, made = value.meta.get("val"), node.meta.get("val")
    if own is None or made is None:
        return False
    return bool(own.shape == made.shape and own.stride() == made.stride() and own.dtype == made.dtype)


def _repeatable(node: Node) -> bool:
    return torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ())


def _writes(node: Node) -> bool:
    """Whether the operation writes into its arguments: such a node is never dead code."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _shape(node: Node) -> tuple[int, ...] | None:
    value = node.meta.get("val", node.meta.get("tensor_meta"))
    return None if value is None else tuple(value.shape)


def _dtype(node: Node) -> torch.dtype | None:
    value = node.meta.get("val", node.meta.get("tensor_meta"))
    return None if value is None else value.dtype
