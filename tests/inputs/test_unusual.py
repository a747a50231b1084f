"""What is unusual and right, what happens late, and what is kept then."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from broken_workloads import (
    QUICK,
    X,
    Y,
    compared,
    later,
    net,
    with_value,
    workload,
)  # fmt: skip
from thalweg.cli.reading import checked
from thalweg.errors import shown
from thalweg.options.comparison import COMPARISON
from thalweg.population.planning.inspection import inspect
from thalweg.population.training.job import Job
from thalweg.records.store import Store
from thalweg.studies.parsing import split

ACCEPTED = {
    "a batch larger than the data": {"batch_size": 10**9},
    "an array that runs backwards": {"train": (X.numpy()[::-1], Y)},
    "an array in the other byte order": {"train": (X.numpy().astype(">f4"), Y)},
    "a table and a column whose index has gaps": {
        "train": (pd.DataFrame(X.numpy()), pd.Series(Y.numpy(), index=range(100, 124)))
    },
    "a loss of shape [1]": {"loss": lambda o, t: F.cross_entropy(o, t)[None]},
    "float64": {"model": lambda: nn.Linear(4, 3, dtype=torch.float64), "train": (X.double(), Y), "test": None,
                "validation": (X.double(), Y)},
    "float16": {"model": lambda: nn.Linear(4, 3, dtype=torch.float16), "train": (X.half(), Y), "test": None,
                "validation": (X.half(), Y)},
    "uint8 classes": {"train": (X, Y.byte()), "validation": (X, Y.byte()), "test": None},
    "ignored labels under another metric": {
        "train": (X, with_value(Y, 0, -100)),
        "metric": thalweg.Metric(lambda o, t: float((o.argmax(1) == t).float().mean()), "share", True),
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_unusual_and_right(changes: dict[str, Any]) -> None:
    assert all(run.diverged_at is None for run in compared(changes).runs)


def test_an_array_that_may_not_be_written() -> None:
    array = X.numpy().copy()
    array.setflags(write=False)
    assert torch.equal(workload(train=(array, Y)).train.inputs[0], X)


def test_a_model_that_writes_into_its_inputs_leaves_the_data_alone() -> None:
    """In evaluation it wrote into the validation split itself, which drifted from measurement to measurement."""
    problem = workload(model=net(lambda m, x: m.layer(x.add_(1))), epochs=2)
    before = problem.validation.inputs[0].clone()
    thalweg.compare(problem, **QUICK)
    assert torch.equal(problem.validation.inputs[0], before)


def test_building_a_model_is_not_taken_for_drawing_in_training() -> None:
    cpu = torch.device("cpu")
    assert not inspect(Job(workload(), cpu, frozenset()), 0)[0].random
    noisy = net(lambda m, x: m.layer(torch.dropout(x, 0.5, m.training)))
    assert inspect(Job(workload(model=noisy), cpu, frozenset()), 0)[0].random


def test_a_validation_split_of_one_class_is_noted() -> None:
    result = compared({"validation": (X[:9], Y[:9] * 0)})
    assert any("validation split holds one class only" in note for note in result.study.notes)


def test_exit_in_a_worker_does_not_leave_the_study_waiting() -> None:
    with pytest.raises(thalweg.InputError, match="SystemExit: 3"):
        compared({"model": net(later(SystemExit(3), 60)), "epochs": 200})


def test_an_error_at_a_late_step_keeps_the_runs_that_finished(tmp_path: Path) -> None:
    steps = {"count": 0}

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        steps["count"] += 1
        if steps["count"] > 4000:
            raise ValueError("the 4,001st loss")
        return F.cross_entropy(outputs, targets) + 0 * outputs.detach().sum().item()  # .item(): the plain loop

    result = compared({"loss": loss, "epochs": 20}, seeds=200, confirm_seeds=0, out=tmp_path)
    failed = [run for run in result.runs if "ValueError: the 4,001st loss" in run.failure]
    assert 0 < len(failed) < 200
    with closing(Store(tmp_path)) as store:
        assert len(store.runs(1)) == 200


@pytest.mark.parametrize("rate", [5e-324, 1e-30, 1e38, 1e308])
def test_rates_beyond_float32_are_no_fault_of_the_workload(rate: float) -> None:
    assert len(compared(learning_rates=[rate], confirm_seeds=0).runs) == 1


def test_lists_among_hyperparameters_are_kept_as_tuples() -> None:
    result = compared(optimizers=["torch.optim:Adam(betas=[0.9, 0.99])"], confirm_seeds=0)
    assert result.runs[0].hyperparameters["betas"] == (0.9, 0.99)


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    result = compared(seeds=np.int64(1), learning_rates=np.array([0.1]), clip_norm=torch.tensor(1.0))
    json.dumps(result.facts(), allow_nan=False)


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(thalweg.InputError, match=r"report\.html cannot be written: Is a directory"):
        compared(out=tmp_path)
    with closing(Store(tmp_path)) as store:
        assert len(store.runs(1)) == 3


def test_commas_inside_parentheses_do_not_split() -> None:
    assert split("a, adam(lr=1, betas=(0.9, 0.99)),b") == ["a", "adam(lr=1, betas=(0.9, 0.99))", "b"]


def test_a_long_list_of_commas_takes_no_time() -> None:
    with pytest.raises(thalweg.InputError, match="--optimizers must be names with commas between them"):
        checked(COMPARISON["optimizers"], "," * 1_000_000)


def test_messages_stay_on_one_line() -> None:
    assert shown(torch.zeros(100, 100)).endswith("…")
    assert "\n" not in shown(torch.zeros(3, 3))
