"""The result of a study that is no comparison, as it is stored: its records, its findings, and what shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thalweg.errors import counted
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import findings as shown
from thalweg.reports.page import write


@dataclass(frozen=True)
class Findings:
    """What a study found. verdict: in words; of an unfinished study, how far it is."""

    study: StudyRecord
    runs: Sequence[RunRecord]
    verdict: str
    rows: tuple[()] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, width: int = 80) -> list[str]:
        """The verdict, a table and the notes, in so many columns."""
        return shown.lines(self.study, self.verdict, width)

    def markdown(self) -> str:
        """The verdict, the table and the notes in Markdown."""
        return shown.markdown(self.study, self.verdict)

    def facts(self) -> dict[str, Any]:
        """Everything found as plain data that `json` can write."""
        return shown.facts(self.study, self.runs, self.verdict)

    def save_report(self, path: str | Path) -> None:
        """Writes the report atomically: one HTML page that needs no network."""
        write(Path(path), shown.page(self.study, self.runs, self.verdict))

    def save_picture(self, path: str | Path) -> None:
        """Writes the picture as SVG. Raises `InputError` where it cannot be written, or nothing was found yet."""
        write(Path(path), shown.picture(self.study))


@dataclass(frozen=True)
class OfFindings:
    """A result whose models come with `findings`: what was found, and how it is shown."""

    findings: Findings = field(repr=False, kw_only=True)

    @property
    def study(self) -> StudyRecord:
        """The record of the study."""
        return self.findings.study

    @property
    def runs(self) -> Sequence[RunRecord]:
        """The runs that trained the models."""
        return self.findings.runs

    @property
    def scores(self) -> dict[str, Any]:
        """What was found, by name, as plain data."""
        return dict(self.study.findings)

    @property
    def verdict(self) -> str:
        """The findings in words."""
        return self.findings.verdict

    @property
    def rows(self) -> tuple[Any, ...]:
        """Empty: there is no leaderboard."""
        return ()

    def __str__(self) -> str:
        return str(self.findings)

    def lines(self, width: int = 80) -> list[str]:
        """The verdict and the table, in so many columns."""
        return self.findings.lines(width)

    def markdown(self) -> str:
        """The verdict, the table and the notes in Markdown."""
        return self.findings.markdown()

    def facts(self) -> dict[str, Any]:
        """Everything found as plain data that `json` can write."""
        return self.findings.facts()

    def save_report(self, path: str | Path) -> None:
        """Writes the report: one HTML page that needs no network."""
        self.findings.save_report(path)

    def save_picture(self, path: str | Path) -> None:
        """Writes the picture of the scores as SVG."""
        self.findings.save_picture(path)


def kind_of(study: StudyRecord) -> str:
    """The kind of a study: empty for a comparison."""
    return str(study.request.get("kind", ""))


def stored_findings(store: Store, number: int) -> Findings:
    """The findings of a stored study that is no comparison, final or so far."""
    study, runs, answer = store.study(number), store.runs(number), store.verdict(number)
    return Findings(study, runs, answer or f"Study {number} is not finished: {counted(len(runs), 'run')} so far.")
