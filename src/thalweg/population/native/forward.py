"""The outputs and losses of a population's members by native code, in evaluation mode."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.population.native.blas import in_one_thread
from thalweg.population.native.code import Code, Names
from thalweg.population.native.places import Unsupported
from thalweg.population.native.program import OUT_OF_RANGE, named
from thalweg.population.native.workspaces import Workspaces
from thalweg.population.program.convolutions import Unfolded
from thalweg.population.program.models import called_with
from thalweg.population.program.randomness import GENERATOR
from thalweg.workloads.source import Batch
from thalweg.workloads.workload import Workload

RESULTS = ("outputs", "losses")


class NativeForward:
    """The forward pass of a workload's model, and its loss where that has a native form.

    codes: compiled so far, by shapes, which other instances may share. library: one of `blas.libraries`.
    """

    def __init__(self, workload: Workload, model: nn.Module, codes: dict[Any, Any], library: str) -> None:
        self._library = library
        self._workload, self._model, self._codes, self._workspaces = workload, model, codes, Workspaces()
        self._loss = True  # until it proves to have no native form

    def __call__(self, tensors: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Outputs `[members, …]` of members with these tensors `[members, …]`, and losses `[members]` or `None`.

        Losses cost next to nothing beside outputs. Raises `Unsupported` where the outputs have no native form.
        """
        if self._loss:
            try:
                return self._evaluated(tensors, batch, loss=True)
            except Unsupported:
                self._loss = False
        return self._evaluated(tensors, batch, loss=False)

    def _evaluated(self, tensors: Mapping[str, Tensor], batch: Batch, *, loss: bool) -> tuple[Tensor, Tensor | None]:
        given = [x.contiguous() for x in (batch.tensors if loss else batch.inputs)]
        code = self._code(tensors, given, loss=loss)
        members = len(next(iter(tensors.values())))
        found = [torch.empty(members, *of.shape, dtype=of.dtype) for of in code.results]
        workspace = self._workspaces.of(code)
        table = code.bases(workspace)
        inputs = {f"given {i}": x[None].expand(members, *x.shape) for i, x in enumerate(given)}
        own = {**named("p", dict(tensors)), **inputs, **dict(zip(RESULTS, found, strict=False))}
        with in_one_thread(self._library):
            for m in range(members):
                code.aim(table, own, m)
                code.evaluate(table.ctypes.data)
        if workspace.errors[0]:
            raise Unsupported(OUT_OF_RANGE)
        return found[0], found[1] if loss else None

    def _code(self, tensors: Mapping[str, Tensor], given: list[Tensor], *, loss: bool) -> Code:
        arguments = [*(t[0] for t in tensors.values()), *given]
        key = ("forward", loss, self._library, *((tuple(a.shape), a.stride(), a.dtype) for a in arguments))
        if key not in self._codes:
            with GENERATOR:
                if key not in self._codes:
                    self._codes[key] = self._compiled([*tensors], arguments, len(given), loss=loss)
        return self._codes[key]  # type: ignore[no-any-return]

    def _compiled(self, names: list[str], arguments: list[Tensor], given: int, *, loss: bool) -> Code:
        batch = [f"given {i}" for i in range(given)]
        of = Names([*(f"p {n}" for n in names), *batch], [*RESULTS[: 1 + loss]], batch, {})
        clones = [a.clone(memory_format=torch.preserve_format) for a in arguments]
        with torch.random.fork_rng(devices=[]):
            code = Code(self._forward(names, loss=loss), clones, of, self._model, self._library)
        if code.sites:
            raise Unsupported("the model draws random numbers in evaluation")
        return code

    def _forward(self, names: list[str], *, loss: bool) -> Any:
        objective = self._workload.objective

        def forward(*flat: Tensor) -> tuple[Tensor, ...]:
            tensors, given = dict(zip(names, flat, strict=False)), flat[len(names) :]
            inputs, targets = (given[:-1], given[-1]) if loss else (given, torch.empty(0))

            with Unfolded():
                batch = Batch(inputs, targets)
                outputs = called_with(self._model, tensors, lambda model: objective.outputs(model, batch))
            if not isinstance(outputs, Tensor):
                raise Unsupported("the model returns more than one tensor")
            return (outputs, objective.loss_of(outputs, targets)) if loss else (outputs,)

        return forward
