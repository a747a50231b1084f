"""Whether a machine was quiet: the share of its processors' time that others took, other processes and the host."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

QUIET = 0.05  # of the processors' time, at most, in a round that counts
TRIES = 3  # times as many rounds as are wanted, at most


@dataclass
class Log:
    """What `interleaved` found. rounds, counted: all, and those that count; largest: others' share in one of these."""

    counted: int = 0
    rounds: int = 0
    largest: float = 0.0

    def note(self) -> str:
        """A sentence for the table; empty where no round was looked at."""
        if not self.rounds or math.isnan(self.largest):
            return ""
        took = f"Other processes and the host took up to {self.largest:.0%} of the processors in a round that counted"
        left_out = f"; {self.rounds - self.counted} busier rounds were left out" if self.rounds > self.counted else ""
        loud = "" if self.largest <= QUIET else " No quiet window was found: take these ratios with care."
        return f"{took}{left_out}.{loud}"


@dataclass
class Window:
    """The time since it was made, or since `share` was last asked."""

    _busy: float = field(default_factory=lambda: _busy())
    _own: float = field(default_factory=lambda: _of_family())
    _total: float = field(default_factory=lambda: _total())

    def share(self) -> float:
        """The share of all processors' time that others took, at least 0; NaN where the system does not tell."""
        before = (self._busy, self._own, self._total)
        self._busy, self._own, self._total = _busy(), _of_family(), _total()
        busy, own, total = (now - then for now, then in zip((self._busy, self._own, self._total), before, strict=True))
        return max(0.0, busy - own) / total if total > 0 else float("nan")


def _times() -> list[float]:
    """user, nice, system, idle, iowait, irq, softirq, steal: ticks of all processors; empty without /proc."""
    try:
        return [float(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, IndexError, ValueError):
        return []


def _busy() -> float:
    times = _times()
    return sum(times) - sum(times[3:5])


def _total() -> float:
    return sum(_times())


def _of_family() -> float:
    """Ticks of this process, of its descendants, and of those of them that have ended."""
    parents: dict[int, int] = {}
    ticks: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(entry.name)], ticks[int(entry.name)] = int(fields[1]), sum(map(float, fields[11:15]))
    return sum(ticks[pid] for pid in ticks if _is_ours(pid, parents))


def _is_ours(pid: int, parents: dict[int, int]) -> bool:
    while pid and pid != os.getpid():
        pid = parents.get(pid, 0)
    return bool(pid)
