"""The parameters of a member whose steps are masked, for who sets their masks between two steps."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor

from thalweg.population.updates.group import Group
from thalweg.recipes.options import MASK


class Maskable(NamedTuple):
    """One member's parameter of a step that is masked, its mask, and its other states that hold weights: views."""

    parameter: Tensor
    mask: Tensor
    weights: Sequence[Tensor]

    def set(self, kept: Tensor) -> None:
        """Sets the mask, and what it hides to zero. kept: bool, in the parameter's shape."""
        self.mask.copy_(kept)
        for tensor in (self.parameter, *self.weights):
            tensor.masked_fill_(~kept, 0)


def maskable(groups: Iterable[Group], member: int) -> dict[str, Maskable]:
    """The masked parameters of a member of all, by name. They are written in place."""
    return {name: held for group in groups for name, held in _of_group(group, member).items()}


def _of_group(group: Group, member: int) -> dict[str, Maskable]:
    if not group.structure.has("masked") or not group.place.start <= member < group.place.stop:
        return {}
    m, masks = member - group.place.start, group.states[MASK.name]
    weights = [group.states[s.name] for s in group.structure.states if s.holds_weights and s.name in group.states]
    return {n: Maskable(p[m], masks[n][m], [of[n][m] for of in weights]) for n, p in group.parameters.items()}
