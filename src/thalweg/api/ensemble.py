"""An ensemble of trained models: what they answer together."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.api.findings import OfFindings
from thalweg.errors import InputError
from thalweg.population.training.job import Job
from thalweg.reports.page import write
from thalweg.studies.ensembling import TrainedModel
from thalweg.studies.jobs import with_arguments
from thalweg.studies.kept_models import model_with, read_weights, write_weights
from thalweg.workloads.combining import Average, combined, probabilities

FILE = "ensemble.json"
CHUNK = 1024


@dataclass(frozen=True)
class Ensemble(OfFindings):
    """Models of one workload, in evaluation mode, and what was found of them.

    trained: the models with their seeds, steps and weights. average: what is averaged, `"probabilities"` or `"logits"`.
    """

    trained: tuple[TrainedModel, ...] = field(repr=False)
    average: Average
    job: Job = field(repr=False)

    @property
    def models(self) -> list[nn.Module]:
        """The models, as `nn.Module`s in evaluation mode."""
        return [of.model for of in self.trained]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the models, in their order."""
        return tuple(of.seed for of in self.trained)

    def __len__(self) -> int:
        return len(self.trained)

    @torch.no_grad()
    def outputs(self, *inputs: Any) -> Tensor:
        """The mean answer to inputs `[samples, …]`, as outputs that the workload's loss and metric take, in float64.

        inputs: as the model takes them, tensors or arrays. Under cross entropy these are log probabilities.
        """
        given = tuple(torch.as_tensor(x, device=self.job.device) for x in inputs)
        given = tuple(x.to(self._dtype) if x.is_floating_point() else x for x in given)
        chunks = zip(*(torch.split(x, CHUNK) for x in given), strict=True)
        parts = [torch.stack([model(*chunk) for model in self.models]) for chunk in chunks]
        return torch.cat([combined(part, self.job.workload.loss, self.average) for part in parts])

    def predict(self, *inputs: Any) -> Tensor:
        """The mean answer to inputs `[samples, …]`: probabilities of the classes, or the outputs where there are none.

        In float64 `[samples, …]`; inputs as `outputs` takes them.
        """
        return probabilities(self.outputs(*inputs), self.job.workload.loss)

    @property
    def _dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.models[0].parameters() if p.is_floating_point()), torch.get_default_dtype())

    def save(self, directory: str | Path) -> Path:
        """Writes each model to a safetensors file, and `ensemble.json`, into a directory, which is made if need be.

        `model.load_state_dict(safetensors.torch.load_file(path), strict=False)` loads a model.
        """
        place = Path(directory)
        for i, of in enumerate(self.trained):
            write_weights(place / _file(i), of.weights, {"seed": str(of.seed)})
        models = [{"file": _file(i), "seed": of.seed, "step": of.step} for i, of in enumerate(self.trained)]
        arguments = self.study.calls.get(self.study.contenders[0], {}).get("model", {})
        about = {"workload": self.study.workload, "average": self.average, "models": models, "arguments": arguments}
        write(place / FILE, json.dumps(about, indent=2) + "\n")
        return place


def _file(place: int) -> str:
    return f"model-{place}.safetensors"


def workload_of(directory: Path) -> str:
    """The name of the workload whose models `Ensemble.save` wrote. Raises `InputError` where that cannot be read."""
    return str(_about(directory)["workload"])


def _about(directory: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((directory / FILE).read_text("utf-8"))
        if not isinstance(about["workload"], str):
            raise TypeError
        return {**about, "models": [(str(m["file"]), int(m["seed"]), m["step"]) for m in about["models"]]}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{directory} holds no ensemble: give a directory that Ensemble.save wrote.") from None


def read_models(directory: Path, job: Job) -> tuple[TrainedModel, ...]:
    """The models that `Ensemble.save` wrote, of this job's workload. Raises `InputError` where they cannot be read."""
    about, found = _about(directory), []
    arguments = {n: tuple(v) if isinstance(v, list) else v for n, v in about.get("arguments", {}).items()}
    job = replace(job, workload=with_arguments(job.workload, arguments))
    for file, seed, step in about["models"]:
        weights = read_weights(directory / file)
        found.append(TrainedModel(seed, step, weights, model_with(job, seed, weights)))
    return tuple(found)
