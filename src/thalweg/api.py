"""What users call from Python: `compare` a workload's optimizers, get a `Result`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.verdict import verdict
from thalweg.errors import InputError, first_line, shown
from thalweg.options import declared as options
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.facts import dataframe, facts
from thalweg.reports.page import render, write
from thalweg.rules.contract import Preset
from thalweg.studies import contenders as entries
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design, require_feasible
from thalweg.studies.preparation import Prepared, prepare
from thalweg.studies.progress import Live, Observer, Silent
from thalweg.studies.protocol import TEXTBOOK
from thalweg.studies.study import Study
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
    steps: int | None = None,
    tune: Sequence[str] | None = None,
    trials: int = 64,
    clip_norm: float | None = None,
    budget: float | str | None = None,
    memory: float | str | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    device: str = "cpu",
) -> Result:
    """Compares optimizers on a workload: each tuned over learning rates, then run again on fresh seeds.

    Args:
        workload: yours, or the name of a built-in one.
        optimizers: names, names with fixed hyperparameters such as `"rmsprop(alpha=0.9, lr=1e-4)"` (a fixed
            learning rate is not tuned), import paths such as `"torch.optim:RAdam"`, rules of your own, or
            `Contender`s; the textbooks' eleven where none are given.
        learning_rates: tried exactly, for every optimizer. Where none are given, each optimizer's own log grid:
            two rates a decade over four decades, further while the best lies on an edge, then five a decade around it.
        seeds: tuning seeds, `base_seed`, `base_seed + 1`, …: 1 to 1,000.
        confirm_seeds: fresh seeds, 0 to 1,000, from `base_seed + 1000`, on which the choice and the published defaults
            are run and the test split is read. 0 for neither: then validation ranks.
        base_seed: the first tuning seed, 0 to 2,147,483,647.
        epochs: in place of the workload's own, 1 to 1,000,000.
        steps: optimizer steps of a run, in place of epochs, 1 to 1,000,000,000.
        tune: hyperparameters to search for every optimizer that has them, `["lr", "weight_decay", "beta1"]`, by
            Optuna's sampler in place of the grid.
        trials: of that search, for every optimizer, 1 to 10,000.
        clip_norm: the largest norm that all gradients of a step together may have; they are scaled down to it.
        budget: for everything, in seconds or as `"10min"`. The study is cut to fit, and says what it gave up.
        memory: what the process may hold, in bytes or as `"4GB"`, the data and PyTorch itself included;
            fewer runs train at once for it.
        progress: whether to show progress on standard error.
        out: a directory for `study.sqlite`, with every run as it finishes, and `report.html`; nothing is written
            where `None`.
        device: `"cpu"`, or another that torch knows, such as `"cuda"`.

    Raises:
        InputError: bad input, said in one sentence. Runs finished before an error or Ctrl-C are kept in `out`.
    """
    compared = entries.contenders(TEXTBOOK if optimizers is None else optimizers)
    design = Design(
        compared,
        entries.learning_rates(learning_rates),
        options.SEEDS.check(seeds),
        options.CONFIRM_SEEDS.check(confirm_seeds),
        options.BASE_SEED.check(base_seed),
        tune=entries.tunable(tune, compared),
        trials=options.TRIALS.check(trials),
    )
    require_feasible(design)
    limits = {
        "clip_norm": options.CLIP_NORM.check(clip_norm),
        "budget": options.BUDGET.check(budget),
        "memory": options.MEMORY.check(memory),
    }
    directory, shows, place = options.OUT.check(out), options.PROGRESS.check(progress), _device(device)
    problem = _problem(load(workload) if isinstance(workload, str) else workload, epochs, steps)
    prepared = prepare(design, problem, place, **limits)
    store = None if directory is None else Store(directory / STORE)
    show = Live() if shows else Silent()
    show.plan(prepared.foreseen)
    try:
        return _run(prepared, store, show)
    finally:
        show.close()
        if store is not None:
            store.close()


def _run(prepared: Prepared, store: Store | None, show: Observer) -> Result:
    number = store.begin(prepared.record) if store else 0

    def keep(runs: Sequence[RunRecord]) -> None:
        if store:
            store.add(number, runs)

    def select(selection: dict[str, Any]) -> None:
        if store:
            store.select(number, selection)

    study = Study(prepared, keep, select, show)
    study.run()
    rows = leaderboard(study.record, study.runs)
    result = Result(study.record, study.runs, rows, verdict(study.record, rows))
    if store:
        store.finish(number, result.study, result.verdict)
        result.save_report(store.path.parent / REPORT)
    return result


def _problem(workload: Any, epochs: int | None, steps: int | None) -> Workload:
    if not isinstance(workload, Workload):
        raise InputError(
            f"workload must be a thalweg.Workload or a built-in one's name, such as 'digits', got {shown(workload)}."
        )
    if epochs is not None and steps is not None:
        raise InputError("epochs and steps both say how long a run trains: give one of the two.")
    if epochs is not None:
        return replace(workload, epochs=epochs, steps=None)
    return workload if steps is None else replace(workload, steps=steps)


def _device(name: Any) -> torch.device:
    try:
        device = name if isinstance(name, torch.device) else torch.device(options.DEVICE.check(name))
        torch.empty(0, device=device).to("cpu")  # of a device that holds nothing, such as "meta", this fails
    except InputError:
        raise
    except Exception as error:  # whatever the backend of that device raises
        reason = first_line(error).rstrip(".")
        raise InputError(f"The device {shown(name)} cannot be used: {reason}; use 'cpu'.") from None
    return device
