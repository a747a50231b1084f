"""The gradients of all members as one traced program."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from thalweg.population.program import graph_passes as graphs
from thalweg.population.program import matmul_passes
from thalweg.population.program.convolutions import Unfolded
from thalweg.population.program.failures import Disagreement
from thalweg.population.program.kept_traces import Trace, TraceKey, Traces, traces_of
from thalweg.population.program.matmul_passes import Product
from thalweg.population.program.models import Stack, called_with
from thalweg.population.program.python_walk import storage_of
from thalweg.population.program.randomness import GENERATOR, RandomSites
from thalweg.workloads.source import Batch
from thalweg.workloads.workload import Workload

Made = tuple[dict[str, Tensor | Product], Tensor, dict[str, Tensor]]
"""Gradients, losses `[members]` and new buffers of a stack."""


def whole(gradients: Mapping[str, Tensor | Product], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All gradients as tensors: deferred ones are materialized."""
    return {n: g.like(parameters[n]) if isinstance(g, Product) else g for n, g in gradients.items()}


def of_member(
    gradients: Mapping[str, Tensor | Product], parameters: Mapping[str, Tensor], member: int
) -> dict[str, Tensor]:
    """The gradients of one member as tensors, without the leading dimension."""
    place = slice(member, member + 1)
    return {n: _sliced(g, place).like(parameters[n][place])[0] if isinstance(g, Product) else g[member]
            for n, g in gradients.items()}  # fmt: skip


def _sliced(product: Product, place: slice) -> Product:
    right = product.right if product.right.ndim == 2 else product.right[place]
    return Product(product.left[place], right)


def _allow_fallback(allowed: bool) -> None:
    """Sets whether vmap may loop over the members for an operation without a batching rule."""
    torch._C._functorch._set_vmap_fallback_enabled(allowed)  # type: ignore[attr-defined]


class GradientProgram:
    """Gradients, losses `[members]` and new buffers of a stack for a batch; one trace per member count and batch shape.

    Tracing needs `model`; the traced graph is a pure function and serves several threads.

    shared: whether all members see one batch (`[batch, …]`) or each its own (`[members, batch, …]`).
    unfolded: whether convolutions are traced as matrix products rather than as grouped convolutions.
    traces: its graphs, which `keep` shares with other programs of the same workload. activations: peak bytes per member
    that its last step computed between parameters and gradients; 0 before the first.
    trusted: whether the live model agreed through a first epoch. distrusted: the reason if it did not.
    unrecorded: why its steps cannot be captured as a CUDA graph; empty until a capture fails.
    """

    def __init__(self, workload: Workload, model: nn.Module, *, shared: bool, unfolded: bool = False) -> None:
        self._workload, self._model, self.shared, self._unfolded = workload, model, shared, unfolded
        self.traces = Traces()
        self.key: TraceKey | None = None
        self.activations, self.unrecorded = 0, ""
        self.trusted, self.distrusted = False, ""

    @property
    def workspace_bytes(self) -> int:
        """Bytes that each worker needs for a step, whatever the number of members."""
        return 0

    @property
    def output_major(self) -> set[str]:
        """Weights that are fastest as `[members, out, in]` in memory, found in tracing."""
        return self.traces.output_major

    def keep(self, key: TraceKey | None) -> None:
        """Takes over the graphs that this process keeps under a key, and keeps those that are traced from now on."""
        self.key = key
        if key is not None:
            self.traces = traces_of(key, self.shared, self._unfolded)

    def of(self, workload: Workload, model: nn.Module) -> "GradientProgram":
        """A new program with the same options, for another workload."""
        return GradientProgram(workload, model, shared=self.shared, unfolded=self._unfolded)

    def __call__(self, stack: Stack, batch: Batch, seeds: Sequence[int], step: int) -> Made:
        inputs, targets = batch
        arguments = [*stack.parameters.values(), *stack.buffers.values(), *inputs, targets]
        traces = self.traces
        for i in traces.drawn_like:
            arguments[i] = arguments[i].contiguous()  # a no-op if it was stacked after tracing
        key = (*stack.parameters, len(stack.buffers), *((a.shape, a.dtype, a.device) for a in arguments))
        if key not in traces.graphs:
            with GENERATOR:
                if key not in traces.graphs:
                    traces.graphs[key] = self._trace(stack, arguments)
                    arguments = [a.contiguous() if i in traces.drawn_like else a for i, a in enumerate(arguments)]
        graph, sites, self.activations = traces.graphs[key]
        sites.at(seeds, step)
        *rest, losses = graph.forward(*arguments)  # called as a module, it prints what it raises
        made = [Product(*g) if isinstance(g, tuple) else g for g in rest[: len(stack.parameters)]]
        gradients = dict(zip(stack.parameters, made, strict=True))
        return gradients, losses, dict(zip(stack.buffers, rest[len(stack.parameters) :], strict=True))

    def _trace(self, stack: Stack, arguments: list[Tensor]) -> Trace:
        """Traces on clones, since a forward pass may write to them. Operations without a batching rule raise."""
        _allow_fallback(False)
        try:
            with GENERATOR, torch.random.fork_rng(devices=[]):  # tracing draws random numbers too
                clones = [a.clone(memory_format=torch.preserve_format) for a in arguments]
                graph = make_fx(self._stacked(stack))(*clones)
                own = {storage_of(t) for t in (*self._model.parameters(), *self._model.buffers())}
                if reason := graphs.obstacle(graph, own - {0}):
                    raise Disagreement(reason)
                graphs.clean(graph)
                self._keep_order(graph, stack)
        finally:
            _allow_fallback(True)
        if not graphs.writes(graph):
            self._rearrange(graph, stack, arguments)
        activations = graphs.computed(graph) // stack.members
        graphs.finish(graph)
        return Trace(graph, RandomSites(graph, stack.members), activations)

    def _keep_order(self, graph: GraphModule, stack: Stack) -> None:
        """Keeps the model's layout for weights that random numbers are drawn like, which orders the draws."""
        places = {node: i for i, node in enumerate(n for n in graph.graph.nodes if n.op == "placeholder")}
        names = [*stack.parameters]
        drawn = {i for node in graphs.drawn_like(graph) if (i := places[node]) < len(names)}
        self.traces.drawn_like |= drawn
        self.traces.output_major |= {names[i] for i in drawn}

    def _rearrange(self, graph: GraphModule, stack: Stack, arguments: list[Tensor]) -> None:
        """Rewrites products into their fastest form; defers large gradients to where they are used."""
        places = {node: i for i, node in enumerate(n for n in graph.graph.nodes if n.op == "placeholder")}
        names = [*stack.parameters]
        weights = (places[node] for node in matmul_passes.share(graph))
        self.traces.output_major |= {names[i] for i in weights if i < len(names)}
        graphs.measure(graph, arguments)
        matmul_passes.turn(graph)
        graphs.measure(graph, arguments)
        matmul_passes.defer(graph, len(names))

    def _stacked(self, stack: Stack) -> Callable[..., tuple[Tensor, ...]]:
        """The program as a function of a flat list of tensors."""
        names, buffers = list(stack.parameters), list(stack.buffers)
        each = self.shared and self._workload.augment is not None  # which may write into its own of the shared batch
        data = None if self.shared and not each else 0
        one = vmap(self.of_one, in_dims=(0, 0, data, data), randomness="different")

        def program(*flat: Tensor) -> tuple[Tensor, ...]:
            parameters = dict(zip(names, flat, strict=False))
            held = dict(zip(buffers, flat[len(names) :], strict=False))
            given = flat[len(names) + len(buffers) :]
            *inputs, targets = [x.expand(stack.members, *x.shape) for x in given] if each else given
            gradients, (losses, after) = one(parameters, held, tuple(inputs), targets)
            return *(gradients[n] for n in names), *(after[n] for n in buffers), losses

        return program

    def of_one(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        inputs: tuple[Tensor, ...],
        targets: Tensor,
    ) -> tuple[dict[str, Tensor], tuple[Tensor, dict[str, Tensor]]]:
        """(gradients, (loss, buffers afterwards)) of one member: means over the parts of its batch."""
        differentiated = grad_and_value(self._loss, has_aux=True)
        whole: dict[str, Tensor] = {}
        total: Any = 0.0
        for share, part in self._workload.objective.parts(Batch(inputs, targets)):
            gradients, (loss, buffers) = differentiated(parameters, buffers, part.inputs, part.targets)
            if share == 1:
                return gradients, (loss, buffers)
            whole = {n: share * g + whole[n] if whole else share * g for n, g in gradients.items()}
            total = total + share * loss
        return whole, (total, buffers)

    def _loss(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        inputs: tuple[Tensor, ...],
        targets: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        after = {name: b.clone() for name, b in buffers.items()}  # batch norm writes its statistics in place
        objective, batch = self._workload.objective, Batch(inputs, targets)
        with Unfolded() if self._unfolded else nullcontext():
            loss = called_with(
                self._model, {**parameters, **after}, lambda model: objective.training_loss(model, batch)
            )
        return loss, after
