"""The regularization loss of members in training: what their penalties add to the loss of the data."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from thalweg.population.program.models import build
from thalweg.population.training.job import Job
from thalweg.population.updates.hyperparameters import Groups, groups_of, own_values, structures_of
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import ADDED, BY_CONVENTION, PROXIMAL
from thalweg.regularization import penalties
from thalweg.schedules import Schedule

NAME = "regularization"
"""Of the loss among a measurement's details."""


class RegularizationLosses:
    """l1·Σ|p| + l2/2·Σp² of each member that has penalties, whether they are gradients or proximal steps.

    Coupled weight decay counts as L2; decoupled decay is no penalty, nor is one of a rule's own formula.
    """

    def __init__(self, job: Job, members: Sequence[Member]) -> None:
        own = {m: member for m, member in enumerate(members) if isinstance(member.recipe, Recipe)}
        self._groups: Mapping[str, Mapping[str, Any]] = {}
        if own and (job.workload.parameters or any(_is_penalized(member, {}) for member in own.values())):
            model = build(job.workload, members[0].seed, job.device)
            self._groups = groups_of(job.workload, model, [member.recipe for member in own.values()])
        self._members = {m: member for m, member in own.items() if _is_penalized(member, self._groups)}
        self._trained = job.trained

    def __contains__(self, member: int) -> bool:
        return member in self._members

    def of(self, member: int, weights: Mapping[str, Tensor], step: int) -> float:
        """The loss of a member's weights after a step."""
        found, whose = 0.0, self._members[member]
        for name, p in weights.items():
            if name in self._trained:
                l1, l2 = self._strengths(whose, name, step)
                found += float((penalties.l1_loss(p, l1) + penalties.l2_loss(p, l2)).double().sum())
        return found

    def _strengths(self, member: Member, name: str, step: int) -> tuple[float, float]:
        recipe = member.recipe
        assert isinstance(recipe, Recipe)
        own = own_values(recipe, member.values, self._groups.get(name, {}), name)
        now = {key: _at(value, step) for key, value in {**member.values, **own}.items()}
        structure = recipe.structure(now)
        on = structure.penalized((*ADDED, *PROXIMAL))
        l1, l2 = (sum(now[key] for key in on if key.endswith(kind)) for kind in ("l1", "l2"))
        twice = now["l2"] if "l2" in on and now[BY_CONVENTION[0]] else 0.0
        coupled = structure.decays and not (now["decoupled_weight_decay"] or now["independent_weight_decay"])
        return l1, l2 + twice + (now["weight_decay"] if coupled else 0.0)


def _is_penalized(member: Member, groups: Groups) -> bool:
    """Whether any of its parameters may have a penalty that is a loss."""
    structure, values = structures_of(member, groups, [""])[0], member.values
    coupled = structure.decays and not (values["decoupled_weight_decay"] or values["independent_weight_decay"])
    return bool(coupled or structure.penalized((*ADDED, *PROXIMAL)))


def _at(value: Any, step: int) -> Any:
    return float(value(max(0, step - 1))) if isinstance(value, Schedule) else value
