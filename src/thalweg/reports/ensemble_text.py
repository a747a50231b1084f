"""What is said of an ensemble: its table, its picture, and how it was measured."""

import math
from collections.abc import Mapping
from typing import Any

from thalweg.analysis.ensembles import gain_cell, interval_of
from thalweg.analysis.formatting import metric_name, number, several, value_text
from thalweg.analysis.intervals import Interval, mean_interval
from thalweg.records.types import StudyRecord
from thalweg.reports.drawing.ensemble_svg import SizePoint, score_svg

AVERAGED = {
    "probabilities": "the models' probabilities",
    "logits": "the models' logits",
    "outputs": "the models' outputs",
}


AVERAGES = (
    "The mean of all models' weights, and of a greedy soup chosen on the validation split; batch norm's statistics are"
    " computed anew over batches of the training split."
)


def title() -> str:
    return "an ensemble"


def table(study: StudyRecord) -> tuple[list[str], list[list[str]]]:
    """One line per size, and those of averaged weights."""
    found = study.findings
    rows = [[_named(found, size), _mean(study, size), _gain(study, size)] for size in found["sizes"]]
    averaged = found["averaged_weights"]
    if averaged is not None:
        soup = f"greedy soup of {several(len(averaged['ingredients']), 'model')}"
        rows.append(["mean of the weights", value_text(study, averaged["mean"]), ""])
        rows.append([soup, value_text(study, averaged["soup"]), ""])
    return ["models together", f"{found['split']} {metric_name(study.metric)}", "gain over one"], rows


def _named(found: Mapping[str, Any], size: dict[str, Any]) -> str:
    if size["models"] == 1:
        return "1, the mean of all"
    return f"{size['models']}, all" if size["models"] == len(found["members"]) else str(size["models"])


def _mean(study: StudyRecord, size: dict[str, Any]) -> str:
    margin = size["margin"]
    if margin is None:
        return value_text(study, size["mean"])
    return number(study, Interval(size["mean"], size["mean"] - margin, size["mean"] + margin, max(3, size["groups"])))


def _gain(study: StudyRecord, size: dict[str, Any]) -> str:
    found = study.findings
    sign = 1 if study.higher_is_better else -1
    if size["models"] == len(found["members"]):
        return gain_cell(study, interval_of(found["gain"]))
    if size["models"] == 1:
        return ""
    return gain_cell(study, mean_interval([sign * (size["mean"] - found["mean"]["mean"])]))


def svg(study: StudyRecord) -> str:
    found = study.findings
    points = [SizePoint(s["models"], s["mean"], s["margin"] or math.nan) for s in found["sizes"]]
    alone = [m["score"] for m in found["members"]]
    name = f"{found['split']} {metric_name(study.metric)}"
    return score_svg(study, f"{study.workload}: {study.contenders[0]}", name, points, alone)


def caption(study: StudyRecord) -> str:
    found = study.findings
    return (
        f"The {found['split']} {metric_name(study.metric)} by the number of models whose answers are averaged; dots"
        " are the models alone, bars 95% intervals."
    )


def method(study: StudyRecord) -> list[tuple[str, str]]:
    found = study.findings
    members, samples = len(found["members"]), found["samples"]
    loss = found["loss"]
    from_one = "after each cycle of one run" if found["snapshots"] else "of as many seeds, trained at once"
    return [
        ("models", f"{members} models {from_one}, each at the same setting; nothing was chosen by the test split."),
        ("together", f"The mean of {AVERAGED[found['average']]} on {samples:,} samples of the {found['split']} split."),
        ("gain", "The score of all together minus that of each model, with the 95% interval of the mean over models:"
            " Student's t, from ten models on the bootstrap. The ensemble is taken as it is."),
        ("sizes", "Smaller ensembles are of neighbours in a ring, so that each model is in as many as any other;"
            " their intervals go by the ensembles that share no model, and there is none for more than half."),
        *([("weights", AVERAGES)] if found["averaged_weights"] is not None else []),
        ("loss", f"{loss['ensemble']:.4g} together, {sum(loss['members']) / members:.4g} on average alone."),
    ]  # fmt: skip
