"""The result of a range test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thalweg.analysis.range_curve import RangeCurve
from thalweg.analysis.range_finding import RangeFinding
from thalweg.reports.drawing.range_svg import range_svg
from thalweg.reports.figures.range_panels import range_figure
from thalweg.reports.page import write
from thalweg.reports.range_table import range_lines


@dataclass(frozen=True)
class RangeTest:
    """What a range test found, one finding per optimizer in the order given.

    steps: of a run at full length, for which rates are suggested. swept: steps of a sweep. coverage: how often an
    interval holds a rate whose validation loss lies within 1% of the lowest, over tasks like those of `calibration`,
    the source of that number. notes: sentences on what that does not hold for. curves: the sweeps by optimizer.
    """

    workload: str
    steps: int
    swept: int
    seeds: tuple[int, ...]
    findings: tuple[RangeFinding, ...]
    coverage: float
    calibration: Mapping[str, Any]
    notes: tuple[str, ...]
    curves: Mapping[str, RangeCurve] = field(repr=False, compare=False)

    def __getitem__(self, optimizer: str) -> RangeFinding:
        """The finding of an optimizer. Raises `KeyError` for one that was not tested."""
        return {f.optimizer: f for f in self.findings}[optimizer]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The table and the sentences that a terminal shows, in 80 columns."""
        return range_lines(self.findings, self.notes)

    def facts(self) -> dict[str, Any]:
        """Everything but the curves as plain data that `json` can write."""
        return {
            "workload": self.workload,
            "steps": self.steps,
            "swept": self.swept,
            "seeds": list(self.seeds),
            "coverage": self.coverage,
            "calibration": dict(self.calibration),
            "notes": list(self.notes),
            "optimizers": [f.facts() for f in self.findings],
        }

    def save_picture(self, path: str | Path) -> None:
        """Writes one SVG with all optimizers. Raises `InputError` where it cannot be written."""
        write(Path(path), range_svg(range_figure(f"Range test on {self.workload}", self.findings, self.curves)))
