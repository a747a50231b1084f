"""What users call from Python: `compare` a workload's optimizers, get a `Result`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.verdict import verdict
from thalweg.errors import InputError
from thalweg.population.plan import make_plan
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.facts import dataframe, facts
from thalweg.reports.page import render, write
from thalweg.rules.contract import Preset
from thalweg.studies import contenders as entries
from thalweg.studies import study as studies
from thalweg.studies.contenders import Contender
from thalweg.studies.progress import Live, Observer, Silent
from thalweg.studies.protocol import TEXTBOOK
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

STORE, REPORT = "study.sqlite", "report.html"


@dataclass(frozen=True)
class Result:
    """What a comparison found. `runs` holds every training run; `rows` the leaderboard, best first."""

    study: StudyRecord
    runs: Sequence[RunRecord]
    rows: Sequence[Row]
    verdict: str

    def leaderboard(self) -> "pd.DataFrame":
        """One row a contender, best first: learning rate, metrics with 95% intervals, steps to target, …"""
        return dataframe(self.rows)

    def facts(self) -> dict[str, Any]:
        """The same as plain data that `json` can write."""
        return facts(self.study, self.rows, self.verdict)

    def save_report(self, path: str | Path) -> None:
        """Writes the report, one HTML page that needs no network, atomically."""
        write(Path(path), render(self.study, self.rows, self.runs, self.verdict))


def compare(
    workload: Workload | str,
    optimizers: Sequence[str | Preset | Contender] | None = None,
    learning_rates: Sequence[float] | None = None,
    seeds: int = 3,
    confirm_seeds: int = 5,
    base_seed: int = 0,
    epochs: int | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    device: str = "cpu",
) -> Result:
    """Compares optimizers on a workload: each tuned over learning rates, then run again on fresh seeds.

    Args:
        workload: yours, or the name of a built-in one.
        optimizers: names, names with fixed hyperparameters such as `"rmsprop(alpha=0.9, lr=1e-4)"` (a fixed
            learning rate is not tuned), rules of your own, or `Contender`s; the textbooks' eleven where none are given.
        learning_rates: tried exactly, for every optimizer. Each optimizer's own log grid where none are given.
        seeds: tuning seeds, `base_seed`, `base_seed + 1`, …; at least 1.
        confirm_seeds: fresh seeds, from `base_seed + 1000`, on which the choice and the published defaults are run
            and the test split is read. 0 for neither: then validation ranks.
        epochs: in place of the workload's own.
        progress: whether to show progress on standard error.
        out: a directory for `study.sqlite`, with every run as it finishes, and `report.html`; nothing is written
            where `None`.
        device: `"cpu"`, or another that torch knows, such as `"cuda"`.

    Raises:
        InputError: bad input, said in one sentence. Runs finished before an error or Ctrl-C are kept in `out`.
    """
    design = studies.Design(
        entries.contenders(TEXTBOOK if optimizers is None else optimizers),
        entries.learning_rates(learning_rates),
        _count("seeds", seeds, 1),
        _count("confirm_seeds", confirm_seeds, 0),
        _count("base_seed", base_seed, 0),
    )
    place = _device(device)
    problem = load(workload) if isinstance(workload, str) else workload
    if epochs is not None:
        problem = replace(problem, epochs=epochs)
    store = None if out is None else Store(Path(out) / STORE)
    show = Live() if progress else Silent()
    try:
        return _compare(design, problem, place, store, show)
    finally:
        show.close()
        if store is not None:
            store.close()


def _compare(
    design: studies.Design, workload: Workload, device: torch.device, store: Store | None, show: Observer
) -> Result:
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    plan = make_plan(workload.to(device), design.base_seed, device=device, workers=workers)
    study = studies.describe(design, workload, plan)
    number = store.begin(study) if store else 0

    def keep(runs: Sequence[RunRecord]) -> None:
        if store:
            store.add(number, runs)

    def select(selection: dict[str, Any]) -> None:
        if store:
            store.select(number, selection)

    runs = studies.run(design, study, plan, keep, select, show)
    rows = leaderboard(study, runs)
    result = Result(study, runs, rows, verdict(study, rows))
    if store:
        store.finish(number, result.verdict)
        result.save_report(store.path.parent / REPORT)
    return result


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return value


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"The device {name!r} cannot be used: {reason}; use 'cpu'.") from None
    return device
