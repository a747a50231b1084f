"""The leaders of a study so far, by the events or runs of it that there are yet: provisional, and never the verdict."""

from collections.abc import Mapping
from typing import Any, Literal

from thalweg.records.events import Event, Finished, Measured, PlannedRun, StageBegan
from thalweg.records.types import Leader, RunRecord, StudyRecord, rate_among

Kind = Literal["training", "tuning", "confirmation"]
Key = tuple[tuple[str, Any], ...]
ORDER: tuple[Kind, ...] = ("confirmation", "tuning", "training")  # the first that has a leader is shown


class Leaders:
    """Follows a study's events; `best` are the leaders so far.

    Per contender the configuration with the best mean of the validation metric over the seeds that it has, as
    selection would see it: one with a run that broke off is none. What is measured in training counts only while no run
    has ended.

    An event costs a few dictionary entries for each of its runs; `best` looks again at contenders that changed only.
    """

    def __init__(self, record: StudyRecord) -> None:
        self._sign = 1.0 if record.higher_is_better else -1.0
        self._stops_early = "early_stopping" in record.plan
        self._planned: Mapping[int, PlannedRun] = {}
        self._values: dict[tuple[Kind, str], dict[Key, dict[int, float | None]]] = {}
        self._rates: dict[Key, float | None] = {}
        self._best: dict[tuple[Kind, str], Leader | None] = {}
        self._changed: set[tuple[Kind, str]] = set()

    def follow(self, event: Event) -> None:
        """Takes an event into account; those that are not of runs change nothing."""
        match event:
            case StageBegan():
                self._planned = {event.first + i: run for i, run in enumerate(event.planned)}
                self._forget_training()
            case Measured():
                self._measured(event)
            case Finished():
                for run in event.runs.values():
                    self.add(run)

    def add(self, run: RunRecord) -> None:
        """Takes a run that ended into account; those of published defaults lead nothing."""
        if run.role != "defaults":
            self._put(run.role, run, run.validation_metric)

    def best(self) -> tuple[Leader, ...]:
        """One per contender that has any, the best first: of confirmation, else of tuning, else in training."""
        for kind, contender in self._changed:
            self._best[kind, contender] = self._best_of(kind, contender)
        self._changed.clear()
        found = [leader for leader in self._best.values() if leader is not None]
        for kind in ORDER:
            if of_kind := [leader for leader in found if leader.kind == kind]:
                return tuple(sorted(of_kind, key=lambda leader: -self._sign * leader.mean))
        return ()

    def _measured(self, event: Measured) -> None:
        for position, measurement in event.curves.items():
            run = self._planned.get(position)
            if run is None or run.role == "defaults":
                continue
            if measurement is not None:
                self._put("training", run, measurement.validation_metric)
            elif not self._stops_early:  # it diverged
                self._put("training", run, None)

    def _put(self, kind: Kind, run: RunRecord | PlannedRun, value: float | None) -> None:
        key, place = tuple(sorted(run.hyperparameters.items())), (kind, run.contender)
        self._values.setdefault(place, {}).setdefault(key, {})[run.seed] = value
        self._rates[key] = rate_among(run.hyperparameters, run.rate)
        self._changed.add(place)

    def _best_of(self, kind: Kind, contender: str) -> Leader | None:
        found = []
        for key, by_seed in self._values[kind, contender].items():
            known = [value for _, value in sorted(by_seed.items()) if value is not None]
            if known and len(known) == len(by_seed):
                found.append(Leader(contender, self._rates[key], tuple(known), kind))
        return max(found, key=lambda leader: self._sign * leader.mean, default=None)

    def _forget_training(self) -> None:
        """What was measured in an earlier stage."""
        for known in (self._values, self._best):
            for place in [place for place in known if place[0] == "training"]:
                del known[place]
        self._changed = {place for place in self._changed if place[0] != "training"}
