"""Members whose batches are augmented: the same in native code, as one program, and by a loop written by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from problems import points
from stopping import outcomes
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.program.randomness import SeededRandomness
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.augmentation import augmented
from thalweg.workloads.layout import Layout
from thalweg.workloads.objective import TrainingProgress
from thalweg.workloads.source import Batch
from thalweg.workloads.workload import Workload

STEPS, SIZE = 5, 20
Pair = tuple[Tensor, Tensor]


def noise(batch: Pair, generator: torch.Generator) -> Pair:
    x, y = batch
    x += 0.3 * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    return x, y


def flip(batch: Pair, generator: torch.Generator) -> Pair:
    x, y = batch
    return torch.where(torch.rand(len(x), 1, dtype=x.dtype, generator=generator) < 0.5, x.flip(-1), x), y


def mixup(batch: Pair, generator: torch.Generator) -> Pair:
    x, y = batch
    order, share = torch.randperm(len(x), generator=generator), torch.rand((), dtype=x.dtype, generator=generator)
    classes = torch.eye(3, dtype=x.dtype)[y]
    return share * x + (1 - share) * x[order], share * classes + (1 - share) * classes[order]


def shifted(batch: Pair, generator: torch.Generator) -> Pair:
    x, y = batch
    return x.roll(int(torch.randint(-2, 3, (), generator=generator)), 1), y


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)).double()


def workload_of(augment: Callable[[Any, Any], Any] | None) -> Workload:
    train, validation = (points(n, n, torch.float64) for n in (90, 60))
    return Workload(
        name="augmented", model=model, train=train, validation=validation, augment=augment, batch_size=SIZE, steps=STEPS
    )


def trained(workload: Workload, execution: Any, *, native: bool = False) -> tuple[list[Trained], str]:
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution, native=native)
    adam = recipe("adam")
    members = [Member(adam, adam.resolve({"lr": 0.01}), seed) for seed in (0, 1)]
    return outcomes(replace(planned, job=replace(planned.job, keep_weights=True)), members), planned.plan.program


def require_alike(ours: list[Trained], theirs: list[Trained]) -> None:
    for own, other in zip(ours, theirs, strict=True):
        assert own.curve[-1].train_loss == pytest.approx(other.curve[-1].train_loss, rel=1e-9)
        for name, weight in other.weights.items():
            torch.testing.assert_close(own.weights[name], weight, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("augment", [noise, flip, mixup])
def test_population_and_native_code_equal_the_loop(augment: Callable[[Any, Any], Any]) -> None:
    workload = workload_of(augment)
    by_loop, _ = trained(workload, "loop")
    ours, _ = trained(workload, "population")
    require_alike(ours, by_loop)
    natively, program = trained(workload, "auto", native=True)
    assert (program == NATIVE) is (augment is not mixup)  # which sorts
    require_alike(natively, by_loop)
    assert ours[0].curve[-1].train_loss != trained(workload_of(None), "loop")[0][0].curve[-1].train_loss


def test_what_asks_for_values_trains_by_the_loop() -> None:
    workload = workload_of(shifted)
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1)
    assert "its code asks for values of tensors" in planned.plan.reason
    assert f"{__file__}:" in planned.plan.reason
    (ours, _), _ = trained(workload, "auto")
    assert ours.execution.startswith("loop")


def test_a_loop_by_hand_gives_the_member() -> None:
    """Each step draws under `SeededRandomness`; validation is not augmented."""
    workload = workload_of(noise)
    (ours, _), _ = trained(workload, "population")
    torch.manual_seed(0)
    own = model()
    adam, generator = torch.optim.Adam(own.parameters(), lr=0.01), torch.Generator().manual_seed(0)
    order, (x, y) = torch.empty(0), points(90, 90, torch.float64)
    for step in range(1, STEPS + 1):
        order = torch.randperm(90, generator=generator) if not len(order) else order
        batch, order = order[:SIZE], order[SIZE:]
        with SeededRandomness(0, step):
            changed = augmented(noise, Batch((x[batch],), y[batch]), Layout(), step=False)
            loss = cross_entropy(own(*changed.inputs), changed.targets)
        adam.zero_grad()
        loss.backward()
        adam.step()
    own.eval()
    with torch.no_grad():
        inputs, targets = points(60, 60, torch.float64)
        expected = float(cross_entropy(own(inputs), targets))
    assert ours.curve[-1].validation_loss == pytest.approx(expected, rel=1e-9)


def test_a_custom_step_is_given_augmented_batches() -> None:
    def step(net: Any, batch: Pair, progress: TrainingProgress) -> Tensor:
        x, y = batch
        return cross_entropy(net(x), y) * (1 + progress.share)

    workload = replace(workload_of(flip), loss=None, step=step, metric="loss")
    by_loop, _ = trained(workload, "loop")
    require_alike(trained(workload, "population")[0], by_loop)
