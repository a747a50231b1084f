"""Studies of sparse models on record: what became of every model at every sparsity. Without torch."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from thalweg.errors import InputError, first_line
from thalweg.records.types import StudyRecord

DENSE, TICKET = "dense", "ticket"


@dataclass(frozen=True)
class SparseRun:
    """One model at one sparsity.

    method: `"dense"`, or how it became sparse. sparsity: what was asked for, 0 of a dense one. weights: the numbers
    that could be pruned; zeros: how many of them are zero. own_zeros: how many were before those of the smallest
    magnitude were cut, where a method has a sparsity of its own. strength: of its penalty. bytes: of its tensors on
    disk, in rows of nonzero numbers where that is smaller; dense_bytes: of all numbers. Metrics are of the weights at
    the end, `None` where the run broke off.
    """

    method: str
    sparsity: float
    seed: int
    validation_metric: float | None
    test_metric: float | None
    weights: int
    zeros: int
    own_zeros: int | None = None
    strength: float | None = None
    bytes: int | None = None
    dense_bytes: int | None = None
    execution: str = ""
    failure: str = ""  # why it broke off


@dataclass(frozen=True)
class SparsityRecord:
    """What a study of sparse models asked for. request: its options by name, as JSON data."""

    workload: str
    metric: str
    higher_is_better: bool
    optimizer: str
    steps: int
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    sparsities: tuple[float, ...]
    tested: bool  # whether there is a test split
    request: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, study: StudyRecord) -> "SparsityRecord":
        """What a stored study asked for."""
        asked = study.request
        return cls(
            study.workload, study.metric, study.higher_is_better, asked["optimizer"], study.steps, study.tuning_seeds,
            tuple(asked["method"]), tuple(asked["sparsity"]), "test" in study.samples, asked,
        )  # fmt: skip


def runs_of(findings: Mapping[str, Any]) -> list[SparseRun]:
    """The models that a study's findings hold."""
    return [SparseRun(**run) for run in findings.get("runs", ())]


class KeptOutcomes:
    """What became of trained models, by the position of their run in the study.

    folder: where each is a file of its own, `3.json`; `None` keeps them in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[int, tuple[SparseRun, ...]] = {}

    def add(self, position: int, runs: Iterable[SparseRun]) -> None:
        """Keeps what became of a model, on disk before this returns. Raises `InputError` where it cannot be written."""
        self._held[position] = tuple(runs)
        if self._folder is not None:
            _write(self._folder / f"{position}.json", [asdict(run) for run in self._held[position]])

    def runs(self, position: int) -> tuple[SparseRun, ...]:
        """Raises `InputError` where a file is missing or damaged."""
        if position not in self._held:
            assert self._folder is not None, "kept before it is read"
            self._held[position] = _read(self._folder / f"{position}.json")
        return self._held[position]


def _write(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".thalweg-", dir=path.parent) as folder:
            made = Path(folder) / path.name
            with made.open("w", encoding="utf-8") as file:
                json.dump(runs, file)
                file.flush()
                os.fsync(file.fileno())
            made.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or first_line(error)}.") from None


def _read(path: Path) -> tuple[SparseRun, ...]:
    try:
        return tuple(SparseRun(**run) for run in json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        raise InputError(f"{path} is missing: begin the study anew, or put the file back.") from None
    except (ValueError, TypeError):
        raise InputError(f"{path} is damaged: begin the study anew.") from None
