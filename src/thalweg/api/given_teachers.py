"""Teachers and transfer sets that a distillation is given: objects, or texts that say where they are."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from thalweg.api.ensemble import FILE, Ensemble, read_models, workload_of
from thalweg.errors import InputError, first_line, shown
from thalweg.population.training.job import Job
from thalweg.workloads.content import joined, model_content, value_content
from thalweg.workloads.user_files import absolute, called_at, is_place
from thalweg.workloads.workload import Workload


def teacher_models(teacher: Any, device: torch.device, workload: Workload) -> tuple[nn.Module, ...]:
    """Copies of a teacher's models in evaluation mode.

    teacher: an `Ensemble`, a model, a list of models; a directory that `Ensemble.save` wrote of the workload's own
    model; or `"my_file.py:name"` of one of these or of a function that returns one. Raises `InputError` for others.
    """
    if isinstance(teacher, str | Path):
        teacher = _at(str(teacher), device, workload)
    models = teacher.models if isinstance(teacher, Ensemble) else [teacher]
    if isinstance(teacher, list | tuple):
        models = [*teacher]
    if not models or not all(isinstance(m, nn.Module) for m in models):
        raise InputError(
            "teacher must be an Ensemble, a model or a list of models, a directory of thalweg ensemble --save, or"
            f" my_file.py:name of one of these, got {shown(teacher)}."
        )
    return tuple(copy.deepcopy(m).to(device).eval() for m in models)


def _at(place: str, device: torch.device, workload: Workload) -> Any:
    """What a teacher's text names."""
    path = Path(place)
    if (path / FILE).is_file():
        whose = workload_of(path)
        if whose != workload.name:
            raise InputError(
                f"{path} holds models of {whose!r}, and the workload is {workload.name!r}: if they are meant, give them"
                " as my_file.py:name."
            )
        return [of.model for of in read_models(path, Job(workload, device, frozenset()))]
    if path.is_dir():
        raise InputError(f"{path} holds no ensemble: give a directory that thalweg ensemble --save wrote.")
    return called_at(place) if is_place(place) else place


def transfer_samples(transfer: Any) -> Any:
    """The samples of a transfer set: as given, or of a .npy file, or of `"my_file.py:name"`. `None` for none.

    Raises `InputError` where a text names neither.
    """
    if not isinstance(transfer, str | Path):
        return transfer
    text = str(transfer)
    if text.endswith(".npy"):
        try:
            return np.load(text, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"transfer cannot be read from {text}: {first_line(error)}.") from None
    if not is_place(text):
        raise InputError(f"transfer must be samples, a .npy file or my_file.py:name, got {shown(transfer)}.")
    return called_at(text)


def as_text(given: Any) -> str | None:
    """The text of what is given by a text, with whole paths, for a request; `None` for an object."""
    if not isinstance(given, str | Path):
        return None
    text = str(given)
    is_path = Path(text).exists() or text.endswith(".npy") or not is_place(text)
    return str(Path(text).absolute()) if is_path else absolute(text)


def given_content(models: tuple[nn.Module, ...], transfer: Any) -> str:
    """A hash of a teacher's models and of a transfer set."""
    samples = transfer if transfer is None or isinstance(transfer, torch.Tensor) else np.asarray(transfer)
    return joined(*map(model_content, models), value_content(samples))
