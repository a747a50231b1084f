"""`sparsify`: accuracy against sparsity, for several ways to make a model sparse."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from thalweg.analysis.sparsity import sparsity_rows
from thalweg.analysis.sparsity_verdict import sparsity_verdict
from thalweg.api.findings import Findings
from thalweg.api.model_studies import Session, Work, Worked, carry_out_study, stored_request
from thalweg.api.requirements import problem, require_plain_context, usable
from thalweg.api.sparsity_result import SparsityStudy
from thalweg.options.calls import by_name
from thalweg.options.ensembling import checked
from thalweg.options.sparsify import ASKED, DEFAULT_METHODS, SPARSIFY, SPARSITIES, STRENGTHS
from thalweg.records.events import Noted
from thalweg.records.place import require_writable
from thalweg.records.sparsity import KeptOutcomes, SparsityRecord
from thalweg.records.types import StudyRecord
from thalweg.reports.progress import display
from thalweg.rules.contract import Preset
from thalweg.studies import sparse_design
from thalweg.studies.contenders import Contender, contenders
from thalweg.studies.design import Design
from thalweg.studies.ensembling import with_models
from thalweg.studies.one_contender import one_contender
from thalweg.studies.parsing import split
from thalweg.studies.preparation import Prepared, prepare
from thalweg.studies.protocol import tuning_seeds
from thalweg.studies.settings import request
from thalweg.studies.sparse_design import SparseDesign
from thalweg.studies.sparsifying import Prunable, SparseTraining, Sparsifying
from thalweg.workloads.catalogue import load
from thalweg.workloads.workload import Workload

KIND = "sparsity"
STORED = ("epochs", "steps", "batch_size", "memory", "device", "data_dir", "tag")


@by_name("sparsify")
def sparsify(
    workload: Workload | str,
    *,
    method: str | Sequence[str] = DEFAULT_METHODS,
    sparsity: float | str | Sequence[float] = SPARSITIES,
    optimizer: str | Preset | Contender | Callable[..., Any] = "adam",
    learning_rate: float | None = None,
    schedule: str = "cubic",
    scope: str = "global",
    exclude: str | Sequence[str] | None = None,
    begin: int | None = None,
    end: int | None = None,
    frequency: int | None = None,
    l1: float | Sequence[float] = STRENGTHS,
    seeds: int = 5,
    convention: str = "torch",
    base_seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    clip_norm: float | None = None,
    memory: float | str | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    tag: str | None = None,
    checkpoint_every: float | str = 60.0,
) -> SparsityStudy:
    """Measures accuracy against sparsity, for several methods, with intervals over seeds.

    All models of a seed begin with the same weights, see the same batches and train equally long, as the dense ones of
    which they are compared to: all methods train in one population. Parameters of two dimensions and more are pruned.

    Args:
        workload: as `compare` takes it.
        method: some of `"threshold"`: the smallest weights of a dense model are set to zero after its training;
            `"prune"`: the smallest, in training, as `schedule` says; `"random"`: random ones in their place, a control;
            `"l1"`: a strong penalty, by proximal steps, then the smallest that are left; `"ticket"`: the dense model's
            largest weights train again from their initial values (Frankle & Carbin 2019, arXiv:1803.03635, one-shot).
        sparsity: shares of the prunable weights that are zero in the end, in (0, 1).
        optimizer: of the catalogue, as `compare` takes it. learning_rate: by default its published one.
        schedule, scope, exclude: as `thalweg.sparse.Pruner` takes them.
        begin, end, frequency: its steps; by default from a quarter to three quarters of a run, in 50 updates.
        l1: strengths of the penalty. For each sparsity the one with the best mean validation metric is shown.
        seeds: models of each kind, with seeds `base_seed`, `base_seed + 1`, …: 1 to 1,000.
        convention, base_seed, epochs, steps, batch_size, clip_norm, memory, progress: as `compare` takes them.
        out: a directory to which the study is stored, so that `resume` goes on with it; `None` stores nothing.
        device, data_dir, tag, checkpoint_every: as `compare` takes them.

    Raises:
        InputError: invalid input, in one sentence; or a model that cannot be trained.
    """
    given = locals()
    for name in ("method", "sparsity", "l1", "exclude"):
        given[name] = _several(given[name])
    asked = checked(SPARSIFY, given)
    require_writable(asked["out"])
    (named,) = contenders([optimizer], asked["convention"])
    sparse_design.require_prunable(named, asked["method"], asked["exclude"])
    sparse_design.require_sparsities(asked["scope"], asked["sparsity"])
    where = usable(asked["device"])
    whole = load(workload, asked["data_dir"]) if isinstance(workload, str) else workload
    trained = problem(whole, asked["epochs"], asked["steps"], asked["batch_size"])
    require_plain_context()
    contender = one_contender(optimizer, learning_rate, None, asked["convention"])
    stored = {**stored_request(KIND, workload, asked, STORED), **_stored(asked, trained), "optimizer": contender.label}
    seeds_of = tuning_seeds(asked["base_seed"], asked["seeds"])
    sparse = _sparse(stored, seeds_of)
    of = sparse.contenders(contender)
    design = Design(of, None, asked["seeds"], 0, asked["base_seed"], clip_norm=asked["clip_norm"])
    with closing(display(progress=asked["progress"])) as show:
        show(Noted("checking the model"))
        prepared = prepare(design, trained, where, budget=None, memory=asked["memory"])
        prepared = replace(prepared, record=replace(prepared.record, request=request(prepared.design, **stored)))
        prepared, work, made = resume_sparsity(prepared.record, prepared)
        Prunable.of(prepared, sparse)  # what cannot be is refused before anything is stored
        return made(*carry_out_study(prepared, work, asked["out"], asked["checkpoint_every"], show))


def _several(value: Any) -> Any:
    """A list of the values of a text with commas, or of a single number."""
    if isinstance(value, str):
        return split(value)
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def _stored(asked: dict[str, Any], workload: Workload) -> dict[str, Any]:
    """The study's own options for its request, each value once, with the steps that they come to."""
    begin, end, frequency = sparse_design.steps_of(
        workload.total_steps, asked["begin"], asked["end"], asked["frequency"]
    )
    several = {"method": list(dict.fromkeys(asked["method"])), "exclude": list(asked["exclude"] or ())}
    several |= {name: sorted(set(asked[name])) for name in ("sparsity", "l1")}
    own = {name: asked[name] for name in ASKED}
    return {**own, **several, "begin": begin, "end": end, "frequency": frequency}


def _sparse(stored: dict[str, Any], seeds: tuple[int, ...]) -> SparseDesign:
    methods, sparsities, strengths, exclude = (tuple(stored[n]) for n in ("method", "sparsity", "l1", "exclude"))
    times = (stored["begin"], stored["end"], stored["frequency"])
    return SparseDesign(methods, sparsities, strengths, seeds, stored["scope"], exclude, stored["schedule"], *times)


def _work(prepared: Prepared, design: SparseDesign) -> Work:
    def work(session: Session) -> Worked:
        kept = KeptOutcomes(session.kept.folder)
        training = SparseTraining(session.tell, session.earlier.done, session.checkpoints, session.kept, kept)
        runs, found = Sparsifying(prepared, design, training).run()
        record = SparsityRecord.of(prepared.record)
        rows = sparsity_rows(record, found)
        findings = {"rows": [row.facts() for row in rows], "runs": [asdict(run) for run in found]}
        return Worked(runs, findings, sparsity_verdict(record, rows), None)

    return work


def resume_sparsity(record: StudyRecord, prepared: Prepared) -> tuple[Prepared, Work, Callable[..., SparsityStudy]]:
    """What goes on with a stored study that `again` prepared: the study, its work, and what makes its result."""
    design = _sparse(dict(record.request), record.tuning_seeds)
    prepared = with_models(prepared)
    return prepared, _work(prepared, design), _result


def _result(found: Findings, models: None) -> SparsityStudy:
    del models
    return SparsityStudy(findings=found)
