"""Every schedule beside an oracle: its formula in plain Python, written from its definition, and its boundaries."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from thalweg import schedules as s
from thalweg.schedules import Schedule


class Case(NamedTuple):
    """oracle: the value at a whole step. boundaries: steps where the formula changes; the last is its end."""

    schedule: Schedule
    oracle: Callable[[int], float]
    boundaries: tuple[int, ...]


def warmed(steps: int, peak: float, after: Callable[[int], float]) -> Callable[[int], float]:
    return lambda t: peak * (t + 1) / steps if t < steps else after(t - steps)


def cosine(peak: float, end: float, steps: int) -> Callable[[int], float]:
    return lambda t: end if t >= steps else end + (peak - end) * math.cos(math.pi * t / steps / 2) ** 2


def line(peak: float, end: float, steps: int, power: float = 1.0) -> Callable[[int], float]:
    return lambda t: end if t >= steps else end + (peak - end) * (1 - t / steps) ** power


def restarts(t: int, first: int, growth: int, decay: float) -> float:
    """Of peak 1 to 0, endless: one cycle after the other is gone through."""
    length, height = first, 1.0
    while t >= length:
        t, length, height = t - length, length * growth, height * decay
    return height * math.cos(math.pi * t / length / 2) ** 2


def triangle(t: int, up: int, down: int) -> float:
    t %= up + down
    return t / up if t <= up else 1 - (t - up) / down


def cycle(t: int, start: float, peak: float, end: float) -> float:
    """Cosines: up in 6 steps, down by step 20."""
    if t <= 6:
        return start + (peak - start) * math.sin(math.pi * t / 12) ** 2
    return end + (peak - end) * math.cos(math.pi * (min(t, 20) - 6) / 28) ** 2


def trapezoid(t: int) -> float:
    """Lines: .04 to 1 in 5 steps, back by step 11, to 1e-3 by step 20."""
    points = [(0, 0.04), (5, 1.0), (11, 0.04), (20, 1e-3)]
    for (a, low), (b, high) in pairwise(points):
        if t <= b:
            return low + (high - low) * (t - a) / (b - a)
    return points[-1][1]


def fall(shape: str, t: int) -> float:
    """Of WSD: from step 14 to step 20."""
    share = min(max(t - 14, 0) / 6, 1.0)
    return {"linear": 1 - share, "1-sqrt": 1 - share**0.5, "cosine": math.cos(math.pi * share / 2) ** 2}[shape]


def staircase(t: int) -> float:
    return 0.3 if t < 4 else 0.15 if t < 9 else 0.03


CASES = [
    Case(s.constant(0.3), lambda t: 0.3, (0,)),
    Case(s.constant(0.3, warmup=4), warmed(4, 0.3, lambda t: 0.3), (4,)),
    Case(s.constant(0.3, factor=0.5, steps=6), lambda t: 0.15 if t < 6 else 0.3, (6,)),
    Case(s.step(0.3, every=4), lambda t: 0.3 * 0.1 ** (t // 4), (4, 8)),
    Case(s.step(0.3, every=3, factor=0.5), lambda t: 0.3 * 0.5 ** (t // 3), (3, 6)),
    Case(s.piecewise(0.3, boundaries=[4, 9], factors=[0.5, 0.2]), staircase, (4, 9)),
    Case(s.piecewise(boundaries=[4, 9], values=[0.3, 0.15, 0.03]), staircase, (4, 9)),
    Case(s.piecewise(0.3, boundaries=[4, 9], values=[10, 5, 1]), staircase, (4, 9)),
    Case(s.piecewise(0.3, boundaries=[7]), lambda t: 0.3 if t < 7 else 0.03, (7,)),
    Case(s.exponential(0.3, steps=9), lambda t: 0.3 * 10 ** (-t / 9), (9,)),
    Case(s.exponential(0.3, steps=1, factor=0.9, end=0.01), lambda t: max(0.3 * 0.9**t, 0.01), (33,)),
    Case(s.exponential(0.3, steps=4, factor=0.5, staircase=True), lambda t: 0.3 * 0.5 ** (t // 4), (4, 8)),
    Case(s.exponential(0.3, steps=4, factor=0.5, begin=5), lambda t: 0.3 * 0.5 ** (max(t - 5, 0) / 4), (5,)),
    Case(s.inverse_time(0.3, steps=4), lambda t: 0.3 / (1 + t / 4), (4,)),
    Case(s.inverse_time(0.3, steps=4, decay=2, staircase=True), lambda t: 0.3 / (1 + 2 * (t // 4)), (4, 8)),
    Case(s.power(0.3, steps=4), lambda t: 0.3 * 4 / (4 + t), (4,)),
    Case(s.power(0.3, steps=4, exponent=2.5), lambda t: 0.3 / math.exp(2.5 * math.log1p(t / 4)), (4,)),
    Case(s.linear(0.3, steps=12), line(0.3, 0, 12), (12,)),
    Case(s.linear(0.3, steps=12, warmup=3, end="10%"), warmed(3, 0.3, line(0.3, 0.03, 9)), (3, 12)),
    Case(
        s.linear(0.3, steps=12, warmup=3, start=0.06),
        lambda t: 0.06 + 0.08 * t if t < 3 else line(0.3, 0, 9)(t - 3),
        (3, 12),
    ),
    Case(s.polynomial(0.3, steps=12, power=2.5, end=0.1), line(0.3, 0.1, 12, 2.5), (12,)),
    Case(s.polynomial(0.3, steps=12, warmup=5, power=0.5), warmed(5, 0.3, line(0.3, 0, 7, 0.5)), (5, 12)),
    Case(
        s.polynomial(0.3, steps=5, end=0.1, cycle=True),
        lambda t: 0.1 + 0.2 * (1 - t / (5 * max(math.ceil(t / 5), 1))),
        (5, 10),
    ),
    Case(s.cosine(0.3, steps=12), cosine(0.3, 0, 12), (12,)),
    Case(s.cosine(0.3, steps=12, warmup=5, end=0.1), warmed(5, 0.3, cosine(0.3, 0.1, 7)), (5, 12)),
    Case(
        s.cosine_restarts(0.3, period=3, growth=3, decay=0.5, end=0.1),
        lambda t: 0.1 + 0.2 * restarts(t, 3, 3, 0.5),
        (3, 12, 39),
    ),
    Case(
        s.cosine_restarts(0.3, steps=14, cycles=3, growth=2),
        lambda t: 0.3 * restarts(t, 2, 2, 1) if t < 14 else 0,
        (2, 6, 14),
    ),
    Case(
        s.cosine_restarts(0.3, steps=13, cycles=3, warmup=4),
        warmed(4, 0.3, lambda t: 0.3 * restarts(t, 3, 1, 1) if t < 9 else 0),
        (4, 7, 10, 13),
    ),
    Case(s.inverse_sqrt(0.3, warmup=5), lambda t: 0.3 * min((t + 1) / 5, (5 / (t + 1)) ** 0.5), (4, 5)),
    Case(
        s.inverse_sqrt(0.3, warmup=5, timescale=20),
        lambda t: 0.3 * (t + 1) / 5 if t < 5 else 0.3 * (20 / (t + 1 - 5 + 20)) ** 0.5,
        (4, 5),
    ),
    Case(s.inverse_sqrt(0.3, warmup=0), lambda t: 0.3 * (1e4 / (t + 1 + 1e4)) ** 0.5, (0,)),
    *(
        Case(
            s.wsd(0.3, steps=20, warmup=4, decay=6, shape=shape, end=0.1),
            lambda t, shape=shape: 0.075 * (t + 1) if t < 4 else 0.1 + 0.2 * fall(shape, t),
            (4, 14, 20),
        )
        for shape in ("linear", "cosine", "1-sqrt")
    ),
    Case(s.cyclic(0.3, low=0.1, up=4), lambda t: 0.1 + 0.2 * triangle(t, 4, 4), (4, 8)),
    Case(
        s.cyclic(0.3, low="0%", up=4, down=2, mode="triangular2"),
        lambda t: 0.3 * triangle(t, 4, 2) * 0.5 ** (t // 6),
        (4, 6),
    ),
    Case(
        s.cyclic(0.3, low=0.1, up=4, mode="exp_range", gamma=0.9),
        lambda t: 0.1 + 0.2 * 0.9**t * triangle(t, 4, 4),
        (4, 8),
    ),
    Case(s.one_cycle(0.3, steps=20), lambda t: cycle(t, 0.012, 0.3, 1.2e-6), (6, 20)),
    Case(
        s.one_cycle(1.0, steps=20, rise=5, fall=6, end=1e-3, shape="linear"), trapezoid, (5, 11, 20)
    ),
    Case(s.one_cycle_momentum(0.95, steps=20), lambda t: cycle(t, 0.95, 0.85, 0.95), (6, 20)),
    Case(s.warmup(s.cosine(0.3, steps=9), steps=4), warmed(4, 0.3, cosine(0.3, 0, 9)), (4, 13)),
    Case(
        s.warmup(s.step(0.3, every=3), steps=4, start="0%"),
        lambda t: 0.075 * t if t < 4 else 0.3 * 0.1 ** ((t - 4) // 3),
        (4, 7),
    ),
    Case(
        s.join(s.cosine(0.3, steps=5), s.constant(0.2, warmup=2), s.linear(0.1, steps=4), boundaries=[5, 9]),
        lambda t: cosine(0.3, 0, 5)(t) if t < 5 else [0.1, 0.2, 0.2, 0.2][t - 5] if t < 9 else line(0.1, 0, 4)(t - 9),
        (5, 9, 13),
    ),
    Case(
        s.chain(s.cosine(0.3, steps=12), s.step(every=5, factor=0.5), s.constant(2.0)),
        lambda t: 2 * cosine(0.3, 0, 12)(t) * 0.5 ** (t // 5),
        (5, 12),
    ),
    Case(s.scale(s.linear(0.6, steps=12), 0.5), line(0.3, 0, 12), (12,)),
]  # fmt: skip
