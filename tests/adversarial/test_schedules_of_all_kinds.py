"""Schedules, chained and nested, and what torch keeps beside an optimizer, for classes of every kind."""

import copy
import warnings

import pytest
import torch
from torch.optim import lr_scheduler, swa_utils

import thalweg.optim
from adversarial.adversary import THEIRS, Run, same

STEPS = 10
SCHEDULES = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, [lambda step: 0.9**step]),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda step: 0.9),
    "LinearLR from 0": lambda o: lr_scheduler.LinearLR(o, start_factor=1e-9, total_iters=5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "PolynomialLR to 0": lambda o: lr_scheduler.PolynomialLR(o, STEPS // 2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=STEPS + 1, cycle_momentum=False),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 0.1, step_size_up=2, cycle_momentum=False, mode="exp_range"),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.CosineAnnealingLR(o, 4),
         lr_scheduler.ExponentialLR(o, 0.5)], [3, 6],
    ),
    "chained in chained": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(o), lr_scheduler.StepLR(o, 2)], o),
         lr_scheduler.MultiStepLR(o, [3, 5], 0.3)], o
    ),
    "two at once": lambda o: Both(lr_scheduler.StepLR(o, 2), lr_scheduler.ExponentialLR(o, 0.9)),
}  # fmt: skip


class Both:
    def __init__(self, *schedules):
        self.schedules = schedules

    def step(self):
        for schedule in self.schedules:
            schedule.step()


def scheduled(make, steps=STEPS):
    def act(run):
        schedule = make(run.optimizer)
        for _ in range(steps):
            run.step()
            schedule.step()
        return run.group["lr"]

    return act


@pytest.mark.parametrize("name", ["NAdam", "RMSprop", "ASGD", "Rprop"])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules(name, kind):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter")
        same(name, scheduled(SCHEDULES[kind]))


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "RMSprop", "Adamax", "RAdam"])
@pytest.mark.parametrize("kind", ["CyclicLR", "OneCycleLR"])
def test_schedules_that_move_momentum(name, kind):
    make = {
        "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 0.1, step_size_up=2, base_momentum=0.7),
        "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=STEPS + 1, three_phase=True),
    }[kind]
    same(name, scheduled(make))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam", "ASGD"])
def test_a_rate_in_a_tensor_under_a_schedule(name):
    def act(run):
        schedule = lr_scheduler.LinearLR(run.optimizer, 0.25, total_iters=4)
        for _ in range(6):
            run.step()
            schedule.step()
        return float(run.group["lr"])

    same(name, act, lr=torch.tensor(0.125, dtype=torch.float64))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam"])
def test_optimizer_and_schedule_are_saved_and_go_on_in_others(name):
    make = SCHEDULES["SequentialLR"]
    run = Run(getattr(thalweg.optim, name), **THEIRS[name])
    whole = Run(getattr(thalweg.optim, name), **THEIRS[name])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter")
        schedule, of_whole = make(run.optimizer), make(whole.optimizer)
        for _ in range(4):
            run.step()
            schedule.step()
        saved = copy.deepcopy((run.optimizer.state_dict(), schedule.state_dict()))
        params = [p.detach().clone().requires_grad_() for p in run.params]
        other = Run(getattr(thalweg.optim, name), params, **THEIRS[name])
        other.steps = run.steps
        again = make(other.optimizer)
        other.optimizer.load_state_dict(saved[0])
        again.load_state_dict(saved[1])
        for _ in range(4):
            other.step()
            again.step()
        for _ in range(8):
            whole.step()
            of_whole.step()
    torch.testing.assert_close(other.values(), whole.values(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["SGD", "NAdam"])
@pytest.mark.parametrize("average", ["swa", "ema"])
def test_averaged_models(name, average):
    def act(module):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)).double()
        options = {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9)} if average == "ema" else {}
        kept = swa_utils.AveragedModel(model, use_buffers=True, **options)
        optimizer = getattr(module, name)(model.parameters(), **THEIRS[name])
        schedule = swa_utils.SWALR(optimizer, 0.05, anneal_epochs=3)
        x = torch.sin(torch.arange(24.0)).view(8, 3).double()
        for _ in range(6):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
            schedule.step()
            kept.update_parameters(model)
        swa_utils.update_bn([x], kept)
        return [v.detach() for v in kept.state_dict().values()]

    torch.testing.assert_close(act(thalweg.optim), act(torch.optim), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "name", ["Lion", "AdEMAMix", "Adan", "QHAdam", "Ftrl", "AdamWScheduleFree", "AggMo", "MADGRAD"]
)
@pytest.mark.parametrize("kind", ["OneCycleLR", "CyclicLR"])
def test_momentum_is_moved_or_refused_in_a_sentence_for_classes_of_ones_own(name, kind):
    run = Run(getattr(thalweg.optim, name))
    make = {
        "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.01, total_steps=STEPS + 1),
        "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 0.01, step_size_up=2),
    }[kind]
    if not any(key in run.optimizer.defaults for key in ("momentum", "betas")):
        with pytest.raises(ValueError, match="momentum"):
            make(run.optimizer)
        return
    schedule = make(run.optimizer)
    for _ in range(STEPS):
        run.step()
        schedule.step()
    assert all(bool(torch.isfinite(p).all()) for p in run.params)
