"""What is said of a distillation: its table, its picture, and how it was measured."""

import math
from typing import Any

from thalweg.analysis.ensembles import gain_cell, interval_of
from thalweg.analysis.formatting import metric_name, number, several, size, value_text
from thalweg.records.types import StudyRecord
from thalweg.reports.drawing.ensemble_svg import ScoreRow, rows_svg

KINDS = {"plain": "student on labels", "distilled": "distilled student"}


def title() -> str:
    return "a distillation"


def table(study: StudyRecord) -> tuple[list[str], list[list[str]]]:
    """One line per kind of model."""
    found, parameters = study.findings, study.findings["parameters"]
    teacher = "teacher" if len(found["teachers"]) == 1 else f"teacher, {len(found['teachers'])} models"
    rows = [[teacher, _count(parameters.get("teacher")), value_text(study, found["teacher"]), ""]]
    for kind, name in KINDS.items():
        key = "student" if kind == "plain" else kind
        gain = gain_cell(study, interval_of(found["gain"])) if kind == "distilled" else ""
        rows.append([name, _count(parameters[key]), number(study, interval_of(found[kind]["mean"])), gain])
    return ["model", "parameters", f"{found['split']} {metric_name(study.metric)}", "gain over labels"], rows


def _count(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters:,}"


def svg(study: StudyRecord) -> str:
    found = study.findings
    teacher = ScoreRow("teacher", tuple(found["teachers"]), found["teacher"], math.nan, math.nan)
    rows = [teacher, *(_row(name, found[kind]) for kind, name in KINDS.items())]
    title = f"{study.workload}: students at temperature {found['temperature']:g}, weight {found['weight']:g}"
    return rows_svg(study, title, f"{found['split']} {metric_name(study.metric)}", rows)


def _row(name: str, of: dict[str, Any]) -> ScoreRow:
    mean = interval_of(of["mean"])
    return ScoreRow(name, tuple(of["scores"]), mean.mean, mean.low, mean.high)


def caption(study: StudyRecord) -> str:
    found = study.findings
    return (
        f"The {found['split']} {metric_name(study.metric)} of the teacher and its models, and of students: small dots"
        " are single models, bars 95% intervals of the mean."
    )


def method(study: StudyRecord) -> list[tuple[str, str]]:
    found = study.findings
    t, w, behind = found["temperature"], found["weight"], interval_of(found["behind"])
    labels = "all samples" if found["labels"] is None else several(found["labels"], "sample")
    more = f", and {several(found['transfer'], 'sample')} without labels" if found["transfer"] else ""
    return [
        ("teacher", f"{several(len(found['teachers']), 'model')}, whose softened probabilities are averaged."),
        ("students", f"Labels of {labels}; both kinds start from the same weights, seed by seed, for as many steps."),
        ("distilled", f"Loss {w:g}·T²·KL(teacher ‖ student) at T = {t:g}, plus {1 - w:g} of the labels' cross"
            f" entropy{more}. The teacher answers each sample once, as it is."),
        ("gain", "Distilled minus plain, paired by seed, with its 95% interval: Student's t, from ten seeds on the"
            " bootstrap."),
        ("behind the teacher", f"{size(study, behind.mean)} on average."),
    ]  # fmt: skip
