"""The rules of a comparison, versioned: where the number differs, results are not comparable."""

from dataclasses import dataclass

PROTOCOL = 3

TEXTBOOK = (
    "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "adamax", "nadam", "adabound",
)  # fmt: skip
"""The optimizers compared where none are named: those that courses and textbooks teach."""

PER_DECADE = 2  # learning rates tried per factor of ten, at first
FINE_PER_DECADE = 5  # and then around the best
EXTENSION = 2  # rates tried at a time beyond an edge that is best
EXTENSIONS = 4  # configurations that the cap leaves for that
CONFIRMATION_OFFSET = 1000  # confirmation seeds begin this far behind the tuning seeds
MOST_SEEDS = 20  # confirmation seeds that a budget with time to spare is spent on
ERROR_RATE = 0.05  # with which contenders that are alike are told apart
LOOK = 5  # confirmation seeds between looks at whether the ranking is settled


@dataclass(frozen=True)
class Cap:
    """What tuning one contender may take, the same for all. `seconds` is `None` without a budget of time."""

    runs: int
    steps: int
    seconds: float | None = None


def tuning_seeds(base: int, count: int) -> tuple[int, ...]:
    return tuple(range(base, base + count))


def confirmation_seeds(base: int, count: int) -> tuple[int, ...]:
    """Fresh seeds: none of them was used in tuning."""
    return tuple(range(base + CONFIRMATION_OFFSET, base + CONFIRMATION_OFFSET + count))
