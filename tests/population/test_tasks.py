"""A task is waited for, whatever happens in it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from problems import tiny
from thalweg.errors import InputError
from thalweg.population.engine import task
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe


def failing(*_: Any, **__: Any) -> None:
    raise RuntimeError("the population fails")


def test_an_error_while_an_error_is_handled_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint of a population that failed cannot be deleted, so that its members must not begin anew."""
    planned_job = plan_job(tiny(), 0, device=torch.device("cpu"), workers=1, execution="population")
    adam, checkpoints = recipe("adam"), Checkpoints(tmp_path)
    chosen = [Member(adam, adam.resolve({"lr": 0.01}), 0)]
    path = checkpoints.of([0], chosen)._path
    assert path is not None
    path.mkdir()
    monkeypatch.setattr(task, "train_vectorized", failing)
    with pytest.raises(InputError, match=r"The checkpoint .* cannot be deleted: .*; delete it\."):
        list(train(planned_job, chosen, checkpoints=checkpoints))


def test_an_error_of_our_own_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    planned_job = plan_job(tiny(), 0, device=torch.device("cpu"), workers=1, execution="population")
    adam = recipe("adam")
    monkeypatch.setattr(task.Task, "_instead", failing)
    monkeypatch.setattr(task, "train_vectorized", failing)
    with pytest.raises(InputError, match=r"'tiny' cannot be trained: RuntimeError: the population fails"):
        list(train(planned_job, [Member(adam, adam.resolve({"lr": 0.01}), 0)]))
