"""The rules of a comparison, versioned: where the number differs, results are not comparable."""

import math

PROTOCOL = 1

TEXTBOOK = (
    "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "adamax", "nadam", "adabound",
)  # fmt: skip
"""The optimizers compared where none are named: those that courses and textbooks teach."""

PER_DECADE = 2  # learning rates tried per factor of ten
CONFIRMATION_OFFSET = 1000  # confirmation seeds begin this far behind the tuning seeds


def grid(low: float, high: float) -> tuple[float, ...]:
    """Learning rates from low to high, evenly in log, to three digits."""
    count = round(math.log10(high / low) * PER_DECADE) + 1
    return tuple(float(f"{low * (high / low) ** (i / (count - 1)):.3g}") for i in range(count))


def tuning_seeds(base: int, count: int) -> tuple[int, ...]:
    return tuple(range(base, base + count))


def confirmation_seeds(base: int, count: int) -> tuple[int, ...]:
    """Fresh seeds: none of them was used in tuning."""
    return tuple(range(base + CONFIRMATION_OFFSET, base + CONFIRMATION_OFFSET + count))
