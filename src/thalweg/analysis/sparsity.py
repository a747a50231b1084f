"""Accuracy against sparsity: the mean of each method at each sparsity, and its difference to dense models by seed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from thalweg.analysis.intervals import Interval, mean_interval, paired_interval
from thalweg.records.sparsity import DENSE, TICKET, SparseRun, SparsityRecord


@dataclass(frozen=True)
class SparsityRow:
    """One method at one sparsity, over seeds.

    metric: of the test split, or of the validation split where there is none. loss: how much worse it is than the dense
    models of the same seeds, positive where it is worse; `None` of these themselves. zeros: the least and the most of
    a run that trained to its end, among `weights`; `None` where none did. own_sparsity: the mean share of zeros before
    the smallest were cut, where a method has one. strength: of its penalty, chosen by the validation metric. bytes: on
    disk, the mean; dense_bytes: of all numbers. broken: runs that broke off, or could not begin: a ticket needs a
    dense model that trained to its end.
    """

    method: str
    sparsity: float
    metric: Interval
    loss: Interval | None
    weights: int
    zeros: tuple[int, int] | None
    own_sparsity: float | None = None
    strength: float | None = None
    bytes: float | None = None
    dense_bytes: float | None = None
    broken: int = 0

    def facts(self) -> dict[str, Any]:
        """It as plain data that `json` can write."""
        out = asdict(self)
        for name in ("metric", "loss"):
            interval = getattr(self, name)
            out[name] = None if interval is None else _ends(interval)
        return out


def _ends(interval: Interval) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return value if value == value else None  # NaN of one value

    return {
        "mean": known(interval.mean), "low": known(interval.low), "high": known(interval.high), "seeds": interval.count,
    }  # fmt: skip


def sparsity_rows(record: SparsityRecord, runs: Sequence[SparseRun]) -> list[SparsityRow]:
    """The dense row, then each method's by ascending sparsity, in the order of the record."""
    dense = [run for run in runs if run.method == DENSE]
    rows = [_row(record, dense, [])]
    for method in record.methods:
        for sparsity in record.sparsities:
            own = [run for run in runs if run.method == method and run.sparsity == sparsity]
            if own:
                rows.append(_row(record, _of_best_strength(record, own), dense))
    return rows


def _of_best_strength(record: SparsityRecord, runs: Sequence[SparseRun]) -> list[SparseRun]:
    """The runs of the strength with the best mean validation metric; one that broke off counts as the worst."""
    strengths = sorted({run.strength for run in runs if run.strength is not None})
    if not strengths:
        return [*runs]
    sign = 1.0 if record.higher_is_better else -1.0

    def mean(strength: float) -> float:
        values = [run.validation_metric for run in runs if run.strength == strength]
        known = [sign * value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else float("-inf")

    best = max(strengths, key=mean)
    return [run for run in runs if run.strength == best]


def _row(record: SparsityRecord, runs: Sequence[SparseRun], dense: Sequence[SparseRun]) -> SparsityRow:
    values = {run.seed: value for run in runs if (value := metric_of(record, run)) is not None}
    of_dense = {run.seed: value for run in dense if (value := metric_of(record, run)) is not None}
    both = [seed for seed in values if seed in of_dense]
    better, worse = ([of[seed] for seed in both] for of in (of_dense, values))
    if not record.higher_is_better:
        better, worse = worse, better
    first = runs[0]
    own = [run.own_zeros / run.weights for run in runs if run.own_zeros is not None]
    zeros = [run.zeros for run in runs if run.seed in values]
    expected = len(record.seeds) if first.method == TICKET else len(runs)
    return SparsityRow(
        method=first.method,
        sparsity=first.sparsity,
        metric=mean_interval([*values.values()]),
        loss=paired_interval(better, worse) if dense else None,
        weights=first.weights,
        zeros=(min(zeros), max(zeros)) if zeros else None,
        own_sparsity=sum(own) / len(own) if own else None,
        strength=first.strength,
        bytes=_mean(run.bytes for run in runs),
        dense_bytes=_mean(run.dense_bytes for run in runs),
        broken=expected - len(values),
    )


def _mean(values: Iterable[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def metric_of(record: SparsityRecord, run: SparseRun) -> float | None:
    """The metric that rows compare."""
    return run.test_metric if record.tested else run.validation_metric
