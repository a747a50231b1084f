"""The result of a comparison."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.verdict import verdict
from thalweg.api.best import Best, best_of
from thalweg.api.findings import Findings, kind_of, stored_findings
from thalweg.errors import counted
from thalweg.options import declared as options
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import schedule_matrix
from thalweg.reports.factor_matrices import MATRICES
from thalweg.reports.facts import dataframe, facts
from thalweg.reports.page import render, write
from thalweg.studies.protocol import PROTOCOL

if TYPE_CHECKING:
    import pandas as pd

    from thalweg.studies.preparation import Prepared

REPORT = "report.html"


@dataclass(frozen=True)
class Result:
    """The result of a comparison. `runs`: every training run; `rows`: the leaderboard, best first.

    prepare: finds the study's problem again, for `best`.
    """

    study: StudyRecord
    runs: Sequence[RunRecord]
    rows: Sequence[Row]
    verdict: str
    prepare: "Callable[..., Prepared] | None" = field(default=None, repr=False, compare=False)

    @property
    def best(self) -> Best | None:
        """The recommended optimizer; `best.train()` returns the model that it trains. `None` where there is none."""
        return best_of(self, self.prepare)

    def saved(self, model: Path | None, **given: Any) -> "Result":
        """This result, after the recommended optimizer's model is written to a file, if there are both.

        given: as `Best.save` takes it.
        """
        if model is not None and self.best is not None:
            self.best.save(model, **given)
        return self

    def leaderboard(self) -> "pd.DataFrame":
        """One row per contender, best first: learning rate, metrics with 95% intervals, steps to target, …"""
        return dataframe(self.rows)

    def facts(self) -> dict[str, Any]:
        """Study, leaderboard and verdict as plain data that `json` can write."""
        found = facts(self.study, self.rows, self.verdict)
        about = (self.study, self.rows, self.runs)
        matrices = {"schedules": schedule_matrix.facts(*about), **{of.name: of.facts(*about) for of in MATRICES}}
        found |= {name: matrix for name, matrix in matrices.items() if matrix is not None}
        return found

    def save_report(self, path: str | Path) -> None:
        """Writes the report atomically: one HTML page that needs no network."""
        write(Path(path), render(self.study, self.rows, self.runs, self.verdict))


def stored(out: str | Path, study: int | None = None) -> "Result | Findings":
    """The result, final or so far, of a study in the directory `out`; of the newest if `study` is `None`.

    Of a study that is no comparison, such as an ensemble, its `Findings`.

    Raises `InputError` if there is no such study.
    """
    store, number = Store(options.STORE.check(out)), options.STUDY.check(study)
    try:
        number = store.latest() if number is None else number
        record, runs, answer = store.study(number), store.runs(number), store.verdict(number)
        if kind_of(record):
            return stored_findings(store, number)
    finally:
        store.close()
    if record.protocol != PROTOCOL:
        then = f"Study {number} followed protocol {record.protocol}; it is judged here by the rules of {PROTOCOL}."
        record = replace(record, notes=(then, *record.notes))
    if answer is not None:
        rows = leaderboard(record, runs)  # by the rules of today, and so is what is said of them
        return Result(record, runs, rows, verdict(record, rows), _found_again(record))
    seeds = {run.seed for run in runs if run.role != "tuning"}
    record = replace(record, confirmation_seeds=tuple(s for s in record.confirmation_seeds if s in seeds))
    so_far = f"Study {number} is not finished: {counted(len(runs), 'run')} so far."
    return Result(record, runs, leaderboard(record, runs), so_far, _found_again(record))


def _found_again(record: StudyRecord) -> "Callable[..., Prepared]":
    def prepare(workload: Any = None, optimizers: Any = None) -> "Prepared":
        from thalweg.api.again import again
        from thalweg.studies.contenders import contenders

        return again(record, workload, None if optimizers is None else contenders(optimizers), 0.0)

    return prepare
