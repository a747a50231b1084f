"""What PyTorch puts around an optimizer works unchanged: every schedule, weight averaging, profiling."""

import inspect

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler, swa_utils

import thalweg.optim

STEPS = 12
SCHEDULES = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda step: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, total_iters=4),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, total_iters=5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, STEPS),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 0.1, step_size_up=3),  # moves momentum or beta1 too
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=STEPS + 1),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.5)], [3]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.5)]
    ),
    "SWALR": lambda o: swa_utils.SWALR(o, swa_lr=0.01, anneal_epochs=4),
}


def test_every_schedule_of_torch_is_here():
    classes = {name for name, of in vars(lr_scheduler).items() if inspect.isclass(of) and name[0] != "_"}
    of_its_own = {name for name in classes if issubclass(getattr(lr_scheduler, name), lr_scheduler.LRScheduler)}
    assert of_its_own - {"LRScheduler"} <= set(SCHEDULES)


def path(cls, schedule, **options):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    averaged = swa_utils.AveragedModel(model)
    optimizer = cls(model.parameters(), **options)
    scheduler, rates = SCHEDULES[schedule](optimizer), []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = (model(torch.ones(4, 3).double() * (step + 1)) - 1).square().mean()
        loss.backward()
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step(1.0) if schedule == "ReduceLROnPlateau" else scheduler.step()
        averaged.update_parameters(model)
    return [p.detach() for p in (*model.parameters(), *averaged.parameters())], rates


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("name", "options"), [("SGD", {"lr": 0.01, "momentum": 0.9}), ("AdamW", {"lr": 0.01})])
def test_schedules_and_averages(name, options, schedule):
    ours, theirs = (path(getattr(module, name), schedule, **options) for module in (thalweg.optim, torch.optim))
    assert ours[1] == theirs[1]
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-11, atol=1e-12)


def test_a_profile_names_the_step():
    p = nn.Parameter(torch.ones(3))
    optimizer = thalweg.optim.Adam([p])
    p.grad = torch.ones(3)
    with torch.profiler.profile() as profile:
        optimizer.step()
    assert "Optimizer.step#Adam.step" in {event.key for event in profile.key_averages()}
