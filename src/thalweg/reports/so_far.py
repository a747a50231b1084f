"""Provisional results in words: the leaders so far in lines that fit a width, and the time that is left."""

import itertools
import math
from collections.abc import Iterator, Sequence

from thalweg.analysis.formatting import number_of
from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.errors import counted
from thalweg.records.types import Leader, StudyRecord

SHORTEST = 6  # columns of a leader at least: "x 0.1, "
FEW = 2  # values that are shown one by one: an interval of two says nothing
OF = {"training": "provisional, in training", "tuning": "provisional", "confirmation": "provisional, fresh seeds"}
SPARKS = "▁▂▃▄▅▆▇█"
PLAIN = 3  # exponent of ten from which rates above 1 are written with it
NEAR = 0.052  # relative error at which one digit still names a rate: √10 is 3


def leaders_lines(record: StudyRecord, leaders: Sequence[Leader], width: int) -> list[str]:
    """`so far (provisional): adam 97.6% at 3e-3, momentum 97.4% at 1e-1, …` in at most `width` columns.

    As many leaders as fit, none cut; the first stands below, in lines of its own, where it does not fit beside.
    Empty without leaders.
    """
    from rich.cells import cell_len

    if not leaders:
        return []
    for count in range(min(len(leaders), width // SHORTEST + 1), 0, -1):
        begin, told = _told(record, leaders[:count])
        line = begin + ", ".join(told) + (", …" if count < len(leaders) else "")
        if cell_len(line) <= width:
            return [line]
    return [*_folded(begin.rstrip(), width), *_folded(told[0], width)]


def score(record: StudyRecord, leader: Leader) -> str:
    """Its metric: mean and margin of three seeds or more, else the values themselves."""
    if len(leader.values) > FEW:
        return number_of(record.metric, mean_interval(leader.values))
    return ", ".join(_value(record, value) for value in leader.values)


def short_rate(rate: float | None) -> str:
    """A learning rate as it is typed, to two digits: `1.3e-2`, and `3e-3` for √10 · 10⁻³; empty for `None`."""
    if rate is None:
        return ""
    if not (rate > 0 and math.isfinite(rate)):
        return f"{rate:g}"
    for digits in (0, 1):
        text = f"{rate:.{digits}e}"
        exact = math.isclose(float(f"{rate:.1e}"), rate, rel_tol=1e-9)
        if math.isclose(float(text), rate, rel_tol=1e-9 if exact else NEAR) or digits == 1:
            return _plain_exponent(text)
    raise AssertionError


def time_left(seconds: float | None, *, at_most: bool = False) -> str:
    """`about 3 min left`, rounded to what is known of it; empty for `None`."""
    if seconds is None:
        return ""
    if seconds < 5:
        return "a few seconds left"
    return f"{'at most ' if at_most else 'about '}{_rounded(seconds)} left"


def whole_study(done: float, total: float, left: str) -> str:
    """`whole study: 210 of about 539 runs, about 3 min left`; empty where nothing was foreseen."""
    if not total:
        return ""
    runs = f"whole study: {math.floor(done + 1e-9):,} of about {counted(total, 'run')}"
    return f"{runs}, {left}" if left else runs


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as `width` blocks at most, the lowest and the highest as the first and the last of `SPARKS`."""
    kept = list(_thinned(values, width))
    low, high = min(kept, default=0.0), max(kept, default=0.0)
    if not high > low:
        return SPARKS[0] * len(kept)
    return "".join(SPARKS[round((value - low) / (high - low) * (len(SPARKS) - 1))] for value in kept)


def _told(record: StudyRecord, leaders: Sequence[Leader]) -> tuple[str, list[str]]:
    """(how the line begins, each leader in words). Seeds are counted where they are fewer than the study will have."""
    kind = leaders[0].kind
    planned = len(record.confirmation_seeds if kind == "confirmation" else record.tuning_seeds)
    counts = {len(leader.values) for leader in leaders}
    common = counts.pop() if len(counts) == 1 else planned
    fewer = f", {counted(common, 'seed')}" if common < planned else ""
    told = []
    for leader in leaders:
        rate = "" if leader.learning_rate is None else f" at {short_rate(leader.learning_rate)}"
        seeds = len(leader.values)
        own = f" ({counted(seeds, 'seed')})" if seeds < planned and not fewer else ""
        told.append(f"{leader.contender} {_value(record, leader.mean)}{rate}{own}")
    return f"so far ({OF[kind]}{fewer}): ", told


def _value(record: StudyRecord, value: float) -> str:
    return number_of(record.metric, Interval(value, math.nan, math.nan, 1))


def _folded(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words, and inside a word that is longer than a line."""
    from rich.console import Console
    from rich.text import Text

    wrapped = Text(text).wrap(Console(width=width), width, overflow="fold")
    return [line.plain.rstrip() for line in wrapped]


def _plain_exponent(text: str) -> str:
    digits, exponent = text.split("e")
    if 0 <= int(exponent) < PLAIN:
        return f"{float(text):g}"
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def _rounded(seconds: float) -> str:
    """To 5 s below a minute, minutes below two hours, tenths of an hour beyond; 90 s are `1 min 30 s`."""
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < 300:
        minutes, rest = divmod(30 * round(seconds / 30), 60)
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _thinned(values: Sequence[float], width: int) -> Iterator[float]:
    """At most `width` of the values, evenly apart, with the last."""
    if len(values) <= width:
        return iter(values)
    return itertools.islice((values[(i + 1) * len(values) // width - 1] for i in range(width)), width)
