"""The methods section in words: tuning, choice, confirmation, intervals, ties, failures."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.analysis import outliers
from thalweg.analysis.formatting import metric_name, several
from thalweg.analysis.intervals import FEWEST
from thalweg.analysis.row import Row
from thalweg.analysis.ties import RULE
from thalweg.records.types import NOISE, RunRecord, StudyRecord
from thalweg.reports import captions
from thalweg.reports.command import command
from thalweg.reports.cost import cap
from thalweg.reports.figures.formatting import target

Pairs = list[tuple[str, str]]


GOOD = (
    "The learning rates next to the best one whose mean validation metric is as good: within the difference that this "
    "study can tell apart, at least 2% and at most a quarter of the error left and of what training gains."
)
RECOMMENDED = (
    "Of the reliable optimizers that are not separated from the best mean, the best mean; or one whose good range is "
    "wider by half a decade, whichever tuning seed is left out, where the learning rate is the size of its steps."
)


def measured(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Pairs:
    """The methods as (term, explanation)."""
    metric = f"validation {metric_name(study.metric)}"
    searched = any(run.round == "search" for run in runs)
    made = command(study)
    return [
        *([("Command", made)] if made else []),
        ("Tuning", f"{_searched(study, runs) if searched else _gridded(study, runs)} {_alike(study)}"),
        ("Choice", _choice(study, metric, searched=searched)),
        ("Confirmation", _confirmation(study, rows)),
        ("Intervals", _intervals(study)),
        ("Separated", _ties(study)),
        ("Unreliable", outliers.RULE),
        ("Good range", GOOD),
        ("Recommended", RECOMMENDED),
        ("Diverged", _diverged(runs)),
        *([("Early stopping", _stopped(study, metric, runs))] if captions.some_stop_early(study) else []),
        *([("Steps to target", _steps(study, metric))] if study.target is not None else []),
    ]


def _gridded(study: StudyRecord, runs: Sequence[RunRecord]) -> str:
    """Describes the grid rounds that were run."""
    extended = {run.contender for run in runs if run.round == "extension"}
    further = f" Where the best was the lowest or the highest tried, rates beyond it followed, for {len(extended)} of "
    further += f"{several(len(study.contenders), 'optimizer')}."
    fine = f" Then came the rates around the best at {study.refined} per decade."
    return (
        f"Each optimizer was tuned on its own, {'first ' if extended or _refined(runs) else ''}over {_rates(study)}"
        f"{_of_range_test(study)}.{further if extended else ''}{fine if _refined(runs) else ''}"
    )


def _of_range_test(study: StudyRecord) -> str:
    found = study.request.get("design", {}).get("found")
    return ", around the interval of a range test" if found else ""


def _refined(runs: Sequence[RunRecord]) -> bool:
    return any(run.round == "fine" for run in runs)


def _rates(study: StudyRecord) -> str:
    """The number of learning rates per optimizer, and their density per decade if it is the same for all."""
    counts = sorted({len(rates) for rates in study.learning_rates.values() if rates})
    if not counts:
        return "no learning rate, for none has one"
    many = several(counts[-1], "learning rate")
    spaced = {_per_decade(rates) for rates in study.learning_rates.values() if len(rates) > 1}
    dense = spaced.pop() if len(spaced) == 1 else None
    return (many if len(counts) == 1 else f"{counts[0]} to {many}") + (f", {dense} per decade" if dense else "")


def _per_decade(rates: Sequence[float]) -> int | None:
    """Rates per decade if evenly log-spaced, else `None`."""
    places = [math.log10(rate) for rate in rates]
    steps = [b - a for a, b in itertools.pairwise(places)]
    even = min(steps) > 0 and max(steps) - min(steps) < 0.05 * max(steps)
    dense = (len(rates) - 1) / (places[-1] - places[0]) if even else 0.0
    return round(dense) if even and abs(dense - round(dense)) < 0.05 else None


def _searched(study: StudyRecord, runs: Sequence[RunRecord]) -> str:
    tried = {(run.contender, *sorted(run.hyperparameters.items())) for run in runs if run.role == "tuning"}
    most = max(sum(name == other for other, *_ in tried) for name in study.contenders)
    return (
        "Each optimizer’s hyperparameters were searched on its own by Optuna’s tree-structured Parzen estimator, "
        f"in up to {several(most, 'configuration')}."
    )


def _alike(study: StudyRecord) -> str:
    """Describes what is equal for all optimizers: cap, seeds, initial weights, batch order."""
    most = cap(study)
    capped = f" All had the same tuning budget: {most} each." if most else ""
    return (
        f"Every configuration was run with {several(len(study.tuning_seeds), 'seed')} ({_range(study.tuning_seeds)})."
        f"{capped} For a given seed, all optimizers start from the same weights and see the same batches in the "
        "same order."
    )


def _choice(study: StudyRecord, metric: str, *, searched: bool) -> str:
    alone = " Few trials of a search differ in the rate alone, so it is mostly the best trial." if searched else ""
    return (
        f"By the mean {metric} {captions.final(study)}. Of the contiguous rates around the best mean that lie within "
        "one standard error of it, by the median noise of the best and two rates on either side, the one nearest their "
        "centre (log scale) is chosen; ties go to the lower. A rate cannot be chosen at which any seed failed to "
        "finish, or that another beats on every seed."
        f"{alone}"
    )


def _confirmation(study: StudyRecord, rows: Sequence[Row]) -> str:
    if not study.confirmation_seeds:
        return (
            "Not done: no fresh seeds were run and no test split was read. The table shows the tuning runs that made "
            "the choice, so its means are on the optimistic side."
        )
    seeds = f"{several(len(study.confirmation_seeds), 'fresh seed')} ({_range(study.confirmation_seeds)})"
    also = ", and each tuned optimizer’s published defaults," if any(row.defaults for row in rows) else ""
    first = f"The chosen rates{also} were trained with {seeds}, used nowhere before."
    if rows[0].split == "validation":
        return f"{first} The workload has no test split, so the validation split, which made the choice, ranks too."
    return f"{first} The test split was read in these runs only, after the choice was made."


def _intervals(study: StudyRecord) -> str:
    counts = sorted({len(study.tuning_seeds), len(study.confirmation_seeds)} - {0})
    kinds = []
    if any(1 < count < FEWEST for count in counts):
        kinds.append(f"Student’s t below {FEWEST} seeds")
    if counts[-1] >= FEWEST:
        kinds.append(f"the percentile bootstrap, its level expanded for small samples, from {FEWEST} seeds on")
    if not kinds:
        return "One seed has no interval: run more seeds."
    alone = " One seed has none." if counts[0] == 1 else ""
    return (
        "± is the half-width of a 95% confidence interval of the mean over seeds; whiskers show the whole interval. "
        f"It is {', and '.join(kinds)}.{alone}"
    )


def _ties(study: StudyRecord) -> str:
    if len(study.confirmation_seeds or study.tuning_seeds) < 2:
        return "With one seed, nothing is separated: run more seeds."
    return f"{RULE} What falls behind is grouped the same way. Overlapping whiskers alone say less."


def _diverged(runs: Sequence[RunRecord]) -> str:
    count = sum(run.diverged for run in runs)
    stopped = sum(run.diverged_at is not None for run in runs)
    which = f": {stopped:,} of the first kind, {count - stopped:,} of the second" if count else ""
    failed = sum(bool(run.failure) for run in runs)
    other = f" {failed:,} failed for another reason: see What it cost." if failed else ""
    ended = (
        "whose training loss ended above its first batch’s"
        if any(run.loss_spread is None for run in runs)
        else "that ended worse than it began: its training loss above its first batch’s, and its validation loss above "
        f"the one before any update, each by more than {NOISE:g} standard deviations between batches"
    )
    return (
        f"A run whose loss or weights stopped being finite, or {ended}. "
        f"{count:,} of {several(len(runs), 'run')} did{which}.{other}"
    )


def _stopped(study: StudyRecord, metric: str, runs: Sequence[RunRecord]) -> str:
    own = study.plan.get("early_stopping_of")
    if own is None:
        return _stopped_by(study, study.plan["early_stopping"], metric, runs, "A run")
    each = {label: [run for run in runs if run.contender == label] for label in own}
    return " ".join(_stopped_by(study, rule, metric, each[n], f"A run of {n}") for n, rule in own.items() if each[n])


def _stopped_by(study: StudyRecord, rule: Mapping[str, Any], metric: str, runs: Sequence[RunRecord], which: str) -> str:
    least = f" by more than {rule['least_improvement']:g}" if rule["least_improvement"] else ""
    early = [run.ended_at for run in runs if run.stopped_at is not None]
    saved = sum(study.steps - at for at in early)
    share = f", which saved {saved / (study.steps * len(runs)):.0%} of all steps" if early else ""
    return (
        f"{which} ended after {several(rule['patience'], 'measurement')} whose {metric} did not improve{least}, and"
        f" every run counts with the weights of its best measurement. {len(early):,} of {several(len(runs), 'run')}"
        f" ended before the last step{share}; what tuning runs leave is there for further configurations of the same"
        " optimizer."
    )


def _steps(study: StudyRecord, metric: str) -> str:
    better = "reaches" if study.higher_is_better else "is down to"
    every = study.evaluate_every
    often = "once per epoch" if every == study.steps_per_epoch else f"once every {several(every, 'step')}"
    return (
        f"Optimizer steps until the first measurement, taken {often}, whose {metric} {better} {target(study)}: "
        "the median over the final runs that get there."
    )


def _range(seeds: Sequence[int]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def environment(study: StudyRecord) -> Pairs:
    """Environment and execution plan as (name, value), nested names joined by dots."""
    begun = [("begun", study.started)] if study.started else []
    return [*begun, ("protocol", str(study.protocol)), *_flat(study.environment), *(_flat(study.plan, "plan."))]


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Pairs:
    out: Pairs = []
    for name, entry in entries.items():
        inner = _flat(entry, f"{prefix}{name}.") if isinstance(entry, Mapping) else [(f"{prefix}{name}", _shown(entry))]
        out += inner
    return out


def _shown(entry: Any) -> str:
    if entry is None or entry == "":
        return "–"
    if isinstance(entry, float):
        return f"{entry:.4g}"
    return ", ".join(map(_shown, entry)) if isinstance(entry, (list, tuple)) else str(entry)
