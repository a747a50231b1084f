"""Built-in models with their options: native code, a population and the loop train the same weights, to 1e-9."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from problems import points
from scope import few
from stopping import outcomes
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Trained
from thalweg.studies.contenders import Contender
from thalweg.workloads.activations import ACTIVATIONS
from thalweg.workloads.mlp import MLP
from thalweg.workloads.workload import Workload

OPTIONS: list[dict[str, Any]] = [
    {"batch_norm": True, "dropout": 0.2, "activation": "selu", "init": "lecun-truncated-normal"},
    {"activation": "gelu"},
    {"dropout": 0.3},
    {"batch_norm": True},
    *({"activation": name} for name in ACTIVATIONS if name not in ("relu", "gelu")),
]


def model(**options: Any) -> nn.Module:
    return MLP((6, 8, 8, 3), **options).double()


def trained(workload: Workload, execution: Any) -> list[Trained]:
    native = execution == NATIVE
    how = "auto" if native else execution
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=how, native=native)
    assert (planned.plan.program == NATIVE) is native
    planned = replace(planned, job=replace(planned.job, keep_weights=True))
    return outcomes(planned, [Contender("adam").member({"lr": 0.01}, seed, workload) for seed in (0, 1)])


@pytest.mark.parametrize("options", few(OPTIONS, 2), ids=str)
def test_every_execution_trains_the_same(options: dict[str, Any]) -> None:
    train, validation = points(90, 1, torch.float64), points(60, 2, torch.float64)
    given: dict[str, Any] = {"train": train, "validation": validation, "batch_size": 30, "epochs": 4}
    workload = Workload(name="options", model=partial(model, **options), **given)
    loop, population, native = (trained(workload, how) for how in ("loop", "population", NATIVE))
    assert not torch.equal(loop[0].weights["hidden.0.weight"], loop[1].weights["hidden.0.weight"])
    for runs in (population, native):
        for ours, theirs in zip(runs, loop, strict=True):
            for name, weight in theirs.weights.items():
                torch.testing.assert_close(ours.weights[name], weight, rtol=1e-9, atol=1e-11)
