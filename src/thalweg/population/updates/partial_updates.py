"""Updates of one member whose parameters have gradients at some steps only; like torch, they skip those without."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.population.updates.hyperparameters import Groups
from thalweg.population.updates.maskable import Maskable
from thalweg.population.updates.members import Member
from thalweg.population.updates.parts import Mask
from thalweg.population.updates.snapshot import Snapshot, joined
from thalweg.population.updates.updates import NO_GROUPS, PopulationUpdates


class PartialUpdates:
    """Updates the parameters `[1, …]` that a step's gradients name: the others keep value, state and step count.

    While every step has gradients of the same parameters, they share one step count, as in `PopulationUpdates`; from
    the first step that differs, each has its own.
    """

    def __init__(self, member: Member, parameters: Mapping[str, Tensor], groups: Groups = NO_GROUPS) -> None:
        self._member, self._parameters, self._groups = member, dict(parameters), groups
        self._updates: PopulationUpdates | None = None
        self._names: list[str] = []
        self._counts: Any = None  # int64 [parameters, 1], once each has its own
        self._planned = (1, 1)

    @property
    def averages(self) -> bool:
        """Whether members are evaluated by averages of their parameters."""
        return self._updates is not None and any(group.structure.averages for group in self._updates.groups)

    def plan(self, first: int, steps: int) -> None:
        """Plans steps `first`, …, `first + steps - 1`."""
        self._planned = (first, steps)
        if self._updates is not None:
            self._updates.plan(first, steps)

    def step(self, t: int, gradients: Mapping[str, Tensor], active: Mask) -> None:
        """Takes step `t` of the member, with gradients `[1, …]`."""
        if not gradients:
            return
        if self._updates is None:
            self._begin([name for name in self._parameters if name in gradients])
        if self._counts is None and gradients.keys() != set(self._names):
            self._separate(t - 1)
        assert self._updates is not None
        if self._counts is None:
            self._updates.step(t, gradients, active)
        else:
            self._step_each(t, gradients, active)

    def weights(self) -> dict[str, Tensor]:
        """Weights to evaluate the member by, of the parameters that ever had a gradient."""
        return {} if self._updates is None else self._updates.weights()

    def maskable(self) -> dict[str, Maskable]:
        """The masked parameters, by name; all of the model, where it took no step yet."""
        if self._updates is None:
            self._begin([*self._parameters])
        assert self._updates is not None
        return self._updates.maskable(0)

    def state(self) -> Snapshot:
        """The state of the updates, the names of its parameters, and their step counts."""
        counts = None if self._counts is None else self._counts.tolist()
        inner = Snapshot() if self._updates is None else self._updates.state()
        return joined({"updates": inner}, names=self._names, counts=counts)

    def restore(self, state: Snapshot) -> None:
        """Continues from a `state` of the same member."""
        if not state.facts["names"]:
            return
        counts = state.facts["counts"]
        self._begin(state.facts["names"], each=counts is not None)
        assert self._updates is not None
        self._counts = None if counts is None else np.array(counts, np.int64)
        self._updates.restore(state.part("updates"))

    def _begin(self, names: list[str], *, each: bool = False) -> None:
        self._names = names
        parameters = {name: self._parameters[name] for name in names}
        self._updates = PopulationUpdates([self._member], parameters, self._groups, each=each)
        self._updates.plan(*self._planned)

    def _separate(self, steps: int) -> None:
        """Switches to a step count per parameter: `steps` for those stepped so far, 0 for the others."""
        before, stepped = self._updates, set(self._names)
        assert before is not None
        self._begin(list(self._parameters), each=True)
        assert self._updates is not None
        self._counts = np.array([[steps * (name in stepped)] for name in self._names], np.int64)
        for new in self._updates.groups:
            for old in (group for group in before.groups if group.structure == new.structure):
                new.take(old)

    def _step_each(self, t: int, gradients: Mapping[str, Tensor], active: Mask) -> None:
        present = np.array([[name in gradients] for name in self._names])
        self._counts += present
        whole = {n: gradients[n] if n in gradients else torch.zeros_like(self._parameters[n]) for n in self._names}
        assert self._updates is not None
        self._updates.step(np.maximum(self._counts, 1), whole, present & active, t)
