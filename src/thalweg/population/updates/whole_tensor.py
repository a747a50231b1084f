"""Whole-tensor transforms and measurements of gradients `[m, …]`, per member, before the elementwise pass."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.execution.gpu import rows
from thalweg.execution.reductions import chosen, norm_of
from thalweg.population.program.models import like
from thalweg.population.updates.clipping import norms
from thalweg.population.updates.executors import executor
from thalweg.population.updates.parts import Mask, Scratch, Stacks, addresses
from thalweg.recipes.compose import StepVariant, transform_gradients
from thalweg.recipes.options import AGREEMENT, OF_GRADIENTS, TRANSFORMS
from thalweg.recipes.row_table import Array, table
from thalweg.recipes.trace import trace_agreement


class WholeTensorUpdates:
    """Transforms and measurements for the members of one step variant, with their parameters and states."""

    def __init__(
        self,
        structure: StepVariant,
        parameters: Stacks,
        states: Mapping[str, Stacks],
        scratch: Scratch,
        *,
        each: bool = False,
    ) -> None:
        self._structure, self._parameters = structure, parameters
        self._measured = OF_GRADIENTS.intersection(structure.measured)
        self._cautious = AGREEMENT in structure.measured
        self._sizes = [max(1, p[0].numel()) for p in parameters.values()]
        if self._cautious:
            self._program = trace_agreement(structure)
            place = slice(0, len(next(iter(parameters.values()))))
            self._agree = executor(self._program, place, parameters, states, scratch, each=each)

    def gradients(self, gradients: Stacks, values: Mapping[str, Array | Tensor]) -> dict[str, Tensor]:
        """The members' gradients after the step variant's transforms, if any, in the parameters' memory layout."""
        if not self._structure.transforms:
            return dict(gradients)
        made = {}
        for name, p in self._parameters.items():
            by_row = (-1, *[1] * (p.ndim - 1))
            limits = {n: torch.as_tensor(values[n]).to(p).view(by_row) for n in TRANSFORMS if n in values}
            g = transform_gradients(self._structure, gradients[name], p, limits)
            made[name] = g if g.stride() == p.stride() else like(p, g)
        return made

    def measured(self, gradients: Stacks, values: Mapping[str, Any], active: Mask) -> dict[str, Array]:
        """Measured row values by name, `[parameters, m]` or `[m]`. `values`: the other inputs of the row values."""
        found: dict[str, Array] = {}
        if self._measured:
            each = norms(gradients).double().cpu().numpy()
            found = chosen(self._measured, each, norm_of(each))
        if self._cautious:
            columns = self._agree.cast(table(self._program, {**values, **found})[0])
            counts = self._agree(gradients, addresses(list(gradients.values())), columns, active)
            found[AGREEMENT] = counts / np.array(self._sizes)[:, None]
        return found

    def ready(self, gradients: Mapping[str, Any]) -> None:
        """Prepares the passes for steps with gradients like these."""
        if self._cautious:
            self._agree.ready(gradients)

    def send(self) -> None:
        """Sends the members' data pointers from the CPU to the device."""
        if self._cautious:
            self._agree.send()

    def measured_there(
        self, gradients: Stacks, values: Mapping[str, Tensor], t: Tensor, active: Tensor
    ) -> dict[str, Tensor]:
        """Capturable `measured` on a GPU: all values are device tensors."""
        found: dict[str, Tensor] = {}
        if self._measured:
            each = norms(gradients).double()
            found = chosen(self._measured, each, torch.linalg.vector_norm(each, dim=0))
        if self._cautious:
            columns = rows.table(self._program, {**values, **found}, t, len(active))[0]
            counts = self._agree.follow(gradients, addresses(list(gradients.values())), columns, active)
            found[AGREEMENT] = torch.stack([n.double() / size for n, size in zip(counts, self._sizes, strict=True)])
        return found
