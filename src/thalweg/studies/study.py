"""A study from beginning to end: tune, select, confirm on fresh seeds beside the defaults."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from thalweg.analysis.leaderboard import choices, leaderboard
from thalweg.analysis.selection import Choice
from thalweg.population.plan import Plan
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.studies.budget import Clock
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design
from thalweg.studies.progress import Observer
from thalweg.studies.protocol import LOOK
from thalweg.studies.training import Entry, Keep, train_entries
from thalweg.studies.tuning import Tuner

Select = Callable[[dict[str, Any]], None]


class Study:
    """One comparison. `keep` receives runs as they finish; `select` the choices, before any test metric is read.

    After `run`, `runs` holds every run and `notes` what was cut short, a sentence each.
    """

    def __init__(
        self, design: Design, record: StudyRecord, plan: Plan, clock: Clock, keep: Keep, select: Select, show: Observer
    ) -> None:
        self._design, self._record, self._plan, self._clock = design, record, plan, clock
        self._keep, self._select, self._show = keep, select, show
        self.runs: list[RunRecord] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Trains all of it."""
        self._tune()
        if not self._record.confirmation_seeds:
            return
        chosen = choices(self._record, self.runs)
        self._select({name: dict(choice.point.hyperparameters) if choice else None for name, choice in chosen.items()})
        self._plan = replace(self._plan, job=replace(self._plan.job, test=True))
        self._confirm(chosen)

    def _tune(self) -> None:
        tuners = self._design.tuners(higher_is_better=self._record.higher_is_better)
        while entries := [entry for tuner in tuners for entry in self._next(tuner)]:
            of = "/".join(sorted({entry.round for entry in entries}))
            needed = len(entries) + self._final_runs()
            if of != "coarse" and self._clock.affords(needed) < needed:
                self.notes.append(f"The budget did not allow the {of} round of {len(entries)} runs.")
                break
            self._train(entries, f"tuning, {of}")
        self.notes += [note for tuner in tuners for note in tuner.notes]

    def _next(self, tuner: Tuner) -> list[Entry]:
        label = tuner.contender.label
        own = [run for run in self.runs if run.contender == label]
        seconds = self._record.caps["seconds"]
        if seconds is not None and sum(run.seconds for run in own) >= seconds:
            return []
        of, configurations = tuner.next(own)
        seeds = self._record.tuning_seeds
        return [Entry(tuner.contender, c, seed, "tuning", of) for seed in seeds for c in configurations]

    def _final_runs(self) -> int:
        return 2 * len(self._design.contenders) * min(LOOK, self._design.confirm_seeds)

    def _confirm(self, chosen: Mapping[str, Choice | None]) -> None:
        """In looks of a few seeds; ends where a look finds the ranking settled."""
        seeds = list(self._record.confirmation_seeds)
        for start in range(0, len(seeds), LOOK):
            look = self._affordable(seeds[start : start + LOOK], first=start == 0)
            self._train([e for seed in look for e in self._finals(chosen, seed)], "confirmation")
            done = start + len(look)
            if len(look) < len(seeds[start : start + LOOK]):
                self.notes.append(f"The budget allowed {done} of {len(seeds)} confirmation seeds.")
                break
            if done < len(seeds) and self._settled():
                self.notes.append(f"Stopped after {done} of {len(seeds)} confirmation seeds: the ranking was settled.")
                break

    def _affordable(self, look: Sequence[int], *, first: bool) -> Sequence[int]:
        """The seeds of a look that still fit; of the first at least two."""
        each = 2 * len(self._design.contenders)
        return look[: max(2 if first else 0, self._clock.affords(len(look) * each) // each)]

    def _settled(self) -> bool:
        """Whether nothing ties with the first any more."""
        return not any(row.tied for row in leaderboard(self._record, self.runs)[1:])

    def _finals(self, chosen: Mapping[str, Choice | None], seed: int) -> list[Entry]:
        entries = []
        for contender in self._design.contenders:
            choice = chosen[contender.label]
            if choice is not None:
                given = choice.point.hyperparameters
                entries.append(Entry(contender, given, seed, "confirmation", "confirmation"))
            entries.append(Entry(contender, _published(contender), seed, "defaults", "confirmation"))
        return entries

    def _train(self, entries: Sequence[Entry], stage: str) -> None:
        began = time.perf_counter()
        self.runs += train_entries(self._plan, entries, stage, self._keep, self._show)
        self._clock.ran(len(entries), time.perf_counter() - began)


def _published(contender: Contender) -> dict[str, Any]:
    rate, defaults = contender.recipe.rate, contender.recipe.defaults
    return {rate: defaults[rate]} if rate is not None and rate in defaults else {}
