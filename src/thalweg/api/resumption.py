"""`resume`: continues a stopped study."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from thalweg.api.again import again
from thalweg.api.best import saved_to
from thalweg.api.findings import kind_of
from thalweg.api.requirements import require_plain_context
from thalweg.api.result import REPORT, Result, stored
from thalweg.api.running import run_kept
from thalweg.errors import Interrupted, counted
from thalweg.options import declared as options
from thalweg.options.calls import by_name
from thalweg.options.comparison import COMPARISON
from thalweg.records.events import Noted
from thalweg.records.store import Store
from thalweg.reports.progress import display
from thalweg.rules.contract import Preset
from thalweg.studies import contenders as entries
from thalweg.studies.contenders import Contender
from thalweg.workloads.workload import Workload


@by_name("resume")
def resume(
    out: str | Path,
    study: int | None = None,
    *,
    workload: Workload | None = None,
    optimizers: Sequence[str | Preset | Contender] | None = None,
    checkpoint_every: float | str = 60.0,
    progress: bool = True,
    save_model: str | Path | None = None,
) -> Any:
    """Continues a study that was stopped by Ctrl-C, a crash or a power cut; a finished one is only read.

    The result is that of an uninterrupted study, bitwise on the same machine and versions: a `Result`, or of an
    ensemble or a distillation, its own.

    Args:
        out: the directory of the study.
        study: its id; `None` for the newest.
        workload: the one passed to `compare`, unless it was the name of a built-in one.
        optimizers: those passed to `compare`, if one of them is a rule of your own.
        checkpoint_every: training time lost in a crash at most, in seconds or as `"5min"`.
        progress: whether to show progress on standard error.
        save_model: as `compare` takes it.

    Raises:
        InputError: no such study; it is running already; or its workload, its optimizers or the protocol changed.
    """
    every, directory = COMPARISON["checkpoint_every"].check(checkpoint_every), options.STORE.check(out)
    from thalweg.api.model_resumption import resume_models

    shows, number = COMPARISON["progress"].check(progress), options.STUDY.check(study)
    file = saved_to(COMPARISON["save_model"].check(save_model))
    store = Store(directory)
    number = store.latest() if number is None else number
    if kind_of(store.study(number)):
        return resume_models(store, number, workload, every, progress=shows)
    if store.verdict(number) is not None:
        store.close()
        result = stored(directory, number)
        assert isinstance(result, Result)
        result.save_report(directory / REPORT)
        return result.saved(file, workload=workload, optimizers=optimizers)
    with closing(store), closing(display(progress=shows)) as show:
        record = store.study(number)
        given = None if optimizers is None else entries.contenders(optimizers)
        require_plain_context()
        show(Noted("checking the model"))  # of a large one this takes a while
        finished = len(store.runs_by_position(number))
        try:
            prepared = again(record, workload, given, store.progress(number).seconds)
        except KeyboardInterrupt:
            raise Interrupted(number, finished) from None
        told = f"study {number}: resuming after {counted(finished, 'finished run')}"
        result = run_kept(prepared, store, number, every, told, show)
    return result.saved(file)
