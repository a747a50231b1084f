"""Early stopping: a run ends once its validation metric has not improved for a while, with its best weights."""

from dataclasses import dataclass
from typing import NamedTuple

from thalweg.errors import InputError, shown
from thalweg.options.declared import STOPPING


class Patience(NamedTuple):
    """A run so far. best: metric of the last improvement, negated if lower is better. waited: measurements since."""

    best: float | None = None
    waited: int = 0


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a run after `patience` measurements without improvement, and gives back the weights of its best one.

    A measurement improves if it is better than the last one that did by more than `least_improvement`, in units of the
    metric; one that is not finite does not. With a patience of 1, the first that does not improve ends the run.

    Args:
        patience: measurements, at least 1.
        least_improvement: at least 0.

    Raises:
        InputError: a value is out of range.
    """

    patience: int
    least_improvement: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in STOPPING.kinds.items():
            read = kind.read(getattr(self, name))
            if read is None:
                raise InputError(f"{name} must be {kind.accepted}, got {shown(getattr(self, name))}.")
            object.__setattr__(self, name, read)

    def after(self, so_far: Patience, metric: float | None, *, higher_is_better: bool) -> Patience:
        """The patience after another measurement; `None` for a metric that is not finite."""
        signed = metric if metric is None or higher_is_better else -metric
        if signed is not None and (so_far.best is None or signed > so_far.best + self.least_improvement):
            return Patience(signed)
        return Patience(so_far.best, so_far.waited + 1)

    def ends(self, so_far: Patience) -> bool:
        """Whether the run ends."""
        return so_far.waited >= self.patience
