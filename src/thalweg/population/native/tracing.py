"""The forward and backward pass of one run, traced into simple operations that change nothing in place."""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from thalweg.population.native.decompositions import OWN
from thalweg.population.native.places import Unsupported
from thalweg.population.program.counter_hash import BY_VALUES, HASHED
from thalweg.population.program.graph_passes import drawn_by_hash, measure, obstacle
from thalweg.population.program.python_walk import storage_of
from thalweg.population.program.randomness import is_random

aten = torch.ops.aten

DECOMPOSED = (
    aten.addmm, aten.baddbmm, aten.native_layer_norm, aten.native_layer_norm_backward, aten._softmax,
    aten._log_softmax, aten._softmax_backward_data, aten._log_softmax_backward_data, aten.nll_loss_forward,
    aten.nll_loss_backward, aten.threshold_backward, aten.gelu, aten.gelu_backward, aten.native_batch_norm,
    aten.native_batch_norm_backward, aten._native_batch_norm_legit_functional, aten.silu, aten.silu_backward,
    aten.sigmoid_backward, aten.tanh_backward, aten.var_mean, aten.mse_loss, aten.mse_loss_backward,
    aten.smooth_l1_loss, aten.smooth_l1_loss_backward, aten.huber_loss, aten.huber_loss_backward,
    aten.binary_cross_entropy, aten.binary_cross_entropy_backward, aten.binary_cross_entropy_with_logits,
    aten.hardtanh, aten.hardtanh_backward, aten.leaky_relu, aten.leaky_relu_backward, aten.elu, aten.elu_backward,
    aten.softplus, aten.softplus_backward, aten.linalg_vector_norm, aten.slice_backward, aten.select_backward,
    aten.native_group_norm, aten.native_group_norm_backward,
)  # fmt: skip
"""Operations that torch's own decompositions take apart, beyond those of its core set."""

SAME_VALUE = {
    aten.alias.default, aten.clone.default, aten.detach.default, aten.lift_fresh_copy.default, aten.contiguous.default,
}  # fmt: skip
"""Operations whose result has the values of their argument."""


def traced(
    function: Callable[..., tuple[Tensor, ...]], arguments: Sequence[Tensor], model: nn.Module
) -> tuple[GraphModule, int]:
    """Returns (graph of a function of tensors, number of its random operations).

    The shapes and dtypes of its values are in `meta["val"]`. If there are random operations, it has one more argument,
    int64 `[operations]`: the keys by which their numbers are hashed. Raises `Unsupported` where the graph does not hold
    for every batch, reaches the model's own tensors as constants, or draws what is not hashed.
    """
    functional = torch.func.functionalize(function, remove="mutations")
    with sdpa_kernel(SDPBackend.MATH):
        graph = make_fx(functional, decomposition_table=_table())(*arguments)
    own = {storage_of(t) for t in (*model.parameters(), *model.buffers())} - {0}
    if reason := obstacle(graph, own):
        raise Unsupported(reason)
    random = [node for node in graph.graph.nodes if node.op == "call_function" and is_random(node.target)]
    for node in random:
        if not drawn_by_hash(node) or node.target in BY_VALUES:
            raise Unsupported(f"{node.target} draws what has no native form")
    if sites := len(random):
        keys = torch.zeros(sites, dtype=torch.int64)
        arguments = [*arguments, keys]
        graph = make_fx(_Hashing(graph).run, decomposition_table=_table())(*arguments)
    measure(graph, arguments)
    _drop_copies(graph)
    _simplify(graph)
    _drop_repetitions(graph)
    return graph, sites


class _Hashing(Interpreter):
    """Runs a graph with the last argument's keys for its random operations, in their order."""

    def run(self, *arguments: Tensor) -> Any:  # type: ignore[override]
        self._keys = iter(arguments[-1].unbind())
        return super().run(*arguments[:-1])

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if is_random(target):
            return HASHED[target](next(self._keys), *args, **kwargs)
        return super().call_function(target, args, kwargs)


@cache
def _table() -> Mapping[Any, Callable[..., Any]]:
    from torch._decomp import core_aten_decompositions, get_decompositions

    known = {**core_aten_decompositions(), **get_decompositions(DECOMPOSED), **OWN}
    whole = {aten.embedding_dense_backward.default, *HASHED}
    return {operation: how for operation, how in known.items() if operation not in whole}


def _drop_copies(graph: GraphModule) -> None:
    """Lets what reads a tensor after a copy into it read the copied value: decompositions still write statistics so."""
    for node in graph.graph.nodes:
        if node.target is not aten.copy_.default:
            continue
        into, value = node.args[:2]
        if (into.meta["val"].shape, into.meta["val"].dtype) != (value.meta["val"].shape, value.meta["val"].dtype):
            continue
        into.replace_all_uses_with(value, lambda user, node=node: user > node)
        node.replace_all_uses_with(value)
        graph.graph.erase_node(node)


def _simplify(graph: GraphModule) -> None:
    """Removes operations that only repeat their argument, and what nothing needs."""
    for node in graph.graph.nodes:
        if node.op != "call_function" or not node.args:
            continue
        one = node.target in (aten.mul.Tensor, aten.div.Tensor) and node.args[1] == 1 and _keeps_kind(node)
        if node.target in SAME_VALUE or one:
            node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _keeps_kind(node: Node) -> bool:
    """Whether result and argument have one shape and dtype."""
    result, argument = (n.meta.get("val") for n in (node, node.args[0]) if isinstance(n, Node))
    return (
        result is not None and argument is not None and (result.shape, result.dtype) == (argument.shape, argument.dtype)
    )


def _drop_repetitions(graph: GraphModule) -> None:
    """Keeps one of equal operations, and views only where they change the shape."""
    seen: dict[str, Node] = {}
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.target is operator.getitem:
            continue
        same = (
            node.target in (aten.view.default, aten.expand.default)
            and node.args[0].meta["val"].shape == node.meta["val"].shape
        )
        first = node.args[0] if same else seen.setdefault(f"{node.target} {node.args} {node.kwargs}", node)
        if first is not node:
            node.replace_all_uses_with(first)
    graph.graph.eliminate_dead_code()
    graph.recompile()
