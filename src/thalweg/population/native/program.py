"""The gradients of a population's members by native code, one member after the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.population.native.blas import in_one_thread
from thalweg.population.native.code import Code, Names, Workspace
from thalweg.population.native.places import Unsupported
from thalweg.population.native.source import KEYS
from thalweg.population.native.workspaces import Workspaces
from thalweg.population.program.failures import Disagreement
from thalweg.population.program.gradients import GradientProgram, Made
from thalweg.population.program.kept_traces import TraceKey, traces_of
from thalweg.population.program.models import Stack
from thalweg.population.program.randomness import GENERATOR, keys_of
from thalweg.workloads.source import Batch
from thalweg.workloads.workload import Workload

OUT_OF_RANGE = "an index lies outside of what it indexes"


class NativeProgram(GradientProgram):
    """As `GradientProgram`, by code that is compiled for each shape of a batch.

    library: whose matrix products it calls, one of `blas.libraries`.
    """

    def __init__(self, workload: Workload, model: nn.Module, *, shared: bool, library: str) -> None:
        super().__init__(workload, model, shared=shared, unfolded=True)
        self.library = library
        self._workspaces = Workspaces()

    @property
    def workspace_bytes(self) -> int:
        codes: dict[Any, Any] = self.traces.graphs
        return max((code.workspace for code in codes.values()), default=0)

    def keep(self, key: TraceKey | None) -> None:
        self.key = key
        if key is not None:  # one run's code is the same, whether members share batches or not
            self.traces = traces_of(key, False, False, True)

    def of(self, workload: Workload, model: nn.Module) -> "NativeProgram":
        return NativeProgram(workload, model, shared=self.shared, library=self.library)

    def __call__(self, stack: Stack, batch: Batch, seeds: Sequence[int], step: int) -> Made:
        given = [x.contiguous() for x in batch.tensors]
        code = self.code(stack, given if self.shared else [x[0] for x in given])
        workspace = self.workspace(code)
        gradients = {n: torch.empty_like(p) for n, p in stack.parameters.items()}
        after = {n: torch.empty_like(b) for n, b in stack.buffers.items()}
        losses = torch.empty(stack.members, 1, dtype=code.dtype)
        own = {**stacks_of(stack), **named("g", gradients), **named("a", after), "loss": losses}
        lifted = [x[None].expand(stack.members, *x.shape) if self.shared else x for x in given]
        own |= {f"given {i}": x for i, x in enumerate(lifted)}
        table = code.bases(workspace)
        if code.sites:
            own[KEYS] = torch.from_numpy(np.concatenate([keys_of(seed, step, 1, code.sites) for seed in seeds]))
        with in_one_thread(self.library):
            for m in range(stack.members):
                code.aim(table, own, m)
                code.evaluate(table.ctypes.data)
        if workspace.errors[0]:
            raise Disagreement(OUT_OF_RANGE)
        return dict(gradients), losses[:, 0], after

    def workspace(self, code: Code) -> Workspace:
        """This thread's workspace for some code."""
        return self._workspaces.of(code)

    def code(self, stack: Stack, given: Sequence[Tensor]) -> Code:
        """The code of a step, for members like the stack's and batches like these."""
        arguments = [*(p[0] for p in stack.parameters.values()), *(b[0] for b in stack.buffers.values()), *given]
        key = (self.library, *((tuple(a.shape), a.stride(), a.dtype) for a in arguments))
        traces: dict[Any, Any] = self.traces.graphs
        if key not in traces:
            with GENERATOR:
                if key not in traces:
                    traces[key] = self._compiled(stack, arguments, len(given))
        return traces[key]  # type: ignore[no-any-return]

    def _compiled(self, stack: Stack, arguments: Sequence[Tensor], given: int) -> Code:
        parameters, buffers = [*stack.parameters], [*stack.buffers]
        batch, inputs = [f"given {i}" for i in range(given)], [f"p {n}" for n in parameters]
        alike = {f"g {n}": f"p {n}" for n in parameters} | {f"a {n}": f"b {n}" for n in buffers}
        after = {f"a {n}": f"b {n}" for n in buffers}
        names = Names([*inputs, *after.values(), *batch], [*alike, "loss"], batch, alike, "loss", after)
        clones = [a.clone(memory_format=torch.preserve_format) for a in arguments]
        try:
            with torch.random.fork_rng(devices=[]):
                return Code(self._one(parameters, buffers), clones, names, self._model, self.library)
        except Unsupported as error:
            raise Disagreement(str(error)) from None

    def _one(self, names: Sequence[str], buffers: Sequence[str]) -> Any:
        """The step of one member as a function of a flat list of tensors."""

        def step(*flat: Tensor) -> tuple[Tensor, ...]:
            parameters = dict(zip(names, flat, strict=False))
            held = dict(zip(buffers, flat[len(names) :], strict=False))
            *inputs, targets = flat[len(names) + len(buffers) :]
            gradients, (loss, after) = self.of_one(parameters, held, tuple(inputs), targets)
            return *(gradients[n] for n in names), *(after[n] for n in buffers), loss

        return step


def named(kind: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of their blocks."""
    return {f"{kind} {name}": tensor for name, tensor in tensors.items()}


def stacks_of(stack: Stack) -> dict[str, Tensor]:
    """A stack's tensors by the names of their blocks."""
    return {**named("p", stack.parameters), **named("b", stack.buffers)}
