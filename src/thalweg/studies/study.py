"""Runs a study: tune, select, confirm on fresh seeds together with the published defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from thalweg.analysis.leaderboard import choices, leaderboard
from thalweg.analysis.selection import Choice
from thalweg.errors import InputError
from thalweg.population.engine.task import NOWHERE
from thalweg.population.engine.threads import Threads
from thalweg.population.engine.train import Engine
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.recipes.imported import Imported
from thalweg.records.events import Afforded, Chosen, Listener, Noted
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.studies.persistence import Earlier
from thalweg.studies.preparation import Prepared
from thalweg.studies.protocol import ERROR_RATE, LOOK, confirmation_seeds, most_confirmed
from thalweg.studies.training import RunSpec, Trainer
from thalweg.studies.tuning import Tuner


class Study:
    """One comparison. `tell` receives runs as they finish, and the choices before any test metric is computed.

    Runs of earlier sessions are not trained again: the study takes the same decisions from the same runs.
    After `run`, `runs` holds all runs, and `record` the confirmation seeds used and notes on what was cut short.
    """

    def __init__(
        self,
        prepared: Prepared,
        tell: Listener,
        earlier: Earlier | None = None,
        checkpoints: Checkpoints = NOWHERE,
        engine: Engine = Threads,
    ) -> None:
        self._design, self._jobs, self._clock = prepared.design, prepared.jobs, prepared.clock
        self._record, self._tell = prepared.record, tell
        earlier = earlier or Earlier()
        self._earlier, self._trainer = earlier, Trainer(earlier.done, tell, checkpoints, engine)
        self._clock.replay(earlier.answers, lambda answers: tell(Afforded(tuple(answers))))
        self.runs: list[RunRecord] = []
        self.notes: list[str] = []

    @property
    def record(self) -> StudyRecord:
        plan = self._record.plan
        late = next((of.why_loop for of in self._jobs.all if of.why_loop and not of.plan.reason), "")
        return replace(
            self._record,
            notes=(*self._record.notes, *self.notes),
            plan={**plan, "fallback": late} if late else plan,
        )

    def run(self) -> None:
        """Tunes, selects and confirms."""
        self._tune()
        if not self._record.confirmation_seeds:
            return
        chosen = choices(self._record, self.runs)
        self._tell(Chosen({name: dict(c.point.hyperparameters) if c else None for name, c in chosen.items()}))
        self._jobs = self._jobs.with_job(test=True)
        self._confirm(chosen)

    def _tune(self) -> None:
        tuners = self._design.tuners(higher_is_better=self._record.higher_is_better)
        while entries := [entry for tuner in tuners for entry in self._next(tuner)]:
            of = "/".join(sorted({entry.round for entry in entries}))
            if not all(self._train_if_affordable(part, of) for part in self._parts(entries, of)):
                break
        self._note(*(note for tuner in tuners for note in tuner.notes))
        trained = {run.seed for run in self.runs}
        seeds = tuple(seed for seed in self._record.tuning_seeds if seed in trained)
        self._record = replace(self._record, tuning_seeds=seeds)

    def _parts(self, entries: Sequence[RunSpec], of: str) -> list[list[RunSpec]]:
        """Splits the coarse round by seed under a budget, so that its last seeds can be dropped.

        Later rounds run with all seeds or not at all: a rate tried with fewer seeds than the others could win by luck.
        """
        if not (self._clock.limited and of == "coarse"):
            return [list(entries)]
        seeds = dict.fromkeys(entry.seed for entry in entries)
        return [[entry for entry in entries if entry.seed == seed] for seed in seeds]

    def _train_if_affordable(self, entries: Sequence[RunSpec], of: str) -> bool:
        """Trains a part of a round, unless that leaves too little time to confirm; always trains the first part."""
        needed = len(entries) + self._final_runs()
        if self.runs and self._clock.affords(needed) < needed:
            seed = f"seed {entries[0].seed} of " if of == "coarse" else ""
            self._note(f"The budget did not allow {seed}the {of} round.")
            return False
        self._train(entries, f"tuning, {of}")
        return True

    def _next(self, tuner: Tuner) -> list[RunSpec]:
        label = tuner.contender.label
        own = [run for run in self.runs if run.contender == label]
        seconds = self._record.caps["seconds"]
        if seconds is not None and sum(run.seconds for run in own) >= seconds:
            return []
        of, configurations = tuner.next(own)
        seeds = self._record.tuning_seeds
        return [RunSpec(tuner.contender, c, seed, "tuning", of) for seed in seeds for c in configurations]

    def _final_runs(self) -> int:
        return self._design.finals * min(LOOK, self._design.confirm_seeds)

    def _confirm(self, chosen: Mapping[str, Choice | None]) -> None:
        """Confirms in batches of `LOOK` seeds, until all have run, the ranking is settled, or time is up."""
        planned = len(self._record.confirmation_seeds)
        most = most_confirmed(planned, limited=self._clock.limited)
        seeds = confirmation_seeds(self._design.base_seed, most)
        done, settled = 0, False
        while done < most and not settled:
            look = self._affordable(seeds[done : done + LOOK], first=done == 0)
            if not look:
                break
            self._train([e for seed in look for e in self._finals(chosen, seed)], "confirmation")
            done += len(look)
            settled = done < planned and self._settled(-(-planned // LOOK))
        self._record = replace(self._record, confirmation_seeds=seeds[:done])
        self._note(*_about_seeds(done, planned, settled=settled))

    def _affordable(self, look: Sequence[int], *, first: bool) -> Sequence[int]:
        """The seeds of a batch that still fit the budget; at least two of the first batch."""
        each = self._design.finals
        return look[: max(2 if first else 0, self._clock.affords(len(look) * each) // each)]

    def _settled(self, looks: int) -> bool:
        """Whether nothing ties with the first, at `ERROR_RATE` divided by the number of interim checks (Bonferroni)."""
        return not any(row.tied for row in leaderboard(self._record, self.runs, 1 - ERROR_RATE / looks)[1:])

    def _finals(self, chosen: Mapping[str, Choice | None], seed: int) -> list[RunSpec]:
        entries = []
        for contender in self._design.contenders:
            choice = chosen[contender.label]
            if choice is not None:
                given = choice.point.hyperparameters
                entries.append(RunSpec(contender, given, seed, "confirmation", "confirmation"))
            if contender.published is not None:
                entries.append(RunSpec(contender, contender.published, seed, "defaults", "confirmation"))
        return entries

    def _note(self, *notes: str) -> None:
        self.notes += notes
        for note in notes:
            self._tell(Noted(note, recorded=True))

    def _train(self, entries: Sequence[RunSpec], stage: str) -> None:
        began, first = self._clock.now(), len(self.runs)
        self.runs += self._trainer.train(self._jobs, entries, stage, first)
        trained = sum(first + i not in self._earlier.done for i in range(len(entries)))
        self._clock.ran(trained, began)
        if all(run.failure for run in self.runs) and not any(
            isinstance(entry.contender.recipe, Imported) for entry in entries
        ):
            raise InputError(f"The workload {self._record.workload!r} cannot be trained: {self.runs[0].failure}.")


def _about_seeds(done: int, planned: int, *, settled: bool) -> list[str]:
    if settled:
        return [f"Stopped after {done} of {planned} confirmation seeds: the ranking was settled."]
    if done < planned:
        return [f"The budget allowed {done} of {planned} confirmation seeds."]
    return [f"The budget had time for {done} confirmation seeds in place of {planned}."] if done > planned else []
