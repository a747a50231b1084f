"""Model rules of members that train together: all have one rule, each its own strength."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg.population.updates.hyperparameters import Hyperparameters
from thalweg.population.updates.members import Member
from thalweg.rules.model_contract import ModelRule

Evaluate = Callable[[Mapping[str, Tensor]], tuple[Tensor, Mapping[str, Tensor]]]


def model_rule_of(members: Sequence[Member]) -> ModelRule | None:
    """The model rule of members, all of which have the same; `None` if they have none."""
    (found,) = {member.structure.model_rule for member in members}
    return found


class ModelRules:
    """The strengths of one model rule, one for each member; negative where it maximizes: the worst is then below."""

    def __init__(self, rule: ModelRule, members: Sequence[Member]) -> None:
        self._rule, self._strengths = rule, Hyperparameters([rule.name], members, (), {})
        self._first, self._during = 1, dict[str, NDArray[np.float64]]()
        self._signs = np.array([-1.0 if member.structure.has("maximize") else 1.0 for member in members])

    def plan(self, first: int, steps: int) -> None:
        """Prepares steps `first`, …, `first + steps - 1`."""
        self._first, self._during = first, self._strengths.during(first, steps)

    def evaluated(self, step: int, evaluate: Evaluate, parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The gradients to step by. evaluate: loss `[members]` and gradients at other parameters `[members, …]`."""
        device = next(iter(parameters.values())).device
        strength = torch.from_numpy(self._at(step)).to(device)
        return self._rule(evaluate, parameters, strength)[1]

    def _at(self, step: int) -> NDArray[np.float64]:
        name = self._rule.name
        found = self._during[name][step - self._first] if self._during else self._strengths.fixed[name]
        return self._signs * found

    def keep(self, index: NDArray[np.int64]) -> None:
        """Keeps only the members at `index`."""
        self._strengths, self._signs = self._strengths.keep(index), self._signs[index]
        self._during = {name: x[..., index] for name, x in self._during.items()}
