"""The outputs of a population's members by native code, in evaluation mode."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from thalweg.population.native.blas import in_one_thread
from thalweg.population.native.code import Code, Names
from thalweg.population.native.places import Unsupported
from thalweg.population.native.program import OUT_OF_RANGE, named
from thalweg.population.native.workspaces import Workspaces
from thalweg.population.program.convolutions import Unfolded
from thalweg.population.program.randomness import GENERATOR
from thalweg.workloads.source import Batch
from thalweg.workloads.workload import Workload


class NativeForward:
    """The forward pass of a workload's model.

    codes: compiled so far, by shapes, which other instances may share. library: one of `blas.libraries`.
    """

    def __init__(self, workload: Workload, model: nn.Module, codes: dict[Any, Any], library: str) -> None:
        self._library = library
        self._workload, self._model, self._codes, self._workspaces = workload, model, codes, Workspaces()

    def __call__(self, tensors: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Outputs `[members, …]` of members with these tensors `[members, …]`. Raises `Unsupported`."""
        given = [x.contiguous() for x in batch.inputs]
        code = self._code(tensors, given)
        members = len(next(iter(tensors.values())))
        place = code.results[0]
        outputs = torch.empty(members, *place.shape, dtype=place.dtype)
        workspace = self._workspaces.of(code)
        table = code.bases(workspace)
        inputs = {f"given {i}": x[None].expand(members, *x.shape) for i, x in enumerate(given)}
        own = {**named("p", dict(tensors)), **inputs, "outputs": outputs}
        with in_one_thread(self._library):
            for m in range(members):
                code.aim(table, own, m)
                code.evaluate(table.ctypes.data)
        if workspace.errors[0]:
            raise Unsupported(OUT_OF_RANGE)
        return outputs

    def _code(self, tensors: Mapping[str, Tensor], given: list[Tensor]) -> Code:
        arguments = [*(t[0] for t in tensors.values()), *given]
        key = ("forward", self._library, *((tuple(a.shape), a.stride(), a.dtype) for a in arguments))
        if key not in self._codes:
            with GENERATOR:
                if key not in self._codes:
                    self._codes[key] = self._compiled([*tensors], arguments, len(given))
        return self._codes[key]  # type: ignore[no-any-return]

    def _compiled(self, names: list[str], arguments: list[Tensor], given: int) -> Code:
        batch = [f"given {i}" for i in range(given)]
        of = Names([*(f"p {n}" for n in names), *batch], ["outputs"], batch, {})
        clones = [a.clone(memory_format=torch.preserve_format) for a in arguments]
        with torch.random.fork_rng(devices=[]):
            code = Code(self._forward(names), clones, of, self._model, self._library)
        if code.sites:
            raise Unsupported("the model draws random numbers in evaluation")
        return code

    def _forward(self, names: list[str]) -> Any:
        def forward(*flat: Tensor) -> tuple[Tensor, ...]:
            tensors, inputs = dict(zip(names, flat, strict=False)), flat[len(names) :]

            def model(*given: Tensor) -> Any:
                with Unfolded():
                    return functional_call(self._model, tensors, given)

            outputs = self._workload.objective.outputs(model, Batch(inputs, torch.empty(0)))
            if not isinstance(outputs, Tensor):
                raise Unsupported("the model returns more than one tensor")
            return (outputs,)

        return forward
