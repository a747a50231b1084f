"""The design of a study of sparse models: dense ones, and those that are sparse in training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.recipes.imported import Imported
from thalweg.recipes.options import OPTIONS
from thalweg.records.sparsity import DENSE
from thalweg.regularization.mask_updates import Pruning
from thalweg.regularization.pruning import HALF, Tensors
from thalweg.regularization.sparsity import SparsitySchedule
from thalweg.studies.contenders import Contender

L1 = "proximal_l1"
"""The option of a step whose proximal step makes exact zeros."""

SCHEDULED = {"prune": "magnitude", "random": "random"}
"""Methods that prune while training → by what."""

BEGIN, END, UPDATES = 0.25, 0.75, 50
"""Of a run's steps, the shares after which pruning begins and ends, and about how many updates lie between."""


@dataclass(frozen=True)
class SparseArm:
    """A method at a sparsity, or a penalty at a strength whose sparsity is cut afterwards."""

    method: str
    sparsity: float = 0.0
    strength: float | None = None

    @property
    def label(self) -> str:
        """Its name among the study's contenders: `"prune 80%"`, `"l1 at 0.01"`."""
        if self.method == DENSE:
            return DENSE
        at = f"{self.sparsity * 100:.12g}%" if self.strength is None else f"at {self.strength!r}"
        return f"{self.method} {at}"


DENSE_ARM = SparseArm(DENSE)


@dataclass(frozen=True)
class SparseDesign:
    """What a study of sparse models trains. strengths: of L1. begin, end, frequency: of the schedule, in steps."""

    methods: tuple[str, ...]
    sparsities: tuple[float, ...]
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]
    scope: str
    exclude: tuple[str, ...]
    schedule: str
    begin: int
    end: int
    frequency: int

    @property
    def trained(self) -> list[SparseArm]:
        """The arms that train first; `threshold` and the cut of L1 follow from the weights at the end."""
        arms = [DENSE_ARM]
        for method in self.methods:
            if method in SCHEDULED:
                arms += [SparseArm(method, sparsity) for sparsity in self.sparsities]
            elif method == "l1":
                arms += [SparseArm(method, strength=strength) for strength in self.strengths]
        return arms

    @property
    def tickets(self) -> list[SparseArm]:
        """The arms that train with masks of the dense models."""
        return [SparseArm("ticket", s) for s in self.sparsities] if "ticket" in self.methods else []

    def contenders(self, of: Contender) -> list[Contender]:
        """An optimizer as the contender of every arm, in their order; those with masks hold them in each step."""
        return [_contender(of, arm) for arm in (*self.trained, *self.tickets)]

    def when(self, sparsity: float) -> SparsitySchedule:
        """How a sparsity is reached. Raises `InputError` where the steps cannot be."""
        return SparsitySchedule(sparsity, self.begin, self.end, self.frequency, self.schedule)

    def pruning(self, arm: SparseArm, seed: int, masks: Tensors | None = None) -> Pruning | None:
        """What sets weights of an arm to zero in training. masks: of a ticket."""
        if masks is not None:
            once = SparsitySchedule(arm.sparsity, kind="constant")
            return Pruning(once, scope=self.scope, exclude=self.exclude, given=masks)
        if arm.method not in SCHEDULED:
            return None
        return Pruning(self.when(arm.sparsity), SCHEDULED[arm.method], self.scope, self.exclude, seed)


def _contender(of: Contender, arm: SparseArm) -> Contender:
    if arm.method in (*SCHEDULED, "ticket"):
        return replace(of, fixed={**of.fixed, "masked": True}, title=arm.label)
    if arm.strength is None:
        return replace(of, title=arm.label)
    own = "" if of.regularizer is None else f"{of.regularizer}+"
    return replace(of, regularizer=f"{own}{L1}={arm.strength!r}", title=arm.label)


def require_prunable(contender: Contender, methods: Sequence[str], exclude: Sequence[str] | None = None) -> None:
    """Raises `InputError` where the optimizer cannot hold a mask, or a method cannot do what is asked."""
    if isinstance(contender.recipe, Imported):
        raise InputError(
            f"{contender.label} is another library's, and sparsify holds masks in steps of our own: use it with"
            " thalweg.sparse.Pruner in a loop of yours, or give an optimizer of the catalogue."
        )
    if contender.early_stopping is not None:
        raise InputError(f"{contender.label} stops early, and sparse models train to the last step: leave that out.")
    given: dict[str, Any] = {**contender.fixed}
    masked = [method for method in methods if method in SCHEDULED or method == "ticket"]
    if masked:
        contender.recipe.resolve({**given, "masked": True}, contender.label)
    if "l1" in methods and exclude:
        raise InputError(
            "The penalty of 'l1' is of all weights, and exclude leaves some out: leave one of the two out."
        )
    if "l1" in methods and L1 not in OPTIONS:
        raise InputError(f"The method 'l1' needs the option {L1}, which this version has not: leave it out.")
    if "l1" in methods and given.get(L1):
        raise InputError(f"{contender.label} has {L1} of its own, and the method 'l1' sets it: leave one of them out.")
    if "l1" in methods:
        contender.recipe.resolve({**given, L1: 1.0}, contender.label)


def require_sparsities(scope: str, sparsities: Sequence[float]) -> None:
    """Raises `InputError` for sparsities that a scope cannot have."""
    other = [s for s in sparsities if s != HALF]
    if scope == "2:4" and other:
        raise InputError(f"The sparsity of scope='2:4' must be 0.5, got {shown(other[0])}.")


def steps_of(total: int, begin: int | None, end: int | None, frequency: int | None) -> tuple[int, int, int]:
    """(begin, end, frequency) of pruning in runs of so many steps. Raises `InputError` where it ends after training."""
    if begin is not None and begin >= total:
        raise InputError(f"begin must be below the {total:,} steps of a run, got {begin:,}.")
    begin = int(BEGIN * total) if begin is None else begin
    end = max(begin + 1, int(END * total)) if end is None else end
    if end > total:
        raise InputError(f"end must be at most the {total:,} steps of a run, got {end:,}.")
    return begin, end, max(1, (end - begin) // UPDATES) if frequency is None else frequency
