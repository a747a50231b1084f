"""The result of a study of sparse models."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from thalweg.analysis.sparsity import SparsityRow, sparsity_rows
from thalweg.errors import InputError, shown
from thalweg.records.sparsity import SparseRun, SparsityRecord
from thalweg.reports.drawing.sparsity_svg import sparsity_svg
from thalweg.reports.figures.sparsity_curves import sparsity_figure
from thalweg.reports.page import write
from thalweg.reports.sparsity_page import sparsity_page
from thalweg.reports.sparsity_table import WIDTH, sparsity_lines


@dataclass(frozen=True)
class SparsityStudy:
    """Accuracy against sparsity. study: what was asked; runs: every model; folder: where they are kept, if they are."""

    study: SparsityRecord
    runs: tuple[SparseRun, ...]
    folder: Path | None = None

    @cached_property
    def rows(self) -> tuple[SparsityRow, ...]:
        """The dense models first, then each method at each sparsity."""
        return tuple(sparsity_rows(self.study, self.runs))

    def row(self, method: str, sparsity: float = 0.0) -> SparsityRow:
        """One row; `"dense"` has sparsity 0. Raises `InputError` where it was not trained."""
        found = next((row for row in self.rows if (row.method, row.sparsity) == (method, sparsity)), None)
        if found is None:
            raise InputError(f"The study has no method {shown(method)} at the sparsity {sparsity:g}.")
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, width: int = WIDTH) -> list[str]:
        """The table and the sentences that a terminal of so many columns shows."""
        return sparsity_lines(self.study, self.rows, width)

    def facts(self) -> dict[str, Any]:
        """Everything as plain data that `json` can write."""
        return {
            **asdict(self.study),
            "rows": [row.facts() for row in self.rows],
            "runs": [asdict(run) for run in self.runs],
        }

    def save_picture(self, path: str | Path) -> None:
        """Writes accuracy against sparsity as an SVG. Raises `InputError` where it cannot be written."""
        write(Path(path), sparsity_svg(sparsity_figure(self.study, self.rows)))

    def save_report(self, path: str | Path) -> None:
        """Writes the picture, the table and the method as one HTML page. Raises `InputError` as `save_picture`."""
        write(Path(path), sparsity_page(self.study, self.rows, self.runs))
