"""Curves of members in training, and how those that ended did."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from thalweg.population.training.start import Start
from thalweg.population.updates.snapshot import Snapshot
from thalweg.records.types import Measurement

Floats = NDArray[np.float64]
Details = dict[str, float | None]
LISTS = (
    "initial_loss", "diverged_at", "stopped_at", "best_at", "test", "best_test", "test_details", "best_test_details",
)  # fmt: skip
"""One value per member of each."""
UNKNOWN = Start(None, 0.0)


class History:
    """Curves of `members` runs. `active`, bool `[members]`: in training; runs that ended are recorded no further."""

    def __init__(self, members: int, *, higher_is_better: bool) -> None:
        self.active = np.ones(members, np.bool_)
        self.measured: list[list[Measurement]] = [[] for _ in range(members)]
        self.initial_loss: list[float | None] = [None] * members
        self.starts = [UNKNOWN] * members
        self.diverged_at: list[int | None] = [None] * members
        self.stopped_at: list[int | None] = [None] * members
        self.best_at: list[int | None] = [None] * members  # the step of the best validation metric
        self.test: list[float | None] = [None] * members
        self.best_test: list[float | None] = [None] * members
        self.test_details: list[Details] = [{} for _ in range(members)]
        self.best_test_details: list[Details] = [{} for _ in range(members)]
        self._sign = 1.0 if higher_is_better else -1.0
        self._best = np.full(members, -np.inf)
        self._sum, self._samples = np.zeros(members), 0

    def batch(self, step: int, losses: Floats, samples: int) -> None:
        """Records the losses `[members]` of a batch, before its update. A non-finite loss ends its run."""
        if step == 1:
            self.initial_loss = [float(x) if np.isfinite(x) else None for x in losses]
        finite = np.isfinite(losses)
        if not finite.all():
            self.end(~finite, step)
            losses = np.where(finite, losses, 0.0)
        self._sum += losses * samples
        self._samples += samples

    def end(self, members: NDArray[np.bool_], step: int) -> None:
        """Marks these members as diverged at `step`, unless they had before."""
        for m in np.flatnonzero(members & self.active):
            self.diverged_at[m] = step
        self.active &= ~members

    def stop(self, member: int, step: int) -> None:
        """Ends a member in training after `step`, as one that is complete."""
        self.stopped_at[member], self.active[member] = step, False

    def measure(
        self,
        step: int,
        validation_metric: Floats,
        validation_loss: Floats,
        details: Sequence[Mapping[str, float]] | None = None,
    ) -> NDArray[np.bool_]:
        """Records a measurement after `step`; returns which members' validation metric is their best so far.

        details: each member's further values.
        """
        train = self._sum / max(self._samples, 1)
        for m in np.flatnonzero(self.active):
            values = float(train[m]), _finite(validation_loss[m]), _finite(validation_metric[m])
            self.measured[m].append(Measurement(step, *values, _all_finite(details[int(m)]) if details else {}))
        self._sum, self._samples = np.zeros_like(self._sum), 0
        signed = np.where(np.isfinite(validation_metric), self._sign * validation_metric, -np.inf)
        improved: NDArray[np.bool_] = self.active & (signed > self._best)
        self._best = np.where(improved, signed, self._best)
        for m in np.flatnonzero(improved):
            self.best_at[m] = step
        return improved

    def measurement(self, member: int, step: int) -> Measurement | None:
        """A member's measurement after `step`; `None` if it had ended before."""
        curve = self.measured[member]
        if curve and curve[-1].step == step:
            return curve[-1]
        place = bisect_left(curve, step, key=attrgetter("step"))
        return curve[place] if place < len(curve) and curve[place].step == step else None

    def state(self) -> Snapshot:
        """Everything recorded; floats survive JSON exactly."""
        facts = {name: getattr(self, name) for name in LISTS} | {
            "starts": [astuple(start) for start in self.starts],
            "measured": [[astuple(m) for m in of] for of in self.measured],
            "active": self.active.tolist(),
            "best": self._best.tolist(),
            "sum": self._sum.tolist(),
            "samples": self._samples,
        }
        return Snapshot({}, facts)

    def restore(self, state: Snapshot) -> None:
        """Continues from a `state`."""
        facts = state.facts
        for name in LISTS:
            setattr(self, name, facts.get(name, getattr(self, name)))  # a checkpoint of before may lack details
        self.starts = [Start(*start) for start in facts["starts"]]
        self.measured = [[Measurement(*m) for m in of] for of in facts["measured"]]
        self.active = np.array(facts["active"], np.bool_)
        self._best, self._sum, self._samples = np.array(facts["best"]), np.array(facts["sum"]), facts["samples"]

    def tested(
        self, metric: Floats, improved: NDArray[np.bool_], details: Sequence[Mapping[str, float]] | None = None
    ) -> None:
        """Records the test metric of this measurement as `test`, and as `best_test` where `improved`.

        details: each member's further values.
        """
        for m in np.flatnonzero(self.active):
            self.test[m], self.test_details[m] = _finite(metric[m]), _all_finite(details[int(m)]) if details else {}
            if improved[m]:
                self.best_test[m], self.best_test_details[m] = self.test[m], self.test_details[m]


def _all_finite(values: Mapping[str, float]) -> Details:
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
