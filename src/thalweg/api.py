"""What users call from Python: `compare` a workload's optimizers, get a `Result`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.verdict import verdict
from thalweg.errors import InputError, Interrupted, first_line, shown
from thalweg.options import declared as options
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.facts import dataframe, facts
from thalweg.reports.page import render, write
from thalweg.rules.contract import Preset
from thalweg.studies import contenders as entries
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design, describe, require_feasible
from thalweg.studies.keeping import Keeping, Kept, Unkept
from thalweg.studies.preparation import Prepared, prepare, prepare_again
from thalweg.studies.progress import Live, Logged, Observer
from thalweg.studies.protocol import TEXTBOOK
from thalweg.studies.request import as_begun, changed, request
from thalweg.studies.request import design as design_of
from thalweg.studies.study import Study
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

REPORT = "report.html"


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
    data_dir: str | Path | None = None,
    checkpoint_every: float | str = 60.0,
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
        data_dir: directory of mnist/ and fashion-mnist/, for the built-in workloads; `THALWEG_DATA` where `None`.
        checkpoint_every: seconds of training that a crash may cost at most, or `"5min"`; with `out` only.

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
    every, files = options.CHECKPOINT_EVERY.check(checkpoint_every), options.DATA_DIR.check(data_dir)
    problem = _problem(load(workload, files) if isinstance(workload, str) else workload, epochs, steps)
    prepared = prepare(design, problem, place, **limits)
    asked = {
        "workload": workload if isinstance(workload, str) else None,
        "data_dir": None if files is None else str(files.absolute()),
        "epochs": epochs, "steps": steps, "budget": limits["budget"], "device": str(place),
    }  # fmt: skip
    prepared = replace(prepared, record=replace(prepared.record, request=request(prepared.design, **asked)))
    show = Live() if shows else Logged()
    show.plan(prepared.foreseen)
    if directory is None:
        return _run(prepared, Unkept(), show)
    store, number = Store.begin(directory, prepared.record)
    return _run_kept(prepared, store, number, every, show)


def resume(
    out: str | Path,
    study: int | None = None,
    *,
    workload: Workload | None = None,
    optimizers: Sequence[str | Preset | Contender] | None = None,
    checkpoint_every: float | str = 60.0,
    progress: bool = True,
) -> Result:
    """Goes on with a study from where it stopped, by Ctrl-C, a crash or a power cut; a finished one is only read.

    What it finds is what it would have found without the stop, to the last bit on the same machine and versions.

    Args:
        out: the directory of the study.
        study: its id; the newest where `None`.
        workload: as it was given to `compare`, where it was not the name of a built-in one.
        optimizers: as they were given to `compare`, where one of them is a rule of your own.
        checkpoint_every: seconds of training that may be lost at most, or a text such as `"5min"`.
        progress: whether to show progress on standard error.

    Raises:
        InputError: no such study; it is running already; or its workload, its optimizers or the protocol changed.
    """
    every, directory = options.CHECKPOINT_EVERY.check(checkpoint_every), options.STORE.check(out)
    shows, number = options.PROGRESS.check(progress), options.STUDY.check(study)
    store = Store(directory)
    number = store.latest() if number is None else number
    if store.verdict(number) is not None:
        store.close()
        result = stored(directory, number)
        result.save_report(directory / REPORT)
        return result
    record = store.study(number)
    given = None if optimizers is None else entries.contenders(optimizers)
    prepared = _again(record, workload, given, store.progress(number).seconds)
    show = Live() if shows else Logged()
    show.plan(f"study {number}: {len(store.placed(number)):,} runs had finished; going on")
    return _run_kept(prepared, store, number, every, show)


def stored(out: str | Path, study: int | None = None) -> Result:
    """What a study in the directory `out` found, or has found so far; the newest where `study` is `None`.

    Raises `InputError` where there is none.
    """
    store, number = Store(options.STORE.check(out)), options.STUDY.check(study)
    try:
        number = store.latest() if number is None else number
        record, runs, answer = store.study(number), store.runs(number), store.verdict(number)
    finally:
        store.close()
    if answer is None:
        seeds = {run.seed for run in runs if run.role != "tuning"}
        record = replace(record, confirmation_seeds=tuple(s for s in record.confirmation_seeds if s in seeds))
        answer = f"Study {number} is not finished: {len(runs):,} runs so far."
    return Result(record, runs, leaderboard(record, runs), answer)


def _again(
    record: StudyRecord, workload: Workload | None, contenders: Sequence[Contender] | None, spent: float
) -> Prepared:
    asked = record.request
    if not asked:
        raise InputError("The study was begun by an earlier Thalweg and cannot go on; begin it anew.")
    if workload is None and asked.get("workload") is None:
        raise InputError(
            f"The workload {record.workload!r} is your own: go on with thalweg.resume(out, workload=…) in Python."
        )
    device = _device(asked["device"])
    whole = load(asked["workload"], asked["data_dir"]) if workload is None else workload
    whole = as_begun(_problem(whole, asked["epochs"], asked["steps"]), record)
    chosen = design_of(record, contenders)
    prepared = prepare_again(record, chosen, whole, device, spent)
    notes = changed(record, describe(chosen, whole, prepared.plan))
    return replace(prepared, record=replace(record, notes=(*record.notes, *notes)))


def _run_kept(prepared: Prepared, store: Store, number: int, every: float, show: Observer) -> Result:
    """Runs a study that is kept; however it ends, what finished stays, and the user learns how to go on."""
    lock = Lock(folder(store.directory, number), number)
    try:
        store.note(number, prepared.record)
        result = _run(prepared, Kept(store, number, every), show)
        result.save_report(store.directory / REPORT)
        return result
    except KeyboardInterrupt:
        raise Interrupted(number, len(store.runs(number))) from None
    except InputError as error:
        raise InputError(
            f"{error} What had finished is kept; go on with thalweg resume {number} --out {store.directory}."
        ) from error
    finally:
        lock.close()
        store.close()


def _run(prepared: Prepared, keeping: Keeping, show: Observer) -> Result:
    try:
        study = Study(prepared, keeping, show)
        study.run()
    finally:
        show.close()
    rows = leaderboard(study.record, study.runs)
    result = Result(study.record, study.runs, rows, verdict(study.record, rows))
    keeping.finish(result.study, result.verdict)
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
