"""The comparison protocol and its version: results of different versions are not comparable."""

from dataclasses import dataclass

from thalweg.options import comparison as options

PROTOCOL = 6

TEXTBOOK = tuple(options.TEXTBOOK.split(", "))
"""The optimizers compared by default: those taught in courses and textbooks."""

PER_DECADE = 2  # learning rates per factor of ten in the coarse grid
FINE_PER_DECADE = 5  # learning rates per factor of ten around the best
EXTENSION = 2  # rates added per extension beyond an edge that is best
EXTENSIONS = 4  # configurations that the cap reserves for extensions
CONFIRMATION_OFFSET = 1000  # first confirmation seed minus first tuning seed
MOST_SEEDS = 20  # maximum confirmation seeds where a budget has time to spare
ERROR_RATE = 0.05  # probability of separating identical contenders
LOOK = 5  # confirmation seeds between interim checks of whether the ranking is settled


@dataclass(frozen=True)
class Cap:
    """Tuning budget of one contender, the same for all. seconds: `None` without a time budget.

    evaluations: of a batch, forward and backward: a step takes one, or more where a rule evaluates the model again.
    """

    runs: int
    evaluations: int
    seconds: float | None = None


def tuning_seeds(base: int, count: int) -> tuple[int, ...]:
    return tuple(range(base, base + count))


def confirmation_seeds(base: int, count: int) -> tuple[int, ...]:
    """Fresh seeds, none of which was used in tuning."""
    return tuple(range(base + CONFIRMATION_OFFSET, base + CONFIRMATION_OFFSET + count))


def most_confirmed(planned: int, *, limited: bool) -> int:
    """Maximum number of confirmation seeds: those planned, or more where a budget (`limited`) has time to spare."""
    return max(planned, MOST_SEEDS) if limited and planned else planned
