"""The result of a distillation: its models and what was found of them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from thalweg.api.findings import OfFindings
from thalweg.reports.page import write
from thalweg.studies.distilling import DISTILLED, PLAIN, TEACHER
from thalweg.studies.ensembling import TrainedModel
from thalweg.studies.kept_models import write_weights

FILE = "distillation.json"


@dataclass(frozen=True)
class Distillation(OfFindings):
    """Models of a teacher, of students on labels and of distilled students, in evaluation mode, and the findings.

    A teacher that was given is not among them.
    """

    teacher: tuple[TrainedModel, ...] = field(repr=False)
    plain: tuple[TrainedModel, ...] = field(repr=False)
    distilled: tuple[TrainedModel, ...] = field(repr=False)

    @property
    def models(self) -> list[nn.Module]:
        """The distilled students, by ascending seed."""
        return [of.model for of in self.distilled]

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
