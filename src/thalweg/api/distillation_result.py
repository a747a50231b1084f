"""The result of a distillation: its models and what was found of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from thalweg.api.findings import Findings
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.page import write
from thalweg.studies.distilling import DISTILLED, PLAIN, TEACHER
from thalweg.studies.ensembling import TrainedModel
from thalweg.studies.kept_models import write_weights

FILE = "distillation.json"


@dataclass(frozen=True)
class Distillation:
    """Models of a teacher, of students on labels and of distilled students, in evaluation mode, and the findings.

    A teacher that was given is not among them.
    """

    findings: Findings = field(repr=False)
    teacher: tuple[TrainedModel, ...] = field(repr=False)
    plain: tuple[TrainedModel, ...] = field(repr=False)
    distilled: tuple[TrainedModel, ...] = field(repr=False)

    @property
    def models(self) -> list[nn.Module]:
        """The distilled students, by ascending seed."""
        return [of.model for of in self.distilled]

    @property
    def study(self) -> StudyRecord:
        """The record of the study."""
        return self.findings.study

    @property
    def runs(self) -> Sequence[RunRecord]:
        """The runs: the teacher's, the students' on labels, the distilled students'."""
        return self.findings.runs

    @property
    def scores(self) -> dict[str, Any]:
        """Scores by kind and seed, the gain paired by seed, and the distance to the teacher, with intervals."""
        return dict(self.study.findings)

    @property
    def verdict(self) -> str:
        """The findings in words."""
        return self.findings.verdict

    @property
    def rows(self) -> tuple[()]:
        """Empty: a distillation has no leaderboard."""
        return ()

    def __str__(self) -> str:
        return str(self.findings)

    def lines(self, width: int = 80) -> list[str]:
        """The verdict and the table, in so many columns."""
        return self.findings.lines(width)

    def facts(self) -> dict[str, Any]:
        """Everything found as plain data that `json` can write."""
        return self.findings.facts()

    def save_report(self, path: str | Path) -> None:
        """Writes the report: one HTML page that needs no network."""
        self.findings.save_report(path)

    def save_picture(self, path: str | Path) -> None:
        """Writes the scores by kind as SVG."""
        self.findings.save_picture(path)

    def save(self, directory: str | Path) -> Path:
        """Writes each model to a safetensors file, and `distillation.json`, into a directory."""
        place, listed = Path(directory), []
        for kind, models in ((TEACHER, self.teacher), (PLAIN, self.plain), (DISTILLED, self.distilled)):
            for i, of in enumerate(models):
                file = f"{kind}-{i}.safetensors"
                write_weights(place / file, of.weights, {"seed": str(of.seed)})
                listed.append({"file": file, "kind": kind, "seed": of.seed})
        write(place / FILE, json.dumps({"workload": self.study.workload, "models": listed}, indent=2) + "\n")
        return place
