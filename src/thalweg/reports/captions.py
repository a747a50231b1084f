"""Texts of the page: key facts, and titles and labels of the charts."""

from collections.abc import Sequence

from thalweg.analysis.formatting import metric_name, several
from thalweg.analysis.leaderboard import Row
from thalweg.errors import listed
from thalweg.options.declared import MIXED
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.figures.formatting import capital, duration, rate, target, value
from thalweg.reports.figures.sweep import Panel, Sweep

Pairs = list[tuple[str, str]]


def key_facts(study: StudyRecord, runs: Sequence[RunRecord]) -> Pairs:
    """Key facts of the study as (name, text)."""
    samples = " · ".join(f"{count:,} {split}" for split, count in study.samples.items())
    fresh = f" + {len(study.confirmation_seeds)} fresh" if study.confirmation_seeds else ""
    return [
        ("model", several(study.parameters, "parameter")),
        ("samples", samples),
        ("training", _training(study)),
        ("seeds", f"{len(study.tuning_seeds)} tuning{fresh}"),
        ("runs", f"{len(runs):,} trained, {sum(run.diverged for run in runs):,} diverged"),
        *([("wall time", wall_time(study))] if study.seconds else []),
    ]


def wall_time(study: StudyRecord) -> str:
    """How long the study was worked on, without the time between its sessions: `24.3 s, after 6.1 s of checks`.

    Empty where that is unknown. The checks come before the first run; those of a resumed study's later sessions, which
    are shorter, are not counted.
    """
    if not study.seconds:
        return ""
    checks = study.plan.get("expected", {}).get("preparing")
    return duration(study.seconds) + (f", after {duration(checks)} of checks" if checks else "")


def _training(study: StudyRecord) -> str:
    several_batches = f"{study.accumulate:,} × " if study.accumulate > 1 else ""
    dropped = ", the short last one dropped" if study.drop_last else ""
    mixed = ", in bfloat16" if study.precision == MIXED else ""
    return f"{_length(study)}, batch {several_batches}{study.batch_size:,}{dropped}{mixed}"


def _length(study: StudyRecord) -> str:
    """Length of a run in words: epochs if it is a whole number of them, else steps."""
    epochs, rest = divmod(study.steps, study.steps_per_epoch)
    return several(study.steps, "step") if rest else several(epochs, "epoch")


def sweep_title(whole: Sweep) -> str:
    """The recommended contender's good range, and the number of optimizers that diverge at some rate."""
    diverging = sum(any(spot.diverged for line in panel.lines for spot in line) for panel in whole.panels)
    lead = _good(next((panel for panel in whole.panels if panel.picked), whole.panels[0]))
    if not diverging:
        return f"{lead} No tuning run diverged."
    return f"{lead} {diverging} of {several(len(whole.panels), 'optimizer')} diverged at some rate."


def _good(panel: Panel) -> str:
    if panel.chosen is None:
        return f"No rate of {panel.contender} let every seed finish."
    if panel.good is None and panel.others:
        tried = sum(map(len, panel.lines))
        return f"Of {tried:,} configurations of {panel.contender}, one at rate {rate(panel.chosen.rate)} was chosen."
    if panel.good is None:
        return f"{panel.contender} was run at the single rate {rate(panel.chosen.rate)}."
    low, high = map(rate, panel.good)
    if low == high:
        return f"For {panel.contender}, no other rate does as well as {low}."
    return f"{panel.contender} does as well as its best from {low} to {high}."


def panel_label(study: StudyRecord, panel: Panel) -> str:
    """A panel's label: the metric at the chosen rate, that rate, and whether the best lies on an edge."""
    if panel.chosen is None:
        return "no rate let every seed finish"
    edge = f", the best is the {panel.edge} tried" if panel.edge else ""
    reached = "" if panel.chosen.mean is None else f"{value(study, panel.chosen.mean)} "
    return f"{reached}at {rate(panel.chosen.rate)}{edge}"


def spots(study: StudyRecord, panel: Panel) -> str:
    """Text alternative of a panel: its means, and the rates where runs diverged."""
    means = [f"{value(study, s.mean)} at {rate(s.rate)}" for s in panel.spots if s.mean is not None]
    failed = [f"{s.diverged} of {s.runs} diverged at {rate(s.rate)}" for s in panel.spots if s.diverged]
    return "; ".join([*means, *failed])


def curves_title(study: StudyRecord, rows: Sequence[Row]) -> str:
    """The optimizers that reach the target first; without a target, the first contender's final metric."""
    timed = [row for row in rows if row.steps_to_target is not None and row.reached == row.runs]
    if study.target is not None and timed:
        least = min(row.steps_to_target for row in timed if row.steps_to_target is not None)
        fastest = [row.contender for row in timed if row.steps_to_target == least]
        reach = "reaches" if len(fastest) == 1 else "reach"
        return f"{listed(fastest, 4)} {reach} {target(study)} first, after {least:,.0f} steps (median)."
    if not rows[0].validation.count:
        return "No final run finished."
    missed = "" if study.target is None else f" No optimizer reaches {target(study)} with every seed."
    metric = value(study, rows[0].validation.mean)
    return f"{rows[0].contender} ends at {metric} validation {metric_name(study.metric)}.{missed}"


def metric_heading(study: StudyRecord) -> str:
    """Heading of the panels, such as `Accuracy by learning rate`, `MSE by learning rate`."""
    return f"{capital(metric_name(study.metric))} by learning rate"


def stops_early(study: StudyRecord) -> bool:
    """Whether all runs may stop early, and count with their best weights."""
    return "early_stopping" in study.plan


def some_stop_early(study: StudyRecord) -> bool:
    """Whether runs of any contender may stop early, and count with their best weights."""
    return stops_early(study) or "early_stopping_of" in study.plan


def final(study: StudyRecord) -> str:
    """Of which weights a run's final metric is."""
    if stops_early(study):
        return "of the weights that early stopping kept, each run’s best"
    if some_stop_early(study):
        return "at the end of training, and where runs stop early of the weights that were kept, each run’s best"
    return "at the end of training, not at its best epoch"
