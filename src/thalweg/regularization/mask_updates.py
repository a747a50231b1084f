"""How a run is pruned: which weights, by what, and when. One declaration for a user's own loop and for populations."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.regularization import pruning
from thalweg.regularization.pruning import Tensors
from thalweg.regularization.sparsity import SparsitySchedule


@dataclass(frozen=True)
class Pruning:
    """Masks that follow a schedule.

    schedule: how many weights are zero after which step. method: `"magnitude"`, or `"random"` by `seed`.
    scope: see `pruning.masks_of`. exclude: names of parameters, or patterns of names, that are never pruned.
    given: masks by name, which hold from the start in place of those; parameters that it does not name stay whole.
    """

    schedule: SparsitySchedule
    method: str = pruning.METHODS[0]
    scope: str = pruning.SCOPES[0]
    exclude: tuple[str, ...] = ()
    seed: int = 0
    given: Tensors | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.method not in pruning.METHODS:
            raise InputError(f"method must be one of {', '.join(pruning.METHODS)}, got {shown(self.method)}.")
        object.__setattr__(self, "exclude", patterns(self.exclude))

    @property
    def described(self) -> str:
        """What it depends on, as text: with given masks, their digest too."""
        if self.given is None:
            return repr(self)
        digest = hashlib.blake2b(digest_size=8)
        for name, mask in self.given.items():
            digest.update(name.encode() + (mask != 0).cpu().numpy().tobytes())
        return f"{self!r} {digest.hexdigest()}"

    def names(self, tensors: Tensors) -> list[str]:
        """The parameters that are pruned, of these. Raises `InputError` where none is, or the scope does not fit."""
        if self.given is not None:
            return [name for name in tensors if name in self.given]
        names = pruning.prunable(tensors, self.exclude)
        pruning.require_scope(self.scope, self.schedule.final, {name: tensors[name] for name in names})
        return names

    def updates(self, step: int) -> bool:
        """Whether masks are set after this step."""
        return step == 0 if self.given is not None else self.schedule.updates(step)

    def masks(self, step: int, tensors: Tensors, masks: Tensors) -> dict[str, Any]:
        """The new masks, bool, of the tensors that are pruned, after a step that `updates`. masks: those before."""
        if self.given is not None:
            return {name: self.given[name] != 0 for name in tensors}
        if self.method == "random":
            scores = pruning.random_scores(tensors, self.seed, masks)
        else:
            scores = pruning.magnitudes(tensors, masks)
        return pruning.masks_of(scores, self.schedule.at(step), self.scope)


def patterns(given: Any) -> tuple[str, ...]:
    """The patterns of a list, or of a text with commas between them. Raises `InputError` for anything else."""
    parts = given.split(",") if isinstance(given, str) else given
    if isinstance(parts, Mapping) or not isinstance(parts, Iterable):
        raise InputError(f"exclude must be a list of names or patterns, got {shown(given)}.")
    out = tuple(part.strip() if isinstance(part, str) else part for part in parts)
    if not all(isinstance(part, str) and part for part in out):
        raise InputError(f"exclude must be a list of names or patterns, got {shown(given)}.")
    return out
