"""What the page says in words: its key facts, what each chart shows, how it was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.analysis.leaderboard import Row
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.finals import ranking_split
from thalweg.reports.sweep import Panel, Sweep
from thalweg.reports.wording import capital, duration, listed, rate, several, target, value

Pairs = list[tuple[str, str]]


def key_facts(study: StudyRecord, runs: Sequence[RunRecord]) -> Pairs:
    """The study at a glance."""
    samples = " · ".join(f"{count:,} {split}" for split, count in study.samples.items())
    fresh = f" + {len(study.confirmation_seeds)} fresh" if study.confirmation_seeds else ""
    return [
        ("model", several(study.parameters, "parameter")),
        ("samples", samples),
        ("training", f"{_length(study)}, batch {study.batch_size:,}"),
        ("seeds", f"{len(study.tuning_seeds)} tuning{fresh}"),
        ("runs", f"{len(runs):,} trained, {sum(run.diverged for run in runs):,} diverged"),
        ("total run time", duration(sum(run.seconds for run in runs))),
        ("protocol", str(study.protocol)),
    ]


def _length(study: StudyRecord) -> str:
    """How long a run trains: whole epochs, or steps."""
    epochs, rest = divmod(study.steps, study.steps_per_epoch)
    return several(study.steps, "step") if rest else several(epochs, "epoch")


def sweep_title(whole: Sweep) -> str:
    """The leader's plateau, and how many diverge somewhere."""
    diverging = sum(any(spot.diverged for spot in panel.spots) for panel in whole.panels)
    lead = _plateau(whole.panels[0])
    if not diverging:
        return f"{lead} No tuning run diverged."
    return f"{lead} {diverging} of {several(len(whole.panels), 'optimizer')} diverged at some rate."


def _plateau(panel: Panel) -> str:
    if panel.chosen is None:
        return f"No rate of {panel.contender} let every seed finish."
    if panel.plateau is None:
        return f"{panel.contender} was run at the single rate {rate(panel.chosen.rate)}."
    low, high = map(rate, panel.plateau)
    if low == high:
        return f"For {panel.contender}, no other rate comes within one standard error of its best, {low}."
    return f"{panel.contender} stays within one standard error of its best from {low} to {high}."


def panel_label(study: StudyRecord, panel: Panel) -> str:
    """A panel in one line: what was chosen, and what the chart shows of it."""
    if panel.chosen is None:
        return "no rate let every seed finish"
    edge = f", the best is the {panel.edge} tried" if panel.edge else ""
    reached = "" if panel.chosen.mean is None else f"{value(study, panel.chosen.mean)} "
    return f"{reached}at {rate(panel.chosen.rate)}{edge}"


def spots(study: StudyRecord, panel: Panel) -> str:
    """A panel's means, and where runs diverged, for those who do not see it."""
    means = [f"{value(study, s.mean)} at {rate(s.rate)}" for s in panel.spots if s.mean is not None]
    failed = [f"{s.diverged} of {s.runs} diverged at {rate(s.rate)}" for s in panel.spots if s.diverged]
    return "; ".join([*means, *failed])


def curves_title(study: StudyRecord, rows: Sequence[Row]) -> str:
    """Who reaches the target first; without a target, where the leader ends."""
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
    return f"{rows[0].contender} ends at {metric} validation {study.metric}.{missed}"


def measured(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Pairs:
    """How the numbers came to be: (what, explanation)."""
    metric = f"validation {study.metric}"
    steps = "" if study.target is None else _steps(study, metric)
    return [
        ("Tuning", _tuning(study)),
        ("Choice", _choice(metric)),
        ("Confirmation", _confirmation(study, rows)),
        ("Intervals and ties", _ties(study)),
        ("Diverged", _diverged(runs)),
        *([("Steps to target", steps)] if steps else []),
    ]


def _tuning(study: StudyRecord) -> str:
    counts = sorted({len(rates) for rates in study.learning_rates.values()})
    many = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    rates = "1 learning rate" if many == "1" else f"{many} learning rates"
    seeds = f"{several(len(study.tuning_seeds), 'seed')} ({_range(study.tuning_seeds)})"
    return (
        f"Each optimizer was tuned on its own, over {rates}, every one with {seeds}. With one seed, all optimizers "
        "start from the same weights and see the same batches in the same order."
    )


def _choice(metric: str) -> str:
    return (
        f"By the mean {metric} at the end of training, not at its luckiest epoch. Around the best mean, the unbroken "
        "row of rates within one standard error of it is the plateau; its middle is chosen, the lower of two. "
        "A rate at which any seed failed to finish cannot be chosen."
    )


def _confirmation(study: StudyRecord, rows: Sequence[Row]) -> str:
    if not study.confirmation_seeds:
        return (
            "Not done: no fresh seeds were run and no test split was read. The table shows the tuning runs that made "
            "the choice, so its means are on the optimistic side."
        )
    seeds = f"{several(len(study.confirmation_seeds), 'fresh seed')} ({_range(study.confirmation_seeds)})"
    first = (
        f"The chosen rates, and each optimizer's published defaults, were trained with {seeds}, used nowhere before."
    )
    if ranking_split(study, rows) == "validation":
        return f"{first} The workload has no test split, so the validation split, which made the choice, ranks too."
    return f"{first} The test split was read in these runs only, after the choice was made."


def _ties(study: StudyRecord) -> str:
    seeds = study.confirmation_seeds or study.tuning_seeds
    if len(seeds) < 2:
        return "One seed has no interval. Every optimizer that finished counts as tied with the first: run more seeds."
    return (
        "± and whiskers are 95% Student t intervals of the mean over seeds. An optimizer is tied with the first where "
        "the 95% interval of their difference, paired seed by seed, includes zero. Overlapping whiskers alone say less."
    )


def _diverged(runs: Sequence[RunRecord]) -> str:
    count = sum(run.diverged for run in runs)
    stopped = sum(run.diverged_at is not None for run in runs)
    which = f": {stopped:,} of the first kind, {count - stopped:,} of the second" if count else ""
    return (
        "A run whose loss or weights stopped being finite, or whose training loss ended above its first batch's. "
        f"{count:,} of {several(len(runs), 'run')} did{which}."
    )


def _steps(study: StudyRecord, metric: str) -> str:
    assert study.target is not None
    better = "reaches" if study.higher_is_better else "is down to"
    return (
        f"Optimizer steps until the end of the first epoch whose {metric} {better} {target(study)}: "
        "the median over the final runs that get there."
    )


def _range(seeds: Sequence[int]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def environment(study: StudyRecord) -> Pairs:
    """Where and how the study ran, nested entries joined by dots."""
    return [*_flat(study.environment), *(_flat(study.plan, "plan."))]


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Pairs:
    out: Pairs = []
    for name, entry in entries.items():
        inner = _flat(entry, f"{prefix}{name}.") if isinstance(entry, Mapping) else [(f"{prefix}{name}", _shown(entry))]
        out += inner
    return out


def _shown(entry: Any) -> str:
    if entry is None or entry == "":
        return "–"
    return ", ".join(map(str, entry)) if isinstance(entry, (list, tuple)) else str(entry)


def metric_heading(study: StudyRecord) -> str:
    """`Accuracy against learning rate`."""
    return f"{capital(study.metric)} against learning rate"
