"""Updates of a population on a GPU by device values, so that a CUDA graph can capture and replay them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution.driver import carry_out
from thalweg.execution.lowering.device_table import DeviceRows
from thalweg.population.updates.group import Group
from thalweg.population.updates.member_rows import CompiledMembers
from thalweg.population.updates.parts import Gradient, addresses
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.recipes.stages import Stage


class OnDeviceUpdates:
    """`PopulationUpdates` driven by device values; at most `most` steps per `begin`."""

    def __init__(self, updates: PopulationUpdates, most: int, device: torch.device) -> None:
        self._updates = updates
        self._groups = [_Group(group, most, device) for group in updates.groups]

    def begin(self, first: int, steps: int) -> None:
        """Sends the row values of steps `first`, …, `first + steps - 1`, and the row states, to the device."""
        for group in self._groups:
            group.begin(first, steps)

    def step(self, place: Tensor, t: Tensor, gradients: Mapping[str, Gradient], active: Tensor) -> None:
        """Takes step `t`, float64 `[1]`. place: steps since `begin`, int64 `[1]`. active: int64 `[members]`."""
        aligned, bases = self._updates.aligned(gradients)
        for group in self._groups:
            group.step(place, t, aligned, bases, active)

    def send(self) -> None:
        """Sends data pointers, those of the last gradients too, from the CPU to the device, for a captured step."""
        for group in self._groups:
            group.send()

    def settle(self) -> None:
        """Copies the row states that the steps have changed back to the CPU."""
        for group in self._groups:
            group.settle()

    def own(self, gradients: Mapping[str, Gradient]) -> list[Any]:
        """Builds new passes for the next steps, of gradients like these; a captured graph must keep the result."""
        aligned, _ = self._updates.aligned(gradients)
        return [group.own(aligned) for group in self._groups]


class _Group(DeviceRows):
    """The members of one step variant as `driver.Rows` whose row values are on the device."""

    def __init__(self, group: Group, most: int, device: torch.device) -> None:
        super().__init__(group.place.stop - group.place.start)
        self._group = group
        self._values = {name: torch.from_numpy(v).to(device) for name, v in group.values.items()}
        one = group.planned(1, 1)
        shape = None if one is None else (most, *one.shape[1:])
        self._columns = None if shape is None else torch.zeros(shape, dtype=torch.float64, device=device)
        during = group.hyperparameters.during(1, 1) if self._columns is None else {}
        self._during = {name: torch.zeros((most, *x.shape[1:]), device=device).double() for name, x in during.items()}

    @property
    def _rows(self) -> CompiledMembers:
        assert isinstance(self._group.rows, CompiledMembers)
        return self._group.rows

    def begin(self, first: int, steps: int) -> None:
        for name in self._group.program.row_states:
            self._values[name].copy_(torch.from_numpy(self._group.values[name]))
        if self._columns is not None:
            self._columns[:steps].copy_(torch.from_numpy(self._group.planned(first, steps)))
        during = self._group.hyperparameters.during(first, steps) if self._during else {}
        for name, array in during.items():
            self._during[name][:steps].copy_(torch.from_numpy(array))

    def step(
        self,
        place: Tensor,
        t: Tensor,
        gradients: Mapping[str, Gradient],
        bases: NDArray[np.int64],
        active: Tensor,
    ) -> None:
        group, self._place, self._active = self._group, place, active[self._group.place]
        for name, values in self._during.items():
            self._values[name].copy_(values.index_select(0, place)[0])
        if group.structure.transforms:
            gradients = group.transformed(gradients, self._values)
            bases = addresses([g for g in gradients.values() if isinstance(g, Tensor)])
        self._rows.set_inputs(gradients, bases, None)
        after = carry_out(group.program, self, {**self._values, "t": t})
        now = {name: value.clone() for name, value in after.items()}  # a new value may alias another's old one
        for name, value in now.items():
            self._values[name].copy_(value)

    def table(self, stage: Stage, values: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        if self._columns is None:
            return super().table(stage, values)
        return self._columns.index_select(0, self._place)[0], {}

    def reduce(self, stage: Stage, columns: Tensor) -> dict[str, Tensor]:
        return self._rows.launch(stage, columns, self._active)

    def update(self, stage: Stage, columns: Tensor) -> None:
        self._rows.launch(stage, columns, self._active)

    def call(self, stage: Stage, columns: Tensor) -> None:
        self._rows.call(stage, columns, self._active.bool())

    def constrain(self, values: Mapping[str, Any]) -> None:
        self._rows.constrain(values, self._active.bool())

    def unrounded(self) -> AbstractContextManager[None]:
        return self._rows.unrounded()

    def send(self) -> None:
        self._rows.send()

    def settle(self) -> None:
        for name in self._group.program.row_states:
            self._group.values[name] = self._values[name].cpu().numpy()

    def own(self, gradients: Mapping[str, Gradient]) -> Any:
        self._group.make_ready()
        self._rows.ready(gradients)
        return self._rows
