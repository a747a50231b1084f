"""Updates of a population on a GPU by device values, so that a CUDA graph can capture and replay them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.execution.gpu import rows
from thalweg.population.updates.parts import Gradient, addresses
from thalweg.population.updates.updates import Group, PopulationUpdates


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
        laid, bases = self._updates.laid(gradients)
        for group in self._groups:
            group.step(place, t, laid, bases, active)

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
        laid, _ = self._updates.laid(gradients)
        return [group.own(laid) for group in self._groups]


class _Group:
    def __init__(self, group: Group, most: int, device: torch.device) -> None:
        self._group, self._members = group, group.place.stop - group.place.start
        self._values = {name: torch.from_numpy(v).to(device) for name, v in group.values.items()}
        one = group.planned(1, 1)
        shape = None if one is None else (most, *one.shape[1:])
        self._columns = None if shape is None else torch.zeros(shape, dtype=torch.float64, device=device)

    def begin(self, first: int, steps: int) -> None:
        for name in self._group.program.row_states:
            self._values[name].copy_(torch.from_numpy(self._group.values[name]))
        if self._columns is not None:
            self._columns[:steps].copy_(torch.from_numpy(self._group.planned(first, steps)))

    def step(
        self,
        place: Tensor,
        t: Tensor,
        gradients: Mapping[str, Gradient],
        bases: NDArray[np.int64],
        active: Tensor,
    ) -> None:
        group, measured, active = self._group, {}, active[self._group.place]
        if group.wholes is not None:
            own = {name: g[group.place] for name, g in gradients.items() if isinstance(g, Tensor)}
            own = group.wholes.gradients(own, self._values)
            measured = group.wholes.measured_there(own, self._values, t, active)
            gradients, bases = own, addresses(list(own.values()))
        if self._columns is not None:
            columns = self._columns.index_select(0, place)[0]
        else:
            columns, after = rows.table(group.program, {**self._values, **measured}, t, self._members)
            now = {name: value.clone() for name, value in after.items()}  # a new value may alias another's old one
            for name, value in now.items():
                self._values[name].copy_(value)
        group.executor.follow(gradients, bases, columns, active)

    def send(self) -> None:
        self._group.executor.send()
        if self._group.wholes is not None:
            self._group.wholes.send()

    def settle(self) -> None:
        for name in self._group.program.row_states:
            self._group.values[name] = self._values[name].cpu().numpy()

    def own(self, gradients: Mapping[str, Gradient]) -> Any:
        group = self._group
        group.make_ready()
        group.executor.ready(gradients)
        if group.wholes is not None:
            group.wholes.ready(gradients)
        return group.executor, group.wholes
