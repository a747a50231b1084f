"""What one population, or ten steps of one optimizer, add to the memory of a fresh process. Imports Thalweg."""

from typing import Any

import torch

from peers.resident import growth
from peers.serving import serve
from thalweg.optim.classes import drop_ins
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.mlp import MLP
from thalweg.workloads.workload import Workload

BATCH, STEPS = 32, 10


def plan_of(width: int) -> PlannedJob:
    """Of the 784-width-width-width-10 MLP on noise, a run ten steps long."""
    x, y = torch.rand(BATCH * STEPS, 784), torch.randint(0, 10, (BATCH * STEPS,))
    workload = Workload(
        name="noise", model=lambda: MLP((784, width, width, width, 10), "he-truncated-normal"), train=(x, y),
        validation=(x[:BATCH], y[:BATCH]), batch_size=BATCH, epochs=1,
    )  # fmt: skip
    return plan_job(workload, 0, device=torch.device("cpu"), workers=torch.get_num_threads(), execution="population")


def population(members: int, width: int) -> dict[str, int]:
    """Bytes that training by Adam adds, those of the arrays it holds at once, and how many members that is."""
    adam = recipe("adam")
    chosen = [Member(adam, adam.resolve({"lr": 1e-3}), 0) for _ in range(members)]
    list(train(plan_of(8), chosen[:2]))  # what is loaded and compiled once
    planned_job = plan_of(width)
    parts = sorted(map(len, planned_job.plan.populations(chosen)), reverse=True)
    at_once = sum(parts[: planned_job.plan.workers])
    one = sum(p.numel() * p.element_size() for p in planned_job.job.workload.model().parameters())
    return {
        "grown": growth(lambda: list(train(planned_job, chosen))),
        "held": one * at_once * chosen[0].copies,
        "at_once": at_once,
    }


def drop_in(name: str, parameters: int, given: dict[str, Any], form: dict[str, bool] | None) -> dict[str, int]:
    """Bytes that ten steps add, and those of the state. `form`: of torch's class, and not Thalweg's."""
    cls = drop_ins()[name] if form is None else getattr(torch.optim, name)
    all_given = given | (form or {})

    def made(size: int) -> torch.optim.Optimizer:
        p = torch.nn.Parameter(torch.ones(size))
        p.grad = torch.ones(size)
        return cls([p], **all_given)

    def step(optimizer: torch.optim.Optimizer) -> None:
        for _ in range(STEPS):
            optimizer.step()

    step(made(100_000))  # what is loaded and compiled once, and the threads
    optimizer = made(parameters)
    grown = growth(lambda: step(optimizer))
    states = [value for state in optimizer.state.values() for value in state.values()]
    return {"grown": grown, "held": sum(s.numel() * s.element_size() for s in states if torch.is_tensor(s))}


if __name__ == "__main__":
    serve(("thalweg",), population, drop_in)
