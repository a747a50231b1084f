"""Tuners: propose a contender's next configurations from its runs so far."""

from collections.abc import Sequence
from typing import Any, Protocol

from thalweg.analysis.selection import Point, line_of, points
from thalweg.records.types import Round, RunRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.protocol import EXTENSIONS, FINE_PER_DECADE, PER_DECADE
from thalweg.studies.rates import around, beyond

Configuration = dict[str, Any]
FINE = 2 * ((FINE_PER_DECADE - 1) // PER_DECADE)  # configurations of a fine round


def returned(contender: Contender, runs: Sequence[RunRecord]) -> int:
    """Configurations that a contender's cap allows beside, in the steps that early stopping left of its tuning runs.

    Counted as caps are: each once for every evaluation of a batch in a step.
    """
    untaken = sum((r.steps - at) * contender.evaluations(r.hyperparameters) for r in runs if (at := r.stopped_at))
    return untaken // (runs[0].steps * len({run.seed for run in runs})) if untaken else 0


class Tuner(Protocol):
    """Proposes one contender's configurations, within its cap."""

    contender: Contender
    notes: list[str]

    def next(self, runs: Sequence[RunRecord]) -> tuple[Round, list[Configuration]]:
        """The next round and its configurations, given the tuning runs so far; empty when done."""


class GridTuner:
    """Grid search: coarse learning rates, extended while the best lies on an edge, then refined around the best.

    The user's learning rates are tried exactly, without extension or refinement. cap: number of configurations, each
    counted once for every evaluation of a batch in a step; what early stopping leaves of it is spent on further ones.
    """

    def __init__(
        self,
        contender: Contender,
        rates: Sequence[float] | None,
        cap: int,
        *,
        higher_is_better: bool,
        per_decade: int = PER_DECADE,
        fine: bool = True,
    ) -> None:
        self.contender, self.notes = contender, list[str]()
        self._coarse = contender.configurations(rates, per_decade)
        self._free = contender.has_own_grid and rates is None
        self._left, self._sign, self._fine = cap, 1.0 if higher_is_better else -1.0, fine
        self._begun = self._done = False
        self._spare = 0

    def next(self, runs: Sequence[RunRecord]) -> tuple[Round, list[Configuration]]:
        if not self._begun:
            self._begun = True
            return self._taken("coarse", self._coarse)
        if self._done or not self._free:
            return "coarse", []
        self._spare = min(EXTENSIONS, returned(self.contender, runs))  # no more: the best of equal rates is an edge
        tried = points(runs)
        edge = self._beyond_an_edge(tried)
        if edge:
            configurations = self._taken("extension", edge)
            if configurations[1]:
                return configurations
            self.notes.append(self._unextended())
        self._done = True
        return self._taken("fine", self._around_the_best(tried) if self._fine else [])

    def _taken(self, of: Round, configurations: list[Configuration]) -> tuple[Round, list[Configuration]]:
        """The configurations that the cap still allows; deducts them from it."""
        taken = []
        for configuration in configurations:
            if (each := self.contender.evaluations(configuration)) <= self._left + self._spare:
                self._left -= each
                taken.append(configuration)
        return of, taken

    def _beyond_an_edge(self, tried: Sequence[Point]) -> list[Configuration]:
        best, line = self._best(tried)
        if best is None:  # no rate finished with every seed: they are too high
            rates = beyond(_rates(line), above=False)
        elif best is line[0] or best is line[-1]:
            rates = beyond(_rates(line), above=best is line[-1])
        else:
            return []
        return [{**(best or line[0]).others, self._rate: rate} for rate in rates]

    def _around_the_best(self, tried: Sequence[Point]) -> list[Configuration]:
        best, line = self._best(tried)
        if best is None:
            return []
        rates, at = _rates(line), line.index(best)
        below = rates[at - 1] if at else rates[at]
        above = rates[at + 1] if at + 1 < len(rates) else rates[at]
        found = around(rates[at], below, above)
        return [{**best.others, self._rate: rate} for rate in found if rate not in rates]

    def _best(self, tried: Sequence[Point]) -> tuple[Point | None, list[Point]]:
        """The point with the best mean, and all points that share its other hyperparameters, in ascending rate."""
        able = [p for p in tried if p.eligible]
        best = max(able, key=lambda p: self._sign * p.metric.mean, default=None)
        return best, line_of(tried, best or tried[0])

    @property
    def _rate(self) -> str:
        assert self.contender.recipe.rate is not None
        return self.contender.recipe.rate

    def _unextended(self) -> str:
        return f"{self.contender.label}: its best learning rate lies on the edge of those tried, and its cap is spent."


def cap_of(contenders: Sequence[Contender], rates: Sequence[float] | None, per_decade: int, *, fine: bool) -> int:
    """Number of configurations allowed per contender, each counted once for every evaluation in a step.

    The need of the contender whose grid takes the most evaluations.
    """
    each = [[c.evaluations(of) for of in c.configurations(rates, per_decade)] for c in contenders]
    free = rates is None and any(c.has_own_grid for c in contenders)
    return max(map(sum, each)) + ((EXTENSIONS + FINE * fine) * max(map(max, each)) if free else 0)


def _rates(line: Sequence[Point]) -> tuple[float, ...]:
    return tuple(p.learning_rate for p in line if p.learning_rate is not None)
