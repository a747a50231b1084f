"""Learning rate grids: coarse, extended beyond an edge, and fine around the best."""

import math

from thalweg.studies.protocol import EXTENSION, FINE_PER_DECADE, PER_DECADE


def grid(low: float, high: float, per_decade: int = PER_DECADE) -> tuple[float, ...]:
    """Log-spaced learning rates from low to high, rounded to three digits."""
    count = max(2, round(math.log10(high / low) * per_decade) + 1)
    return tuple(_rounded(low * (high / low) ** (i / (count - 1))) for i in range(count))


def covering(low: float, high: float, per_decade: int = PER_DECADE) -> tuple[float, ...]:
    """The fewest rates of that spacing, centred, that reach from low to high, and one more on each side."""
    gaps = max(0, math.ceil(math.log10(high / low) * per_decade - 1e-9)) + 2
    middle = math.sqrt(low) * math.sqrt(high)
    return tuple(_rounded(middle * 10 ** ((i - gaps / 2) / per_decade)) for i in range(gaps + 1))


def beyond(tried: tuple[float, ...], *, above: bool) -> tuple[float, ...]:
    """The next rates beyond one end of at least two ascending rates, continuing the spacing at that end."""
    end, inner = (tried[-1], tried[-2]) if above else (tried[0], tried[1])
    return tuple(_rounded(end * (end / inner) ** k) for k in range(1, EXTENSION + 1))


def around(best: float, below: float, above: float) -> tuple[float, ...]:
    """The finer rates between the neighbours of the best, excluding the best."""
    factor = 10 ** (1 / FINE_PER_DECADE)
    down = math.floor(math.log(best / below, factor) - 1e-9)
    up = math.floor(math.log(above / best, factor) - 1e-9)
    return tuple(_rounded(best * factor**k) for k in range(-down, up + 1) if k)


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
