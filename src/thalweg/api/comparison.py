"""`compare`: builds a study from its arguments and runs it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.api.best import saved_to
from thalweg.api.requirements import problem, require_plain_context, usable
from thalweg.api.result import Result
from thalweg.api.running import run, run_kept
from thalweg.options.calls import by_name
from thalweg.options.comparison import FOUND, ComparisonOptions
from thalweg.options.declared import CONVENTIONS
from thalweg.records.events import Noted, Planned
from thalweg.records.place import require_writable
from thalweg.records.store import Store
from thalweg.regularization.stopping import EarlyStopping
from thalweg.reports.progress import display
from thalweg.rules.contract import Preset
from thalweg.schedules import Performance, Schedule
from thalweg.studies import contenders as entries
from thalweg.studies.contenders import Contender
from thalweg.studies.crossing import crossed
from thalweg.studies.design import Design, require_feasible, require_rates_to_find
from thalweg.studies.parsing import split
from thalweg.studies.preparation import prepare
from thalweg.studies.protocol import TEXTBOOK
from thalweg.studies.scheduled import require_lengths
from thalweg.studies.settings import request
from thalweg.workloads.catalogue import load
from thalweg.workloads.user_files import absolute
from thalweg.workloads.workload import Workload

LISTS = ("optimizers", "schedules", "regularizers", "vary", "freeze", "tune")
"""Arguments that may be one text with commas."""

CROSSED = ("optimizers", "schedules", "regularizers", "vary")
"""Those that say what is compared: the optimizers, and the dimensions that they are crossed with."""


@by_name("compare")
def compare(
    workload: Workload | str,
    optimizers: str | Sequence[str | Preset | Contender | Callable[..., Any]] | None = None,
    learning_rates: Sequence[float] | str | None = None,
    schedules: str | Sequence[str | Schedule | Performance | Callable[..., Any]] | None = None,
    regularizers: str | Sequence[str | Mapping[str, Any] | EarlyStopping] | None = None,
    vary: str | Sequence[str] | Mapping[str, Sequence[Any]] | None = None,
    convention: str = "torch",
    seeds: int = 3,
    confirm_seeds: int = 5,
    base_seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    initial: str | Path | None = None,
    freeze: str | Sequence[str] | None = None,
    tune: Sequence[str] | None = None,
    trials: int = 64,
    clip_norm: float | None = None,
    early_stopping: EarlyStopping | Mapping[str, Any] | str | int | None = None,
    budget: float | str | None = None,
    memory: float | str | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    tag: str | None = None,
    save_model: str | Path | None = None,
    checkpoint_every: float | str = 60.0,
) -> Result:
    """Compares optimizers on a workload: each tuned over learning rates, then run again on fresh seeds.

    Args:
        workload: yours; the name of a built-in one; or where yours is: `"my_file.py"`, `"my_file.py:name"` or
            `"package.module:name"`, a `Workload` or a function that returns one.
        optimizers: names, names with fixed hyperparameters such as `"rmsprop(alpha=0.9, lr=1e-4)"` (a fixed
            learning rate is not tuned), classes such as `torch.optim.RAdam` or their import paths, functions that make
            an optimizer, rules of your own, or `Contender`s; or one text, `"adam,sgd"`; by default the textbooks'
            eleven.
        learning_rates: the only rates to try, for every optimizer. By default each optimizer's own log grid: two
            rates a decade over four decades, extended while the best lies on an edge, then five a decade around it.
            `"found"`: the same, over the interval of a range test, as `find_lr` makes it, in place of four decades.
        schedules: how learning rates change in a run, tried with every optimizer, each combination tuned on its own:
            texts, `"constant"`, `"cosine(warmup=5%)"`, `"1cycle"`, or one text with commas; `thalweg.schedules`, or
            functions of the step, each scaled so that its largest value in a run is the rate that is tuned. Shares and
            whole lengths are of the run, however long a budget leaves it. By default rates are constant.
        regularizers: what runs are regularized by, tried with every optimizer, each combination tuned on its own:
            texts, `"none"`, `"l2=1e-4"`, `"l1=1e-5+l2=1e-4"`, `"max-norm=1"`, `"dropout=0.2"`, `"early-stopping=5"`, or
            one text with commas; mappings, `{"l2": 1e-4}`. Penalties are of weights, not of biases and norms; dropout
            is an argument that the model's factory has to take. By default none.
        vary: arguments of the workload's model factory, tried with every optimizer, each combination tuned on its own:
            `"init=he-normal,glorot-uniform"`, or `{"init": ["he-normal", "glorot-uniform"], "dropout": [0.0, 0.2]}`.
            Built-in models take `init`, `activation`, `dropout` and `batch_norm`; a factory of yours, its arguments.
        convention: whose formulas and defaults optimizers follow unless they name their own: `"torch"`, `"keras"`,
            `"optax"`, or `"paper"` for the published ones.
        seeds: number of tuning seeds, `base_seed`, `base_seed + 1`, …: 1 to 1,000.
        confirm_seeds: number of fresh seeds, 0 to 1,000, from `base_seed + 1000`, on which the selected setting and the
            published defaults are run and the test split is read. 0 for neither: the validation split ranks then.
        base_seed: the first tuning seed, 0 to 2,147,483,647.
        epochs: in place of the workload's own, 1 to 1,000,000.
        steps: optimizer steps of a run, in place of epochs, 1 to 1,000,000,000.
        batch_size: samples of a batch, in place of the workload's own, 1 to 1,000,000,000.
        initial: a file of weights to start from, in place of the workload's own, `.safetensors` or of `torch.save`, of
            which only tensors are read. The layers that fit are taken; the study's notes say which are not.
        freeze: names of parameters that are not trained, or patterns of names, `["features.*"]`.
        tune: hyperparameters to search for every optimizer that has them, `["lr", "weight_decay", "beta1"]`, by
            Optuna's sampler in place of the grid.
        trials: of that search, for every optimizer, 1 to 10,000.
        clip_norm: the maximum global norm of a step's gradients; larger ones are scaled down to it.
        early_stopping: when a run ends before its last step: after so many measurements of the validation metric
            without a better one, as `EarlyStopping(patience=5)`, `"patience=5,least_improvement=0.001"` or `5`. Its
            final weights are then those of its best measurement. `None` trains every run to its last step.
        budget: time limit of the whole study, in seconds or as `"10min"`. The study is cut to fit and notes the cuts.
        memory: memory limit of the process, in bytes or as `"4GB"`, including the data and PyTorch itself;
            fewer runs train at once to stay within it.
        progress: whether to show progress on standard error.
        out: a directory for `study.sqlite`, to which every run is added as it finishes, and `report.html`; `None`
            writes nothing.
        device: `"cpu"`, or another torch device, such as `"cuda"`.
        data_dir: directory of mnist/ and fashion-mnist/, for the built-in workloads; by default `THALWEG_DATA`.
        tag: a word of your own by which stored studies can be told apart: `thalweg studies` and the JSON show it.
        save_model: a .safetensors file for the model of the recommended optimizer, which is trained once more for it
            as `result.best.save` does.
        checkpoint_every: training time lost in a crash at most, in seconds or as `"5min"`; with `out` only.

    Raises:
        InputError: invalid input, in one sentence. Runs finished before an error or Ctrl-C stay in `out`.
    """
    given = locals()  # every argument by its name, as declared
    given |= {n: split(given[n]) if isinstance(given[n], str) else given[n] for n in LISTS}
    asked = ComparisonOptions.checked(given)
    require_writable(asked.out)
    design, find = _designed(asked), asked.learning_rates == FOUND
    stopping = None if asked.early_stopping is None else EarlyStopping(**asked.early_stopping)
    place, file = usable(asked.device), saved_to(asked.save_model)
    whole = load(workload, asked.data_dir) if isinstance(workload, str) else workload
    trained = problem(whole, asked.epochs, asked.steps, asked.batch_size, asked.initial, asked.freeze)
    for contender in design.contenders:
        require_lengths(contender.schedule, trained)
    limits = {**asked.part("limits"), "early_stopping": stopping}
    stored = {"workload": absolute(workload) if isinstance(workload, str) else None, **asked.stored()}
    stored |= _crossed(asked)
    require_plain_context()
    with closing(display(progress=asked.progress)) as show:
        show(Noted("checking the model"))  # of a large one this takes a while
        doing: dict[str, Any] = {"shown": show.on_terminal, "find": find, "tell": lambda text: show(Noted(text))}
        prepared = prepare(design, trained, place, **limits, **doing)
        prepared = replace(prepared, record=replace(prepared.record, request=request(prepared.design, **stored)))
        if asked.out is None:
            show(Planned(prepared.record, prepared.told))
            result = run(prepared, show)
        else:
            store, number = Store.begin(asked.out, prepared.record)
            result = run_kept(prepared, store, number, asked.checkpoint_every, prepared.told, show)
    return result.saved(file)


def _crossed(asked: ComparisonOptions) -> dict[str, Any]:
    """The texts by which optimizers are crossed with other dimensions, for the request; empty where there are none, or
    not only texts."""
    given = {name: texts for name in CROSSED if (texts := getattr(asked, name)) is not None}
    named = all(isinstance(texts, list) and all(isinstance(of, str) for of in texts) for texts in given.values())
    if not named or not given.keys() & set(CROSSED[1:]):
        return {}
    by = {} if asked.convention == CONVENTIONS[0] else {"convention": [asked.convention]}
    return {"crossed": {**given, **by}}


def _designed(asked: ComparisonOptions) -> Design:
    """The contenders with the rates to try. Raises `InputError` where that is too much, or rates cannot be found."""
    compared = entries.contenders(TEXTBOOK if asked.optimizers is None else asked.optimizers, asked.convention)
    compared = crossed(compared, asked.schedules, asked.regularizers, asked.early_stopping, asked.vary)
    rates, tuned = entries.learning_rates(asked.learning_rates), entries.tunable(asked.tune, compared)
    design = Design(compared, **{**asked.part("design"), "learning_rates": rates, "tune": tuned})
    require_feasible(design)
    if asked.learning_rates == FOUND:
        require_rates_to_find(design)
    return design
