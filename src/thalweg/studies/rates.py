"""Learning rate grids: coarse, extended beyond an edge, and fine around the best; in numbers that people type."""

import math
from collections.abc import Sequence

from thalweg.studies.protocol import EXTENSION, FINE_PER_DECADE, PER_DECADE

PREFERRED = (1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Mantissas of rates, about ten per decade: what is measured is what is printed, and pasted."""


def grid(low: float, high: float, per_decade: int = PER_DECADE) -> tuple[float, ...]:
    """Log-spaced learning rates from low to high."""
    count = max(2, round(math.log10(high / low) * per_decade) + 1)
    return _preferred([low * (high / low) ** (i / (count - 1)) for i in range(count)])


def covering(low: float, high: float, per_decade: int = PER_DECADE) -> tuple[float, ...]:
    """The fewest rates of that spacing, centred, that reach from low to high, and one more on each side."""
    gaps = max(0, math.ceil(math.log10(high / low) * per_decade - 1e-9)) + 2
    middle = math.sqrt(low) * math.sqrt(high)
    return _preferred([middle * 10 ** ((i - gaps / 2) / per_decade) for i in range(gaps + 1)])


def beyond(tried: tuple[float, ...], *, above: bool) -> tuple[float, ...]:
    """The next rates beyond one end of at least two ascending rates, continuing the spacing at that end."""
    end, inner = (tried[-1], tried[-2]) if above else (tried[0], tried[1])
    decades = math.log10(end / inner)
    gap = round(decades, 1) or decades  # 1, 3, 10: half a decade each
    return _preferred([end * 10 ** (gap * k) for k in range(1, EXTENSION + 1)], beside=(end,))


def around(best: float, below: float, above: float) -> tuple[float, ...]:
    """The finer rates between the neighbours of the best, excluding the best."""
    factor = 10 ** (1 / FINE_PER_DECADE)
    down = math.floor(math.log(best / below, factor) - 1e-9)
    up = math.floor(math.log(above / best, factor) - 1e-9)
    found = _preferred([best * factor**k for k in range(-down, up + 1) if k], beside=(best,))
    return tuple(rate for rate in found if rate not in (below, above))


def _preferred(rates: Sequence[float], beside: tuple[float, ...] = ()) -> tuple[float, ...]:
    """The rates at the nearest preferred mantissas; at three digits where two would be one.

    beside: further rates that none may become.
    """
    found = tuple(map(_nearest, rates))
    if len({*found, *beside}) == len(found) + len(beside):
        return found
    return tuple(float(f"{rate:.3g}") for rate in rates)


def _nearest(rate: float) -> float:
    exponent = math.floor(math.log10(rate))
    mantissa = min(PREFERRED, key=lambda of: abs(math.log(rate / 10.0**exponent / of)))
    return float(f"{mantissa:g}e{exponent}")
