"""Steps of several batches, and models that compute in bfloat16: as loops written by hand."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import thalweg
from problems import points
from stopping import outcomes
from thalweg.errors import InputError
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

SAMPLES, EPOCHS = 110, 2


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def workload_of(dtype: torch.dtype = torch.float64, **given: Any) -> Workload:
    train, validation = (points(n, n, dtype) for n in (SAMPLES, 60))
    options = {"train": train, "batch_size": 16, "epochs": EPOCHS, **given}
    return Workload(name="parts", model=lambda: model().to(dtype), validation=validation, **options)


def trained(workload: Workload, execution: Any, *, native: bool = False) -> tuple[Trained, str]:
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution, native=native)
    sgd = recipe("momentum")
    members = [Member(sgd, sgd.resolve({"lr": lr}), 0) for lr in (0.01, 0.02)]
    return outcomes(replace(planned, job=replace(planned.job, keep_weights=True)), members)[0], planned.plan.program


def by_hand(accumulate: int, dtype: torch.dtype, *, mixed: bool = False) -> tuple[float, dict[str, Tensor]]:
    """(loss of the last epoch's steps, weights): torch's own way to accumulate, and its autocast."""
    torch.manual_seed(0)
    own, generator = model().to(dtype), torch.Generator().manual_seed(0)
    x, y = points(SAMPLES, SAMPLES, dtype)
    sgd = torch.optim.SGD(own.parameters(), lr=0.01, momentum=0.9)
    total = 0.0
    for _ in range(EPOCHS):
        total = 0.0
        for step in torch.randperm(SAMPLES, generator=generator).split(16 * accumulate):
            sgd.zero_grad()
            for part in step.split(16):
                with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                    loss = cross_entropy(own(x[part]), y[part])
                (loss * len(part) / len(step)).backward()
                total += loss.item() * len(part)
            sgd.step()
    return total / SAMPLES, {name: t.detach() for name, t in own.state_dict().items() if "num_" not in name}


def test_accumulated_steps_equal_the_loop_by_hand() -> None:
    """In native code, as one program, and by the loop: batch norm's statistics too; 110 samples end in a short step."""
    loss, weights = by_hand(3, torch.float64)
    workload = workload_of(accumulate=3)
    assert (workload.steps_per_epoch, workload.total_steps) == (3, 6)
    found = [trained(workload, "loop"), trained(workload, "population"), trained(workload, "auto", native=True)]
    assert found[2][1] == NATIVE
    for run, _ in found:
        assert run.curve[-1].train_loss == pytest.approx(loss, rel=1e-12)
        for name, weight in weights.items():
            torch.testing.assert_close(run.weights[name], weight, rtol=1e-9, atol=1e-12)


def test_batches_of_a_stream_are_joined() -> None:
    x, y = points(SAMPLES, SAMPLES, torch.float64)

    def epoch(seed: int, number: int) -> Any:
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1000 * seed + number))
        return [(x[part], y[part]) for part in order.split(16)]

    def joined(seed: int, number: int) -> Any:
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1000 * seed + number))
        return [(x[part], y[part]) for part in order.split(48)]

    ours, _ = trained(workload_of(train=Stream(epoch, SAMPLES), accumulate=3, drop_last=True), "population")
    parts, _ = trained(workload_of(train=Stream(epoch, SAMPLES), accumulate=3, drop_last=True), "loop")
    assert len(ours.curve) == EPOCHS
    assert ours.curve[-1].train_loss == pytest.approx(parts.curve[-1].train_loss, rel=1e-9)
    given: Any = {
        "model": lambda: nn.Linear(6, 3).double(),
        "drop_last": True,
    }  # no batch norm
    each = workload_of(train=Stream(epoch, SAMPLES), accumulate=3)
    whole = workload_of(train=Stream(joined, SAMPLES), batch_size=48)
    runs = [trained(replace(of, **given), "loop")[0] for of in (each, whole)]
    assert runs[0].curve[-1].train_loss == pytest.approx(runs[1].curve[-1].train_loss, rel=1e-12)

    def uneven(seed: int, number: int) -> Any:
        return [(torch.zeros(8, n, 6, dtype=torch.float64), y[:8]) for n in (1, 2)]

    with pytest.raises(InputError, match="accumulate joins the batches of a step, and those of the stream"):
        replace(workload_of(train=Stream(uneven, 16), batch_size=8), accumulate=2)


def test_bfloat16_is_torchs_autocast() -> None:
    """To the rounding of float32."""
    loss, weights = by_hand(1, torch.float32, mixed=True)
    workload = workload_of(torch.float32, precision="bf16")
    run, _ = trained(workload, "loop")
    assert run.curve[-1].train_loss == pytest.approx(loss, rel=1e-6)
    for name, weight in weights.items():
        torch.testing.assert_close(run.weights[name], weight, rtol=1e-5, atol=1e-6)  # a step of 8 bits would be 4e-3
    exact, _ = trained(workload_of(torch.float32), "loop")
    assert run.curve[-1].train_loss != exact.curve[-1].train_loss


def test_members_in_bfloat16_equal_the_loop() -> None:
    """But for rounding: a product of all members is another than that of one. vmap has no batch norm in bfloat16."""
    plain = {"model": lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), "precision": "bf16"}
    workload = replace(workload_of(torch.float32), **plain)
    (run, _), (together, _) = trained(workload, "loop"), trained(workload, "population")
    assert together.execution.startswith("population")
    assert together.curve[-1].train_loss == pytest.approx(run.curve[-1].train_loss, rel=2**-8)
    assert together.curve[-1].validation_loss == pytest.approx(run.curve[-1].validation_loss, rel=2**-8)


def test_metrics_get_outputs_in_float32() -> None:
    seen: set[torch.dtype] = set()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        seen.add(outputs.dtype)
        return float(outputs.numpy().argmax(1).mean())

    workload = workload_of(torch.float32, precision="bf16", metric=thalweg.Metric(metric, higher_is_better=True))
    trained(workload, "auto")
    assert seen == {torch.float32}


def test_what_is_no_number_of_batches_or_no_precision() -> None:
    with pytest.raises(InputError, match="accumulate must be a whole number from 1"):
        workload_of(accumulate=0)
    with pytest.raises(InputError, match=r"precision must be .*float32.*bf16.*, got 'fp16'"):
        workload_of(precision="fp16")
    with pytest.raises(InputError, match="drop_last leaves nothing of 110 samples in steps of 112"):
        workload_of(accumulate=7, drop_last=True)
