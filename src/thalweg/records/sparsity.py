"""What a study of sparse models leaves behind: its runs, in one folder, appended as they finish. Without torch."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from thalweg.errors import InputError, first_line

DENSE = "dense"
STUDY, RUNS, FINISHED = "study.json", "runs.jsonl", "finished"
FOLDER = "sparsify"
"""The folder of these studies in the directory of all."""


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
    """A study of sparse models. request: all that its runs depend on, as JSON data; plan: how they were executed."""

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
    plan: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class SparsityStore:
    """One study's folder: `OUT/sparsify/1`, `2`, …; `fresh` says whether it was made now.

    Raises `InputError` where it cannot be read or written.
    """

    def __init__(self, path: Path, record: SparsityRecord, *, fresh: bool) -> None:
        self.path, self.record, self.fresh = path, record, fresh

    @property
    def number(self) -> int:
        return int(self.path.name)

    def runs(self) -> dict[int, tuple[SparseRun, ...]]:
        """The runs of the members that have finished, by position; a line that was cut off counts as missing."""
        found: dict[int, tuple[SparseRun, ...]] = {}
        for line in _text(self.path / RUNS).splitlines() if (self.path / RUNS).exists() else ():
            try:
                raw = json.loads(line)
                found[raw["position"]] = tuple(SparseRun(**run) for run in raw["runs"])
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def add(self, position: int, runs: Iterable[SparseRun]) -> None:
        """Appends what came of a member, and waits until it is on the disk."""
        line = json.dumps({"position": position, "runs": [asdict(run) for run in runs]})
        try:
            with (self.path / RUNS).open("a", encoding="utf-8") as file:
                file.write(("\n" if self._cut else "") + line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritten(self.path, error) from None

    @property
    def _cut(self) -> bool:
        """Whether the last line has no end: the process was killed while it wrote."""
        where = self.path / RUNS
        return where.exists() and where.stat().st_size > 0 and not where.read_bytes().endswith(b"\n")

    def finish(self) -> None:
        """Marks the study finished, so that the next with the same request begins anew; removes its tensors."""
        try:
            (self.path / FINISHED).touch()
            for path in self.path.glob("*.safetensors"):
                path.unlink()
        except OSError as error:
            raise _unwritten(self.path, error) from None


def kept_in(directory: Path, record: SparsityRecord) -> SparsityStore:
    """The store of the newest unfinished study with the record's request, to go on; else of a new one."""
    folder = directory / FOLDER
    earlier = _numbers(folder)
    for number in reversed(earlier):
        path = folder / str(number)
        found = None if (path / FINISHED).exists() else _read(path)
        if found is not None and found.request == _plain(record.request):
            return SparsityStore(path, found, fresh=False)
    path = folder / str(max(earlier, default=0) + 1)
    try:
        path.mkdir(parents=True)
        part = path / f"{STUDY}.part"
        part.write_text(json.dumps(asdict(record)), encoding="utf-8")
        part.replace(path / STUDY)
    except OSError as error:
        raise _unwritten(path, error) from None
    return SparsityStore(path, record, fresh=True)


def _numbers(folder: Path) -> Sequence[int]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def _read(path: Path) -> SparsityRecord | None:
    """The record of a study; `None` where it cannot be read, as one whose process was killed at its beginning."""
    try:
        raw = json.loads(_text(path / STUDY))
        tuples = {name: tuple(raw[name]) for name in ("seeds", "methods", "sparsities", "notes")}
        return SparsityRecord(**{**raw, **tuples})
    except (InputError, ValueError, TypeError, KeyError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or first_line(error)}.") from None


def _plain(request: Mapping[str, Any]) -> Any:
    """The request after a JSON round trip, as it is read."""
    return json.loads(json.dumps(dict(request)))


def _unwritten(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be written: {error.strerror or first_line(error)}; choose another directory with out."
    )
