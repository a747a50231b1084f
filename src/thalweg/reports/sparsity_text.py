"""What is said of a study of sparse models: its table, its picture, and how it was measured."""

from thalweg.analysis.formatting import metric_name, number_of, rate_text
from thalweg.analysis.sparsity import SparsityRow, sparsity_rows
from thalweg.analysis.sparsity_verdict import loss_text
from thalweg.records.sparsity import DENSE, SparsityRecord, runs_of
from thalweg.records.types import StudyRecord
from thalweg.reports.drawing.sparsity_svg import sparsity_svg
from thalweg.reports.figures.sparsity_curves import SparsityFigure, sparsity_figure

METHODS = {
    "threshold": "the smallest weights of the dense models were set to zero after their training",
    "prune": "the smallest weights were set to zero in training, where masks hold them, and the others trained on",
    "random": "random weights were, in the place of the smallest: a control",
    "l1": "proximal steps of an L1 penalty in training, then the smallest weights that were left; its strength was"
    " chosen by the validation metric",
    "ticket": "the dense models' largest weights trained again from their initial values, the others at zero: twice the"
    " training",
}


def title() -> str:
    return "accuracy against sparsity"


def table(study: StudyRecord) -> tuple[list[str], list[list[str]]]:
    """One line per method and sparsity."""
    record, rows = _found(study)
    split = "test" if record.tested else "validation"
    heads = ["method", "sparsity", f"{split} {metric_name(record.metric)}", "worse than dense by", "weights left",
             "on disk"]  # fmt: skip
    return heads, [_row(record, row) for row in rows]


def _found(study: StudyRecord) -> tuple[SparsityRecord, list[SparsityRow]]:
    record = SparsityRecord.of(study)
    return record, sparsity_rows(record, runs_of(study.findings))


def _row(record: SparsityRecord, row: SparsityRow) -> list[str]:
    name = row.method if row.strength is None else f"{row.method} ({rate_text(row.strength)})"
    known = row.metric.count > 0
    metric = number_of(record.metric, row.metric) if known else "-"
    sparsity = "-" if row.method == DENSE else f"{row.sparsity * 100:g}%"
    loss = "-" if row.loss is None or not known else loss_text(record, row.loss)
    return [name, sparsity, metric, loss, _left(row), _size(row)]


def _left(row: SparsityRow) -> str:
    """How many weights are not zero: of all models that trained to their end."""
    if row.zeros is None:
        return "-"
    least, most = (row.weights - zeros for zeros in reversed(row.zeros))
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def _size(row: SparsityRow) -> str:
    """The bytes of a model's tensors, and their share of the dense ones'."""
    if row.bytes is None or not row.dense_bytes:
        return "-"
    return f"{row.bytes / 1e3:,.1f} kB ({row.bytes / row.dense_bytes:.0%})"


def _figure(study: StudyRecord) -> SparsityFigure:
    return sparsity_figure(*_found(study))


def svg(study: StudyRecord) -> str:
    return sparsity_svg(_figure(study))


def caption(study: StudyRecord) -> str:
    return f"{_figure(study).label} of each method, mean over seeds with its 95% interval; the dashes are dense models."


def method(study: StudyRecord) -> list[tuple[str, str]]:
    record, asked = SparsityRecord.of(study), study.request
    fixed = ", ".join(f"{name} {value}" for name, value in asked["contenders"][0]["fixed"].items())
    said = [
        ("training", f"Every model trained {record.steps:,} steps with {record.optimizer}{fixed and f' ({fixed})'}; all"
            " models of a seed share initial weights and batches."),
        ("differences", "Paired by seed; intervals cover the mean at 95%."),
        *((name, f"{METHODS[name][0].upper()}{METHODS[name][1:]}.") for name in record.methods),
    ]  # fmt: skip
    if {"prune", "random"} & set(record.methods):
        when = f"from step {asked['begin']:,} to {asked['end']:,}, every {asked['frequency']:,}"
        said.append(("schedule", f"{asked['schedule'].capitalize()}, scope {asked['scope']}, {when}."))
    return said
