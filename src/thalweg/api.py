"""What users call from Python: `compare` a workload's optimizers, get a `Result`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.verdict import verdict
from thalweg.errors import InputError, Interrupted
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.facts import dataframe, facts
from thalweg.reports.page import render, write
from thalweg.rules.contract import Preset
from thalweg.rules.hyperparameters import as_number
from thalweg.studies import contenders as entries
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design, describe
from thalweg.studies.keeping import CHECKPOINT_EVERY, Keeping, Kept, Unkept
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
    budget: float | None = None,
    memory: float | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
) -> Result:
    """Compares optimizers on a workload: each tuned over learning rates, then run again on fresh seeds.

    Args:
        workload: yours, or the name of a built-in one.
        optimizers: names, names with fixed hyperparameters such as `"rmsprop(alpha=0.9, lr=1e-4)"` (a fixed
            learning rate is not tuned), import paths such as `"torch.optim:RAdam"`, rules of your own, or
            `Contender`s; the textbooks' eleven where none are given.
        learning_rates: tried exactly, for every optimizer. Where none are given, each optimizer's own log grid:
            two rates a decade over four decades, further while the best lies on an edge, then five a decade around it.
        seeds: tuning seeds, `base_seed`, `base_seed + 1`, …; at least 1.
        confirm_seeds: fresh seeds, from `base_seed + 1000`, on which the choice and the published defaults are run
            and the test split is read. 0 for neither: then validation ranks.
        epochs: in place of the workload's own.
        steps: optimizer steps of a run, in place of epochs.
        tune: hyperparameters to search for every optimizer that has them, `["lr", "weight_decay", "beta1"]`, by
            Optuna's sampler in place of the grid.
        trials: of that search, for every optimizer, at least 1.
        clip_norm: the largest norm that all gradients of a step together may have; they are scaled down to it.
        budget: seconds for everything. The study is cut to fit, and says what it gave up.
        memory: bytes that the process may hold, the data and PyTorch itself included; fewer runs train at once for it.
        progress: whether to show progress on standard error.
        out: a directory for `study.sqlite`, with every run as it finishes, and `report.html`; nothing is written
            where `None`.
        device: `"cpu"`, or another that torch knows, such as `"cuda"`.
        data_dir: directory of mnist/ and fashion-mnist/, for the built-in workloads; `THALWEG_DATA` where `None`.
        checkpoint_every: seconds of training that a crash may cost at most, above 0; with `out` only.

    Raises:
        InputError: bad input, said in one sentence. Runs finished before an error or Ctrl-C are kept in `out`.
    """
    compared = entries.contenders(TEXTBOOK if optimizers is None else optimizers)
    design = Design(
        compared,
        entries.learning_rates(learning_rates),
        _count("seeds", seeds, 1),
        _count("confirm_seeds", confirm_seeds, 0),
        _count("base_seed", base_seed, 0),
        tune=entries.tunable(tune, compared),
        trials=_count("trials", trials, 1),
    )
    if design.tune and design.learning_rates:
        raise InputError("learning_rates are run exactly and tune searches: give one of the two.")
    design.tuners(higher_is_better=True)  # says at once what cannot be searched
    _positive("clip_norm", clip_norm)
    _positive("budget", budget)
    _positive("memory", memory)
    _positive("checkpoint_every", checkpoint_every)
    place = _device(device)
    problem = _problem(load(workload, data_dir) if isinstance(workload, str) else workload, epochs, steps)
    prepared = prepare(design, problem, place, clip_norm=clip_norm, budget=budget, memory=memory)
    name = workload if isinstance(workload, str) else None
    files = None if data_dir is None else str(Path(data_dir).absolute())
    asked = {"workload": name, "data_dir": files, "epochs": epochs, "steps": steps, "budget": budget, "device": device}
    prepared = replace(prepared, record=replace(prepared.record, request=request(prepared.design, **asked)))
    show = Live() if progress else Logged()
    show.plan(prepared.foreseen)
    if out is None:
        return _run(prepared, Unkept(), show)
    store, number = Store.begin(Path(out), prepared.record)
    return _run_kept(prepared, store, number, checkpoint_every, show)


def resume(
    out: str | Path,
    study: int | None = None,
    *,
    workload: Workload | None = None,
    optimizers: Sequence[str | Preset | Contender] | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    progress: bool = True,
) -> Result:
    """Goes on with a study from where it stopped, by Ctrl-C, a crash or a power cut; a finished one is only read.

    What it finds is what it would have found without the stop, to the last bit on the same machine and versions.

    Args:
        out: the directory of the study.
        study: its id; the newest where `None`.
        workload: as it was given to `compare`, where it was not the name of a built-in one.
        optimizers: as they were given to `compare`, where one of them is a rule of your own.
        checkpoint_every: seconds of training that may be lost at most, above 0.
        progress: whether to show progress on standard error.

    Raises:
        InputError: no such study; it is running already; or its workload, its optimizers or the protocol changed.
    """
    _positive("checkpoint_every", checkpoint_every)
    store = Store(Path(out))
    number = store.latest() if study is None else study
    if store.verdict(number) is not None:
        store.close()
        result = stored(out, number)
        result.save_report(Path(out) / REPORT)
        return result
    record = store.study(number)
    given = None if optimizers is None else entries.contenders(optimizers)
    prepared = _again(record, workload, given, store.progress(number).seconds)
    show = Live() if progress else Logged()
    show.plan(f"study {number}: {len(store.placed(number)):,} runs had finished; going on")
    return _run_kept(prepared, store, number, checkpoint_every, show)


def stored(out: str | Path, study: int | None = None) -> Result:
    """What a study in the directory `out` found, or has found so far; the newest where `study` is `None`.

    Raises `InputError` where there is none.
    """
    store = Store(Path(out))
    try:
        number = store.latest() if study is None else study
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


def _problem(workload: Workload, epochs: int | None, steps: int | None) -> Workload:
    if epochs is not None and steps is not None:
        raise InputError("epochs and steps both say how long a run trains: give one of the two.")
    if epochs is not None:
        return replace(workload, epochs=epochs, steps=None)
    return workload if steps is None else replace(workload, steps=steps)


def _positive(name: str, value: Any) -> None:
    if value is None:
        return
    number = as_number(value)
    if number is None or not 0 < number < float("inf"):
        raise InputError(f"{name} must be a positive finite number, got {value!r}.")


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
