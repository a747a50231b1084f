"""The stored studies of a directory."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.errors import InputError
from thalweg.options import declared as options
from thalweg.records.kept_models import models_folder
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord, Summary

if TYPE_CHECKING:  # what reads runs imports NumPy; a list of studies does not wait for it
    from thalweg.analysis.difference import Difference
    from thalweg.api.findings import Findings
    from thalweg.api.result import Result

Read = tuple[StudyRecord, list[RunRecord]]
Summaries = list[Summary]


class Studies:
    """The studies that comparisons have stored in a directory (`compare(out=…)`), finished or not.

    Iterating gives their ids, the oldest first. Where a method takes a study's id, `None` is the newest. Every method
    raises `InputError` where the directory holds no studies, or not that one.

        for study in (studies := thalweg.Studies("thalweg-out")):
            print(study, studies.open(study).verdict)
    """

    def __init__(self, directory: str | Path = options.DIRECTORY) -> None:
        self.directory = options.STORE.check(directory)

    def __iter__(self) -> Iterator[int]:
        return iter([summary.id for summary in self.list()])

    def __len__(self) -> int:
        return len(self.list())

    def __repr__(self) -> str:
        return f"Studies({str(self.directory)!r})"

    def list(self) -> Summaries:
        """A summary of every study, the oldest first."""
        with closing(Store(self.directory)) as store:
            return store.summaries()

    def summary(self, study: int | None = None) -> Summary:
        """The summary of a study."""
        number = self._number(study)
        self._read(number)
        return next(summary for summary in self.list() if summary.id == number)

    def open(self, study: int | None = None) -> "Result | Findings":
        """The result of a study, final or so far."""
        from thalweg.api.result import stored

        return stored(self.directory, study)

    def report(self, study: int | None = None, to: str | Path | None = None) -> Path:
        """Writes the report of a study, atomically; returns its path, `report-ID.html` in the directory by default."""
        number = self._number(study)
        path = self.directory / f"report-{number}.html" if to is None else Path(to)
        try:
            self.open(number).save_report(path)
        except OSError as error:
            raise InputError(f"The report cannot be written to {path}: {error.strerror}.") from None
        return path

    def export(self, study: int | None = None, format: str = "csv", to: str | Path | None = None) -> tuple[Path, ...]:
        """Writes every run of a study, with its curve, as "csv", "parquet" or "json"; returns the files written.

        to: the first file; `study-ID` in the directory by default.
        """
        from thalweg.reports import export as exporting

        number = self._number(study)
        record, runs = self._read(number)
        path = self.directory / f"study-{number}.{format}" if to is None else Path(to)
        return exporting.export(record, runs, format, path)

    def diff(self, before: int | str, after: int | str) -> "Difference":
        """What changed from one study to another, and whether it is significant. A study: its id, or `DIRECTORY:ID`."""
        from thalweg.analysis.difference import difference

        return difference(self._found(before), self._found(after))

    def delete(self, study: int) -> int:
        """Removes a study with its runs, models, checkpoints and report; returns how many runs it had.

        Raises `InputError` where a process works on it.
        """
        own = folder(self.directory, study)
        with closing(Store(self.directory)) as store:
            runs = len(store.runs(study))
            with closing(Lock(own, study)):
                store.delete(study)
        shutil.rmtree(own, ignore_errors=True)
        shutil.rmtree(models_folder(self.directory, study), ignore_errors=True)
        (self.directory / f"report-{study}.html").unlink(missing_ok=True)
        return runs

    def _number(self, study: int | None) -> int:
        if (number := options.STUDY.check(study)) is not None:
            return int(number)
        with closing(Store(self.directory)) as store:
            return store.latest()

    def _read(self, study: int) -> Read:
        with closing(Store(self.directory)) as store:
            return store.study(study), store.runs(study)

    def _found(self, study: int | str) -> Read:
        directory, _, number = str(study).rpartition(":")
        if not number.isdecimal():
            raise InputError(
                f"A study is given by its ID or as DIRECTORY:ID, got {study!r}; thalweg studies lists them."
            )
        return (Studies(directory) if directory else self)._read(int(number))
