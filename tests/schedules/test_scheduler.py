"""`Scheduler`: any torch optimizer under schedules, as under torch's own; resumed, compiled, group by group."""

import copy
import io
import math
import warnings

import pytest
import torch
from torch.optim import lr_scheduler

import thalweg
from thalweg.errors import InputError
from thalweg.schedules import (
    FirstStepAtZero,
    FloorOfAnotherGroup,
    Scheduler,
    chain,
    cosine,
    linear,
    one_cycle,
    step,
    traps,
)

CLASSES = [
    torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad,
    torch.optim.Adadelta, torch.optim.NAdam, torch.optim.RAdam, torch.optim.Adamax, thalweg.optim.AdamW,
    thalweg.optim.SGD, thalweg.optim.Lion,
]  # fmt: skip


def model(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def train(net, optimizer, scheduler, steps, first=0):
    """The rates of the steps that were taken; the batches are those of the steps' numbers."""
    rates = []
    for t in range(first, first + steps):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(t))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        scheduler.step()
    return rates


def weights(net):
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()])


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__.split('.')[0]} {cls.__name__}")
def test_the_same_weights_as_under_torchs_scheduler(cls):
    ours, theirs = model(), model()
    schedule = cosine(0.05, steps=9, warmup=3, end=0.001)
    mine = cls(ours.parameters(), lr=0.05)
    other = cls(theirs.parameters(), lr=0.05)
    rates = train(ours, mine, Scheduler(mine, schedule), 12)
    expected = train(theirs, other, lr_scheduler.LambdaLR(other, lambda t: schedule(t) / 0.05), 12)
    assert [rate for (rate,) in rates] == pytest.approx([rate for (rate,) in expected], rel=1e-14)
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-5, atol=1e-7)
    assert [rate for (rate,) in rates] == [schedule(t) for t in range(12)]


def test_it_is_a_scheduler_of_torch():
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = Scheduler(optimizer, cosine(steps=10))
    assert isinstance(scheduler, lr_scheduler.LRScheduler)
    assert scheduler.state_dict() == {"last_epoch": 0}
    assert scheduler.get_last_lr() == [0.1]
    assert scheduler.last_epoch == 0
    train(net, optimizer, scheduler, 3)
    assert scheduler.state_dict() == {"last_epoch": 3}
    assert scheduler.get_last_lr() == [cosine(0.1, steps=10)(3)] == scheduler.get_lr()
    assert scheduler.base_lrs == [0.1]
    with pytest.warns(UserWarning, match="epoch parameter in"):
        scheduler.step(7)
    assert scheduler.get_last_lr() == [cosine(0.1, steps=10)(7)]


def test_stepping_before_the_optimizer_is_warned_of_as_by_torch():
    optimizer = torch.optim.SGD(model().parameters(), lr=0.1)
    scheduler = Scheduler(optimizer, "cosine(steps=10)")
    with pytest.warns(UserWarning, match="call of `lr_scheduler.step\\(\\)` before"):
        scheduler.step()


@pytest.mark.parametrize("saved_at", [0, 1, 4, 5, 11])
@pytest.mark.parametrize("scheduler_first", [True, False])
def test_it_resumes_bit_for_bit_from_any_step(saved_at, scheduler_first):
    def made():
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        given = {"weight_decay": linear(steps=8), "momentum": one_cycle(0.1, steps=8, momentum=True).momentum}
        return net, optimizer, Scheduler(optimizer, cosine(steps=9, warmup=3), **given)

    net, optimizer, scheduler = made()
    train(net, optimizer, scheduler, saved_at)
    file = io.BytesIO()
    torch.save([net.state_dict(), optimizer.state_dict(), scheduler.state_dict()], file)
    rates = train(net, optimizer, scheduler, 6, saved_at)
    file.seek(0)
    resumed, again, after = made()
    states = torch.load(file)
    loads = [lambda: again.load_state_dict(states[1]), lambda: after.load_state_dict(states[2])]
    resumed.load_state_dict(states[0])
    for load in loads[:: -1 if scheduler_first else 1]:
        load()
    assert after.get_last_lr() == [rates[0][0]]
    assert train(resumed, again, after, 6, saved_at) == rates
    assert torch.equal(weights(resumed), weights(net))
    assert again.param_groups[0] == optimizer.param_groups[0] | {"params": again.param_groups[0]["params"]}


def test_a_checkpoint_of_another_kind_is_refused():
    scheduler = Scheduler(torch.optim.SGD(model().parameters(), lr=0.1), cosine(steps=10))
    for state in ({}, {"last_epoch": -1}, {"last_epoch": "x"}, None):
        with pytest.raises(InputError, match="'last_epoch' of a scheduler's state must be a whole number"):
            scheduler.load_state_dict(state)


def groups():
    net = model()
    return [
        {"params": net[0].parameters(), "lr": 0.1, "weight_decay": 0.02},
        {"params": net[2].parameters(), "lr": 0.02, "weight_decay": 0.0},
    ]


def last(scheduler, steps):
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
    return scheduler.get_last_lr()


def test_a_relative_schedule_scales_each_groups_own_base():
    optimizer = torch.optim.SGD(groups(), lr=1.0)
    scheduler = Scheduler(optimizer, cosine(steps=10, end="10%"), weight_decay=linear(steps=10))
    assert last(scheduler, 4) == [cosine(0.1, steps=10, end="10%")(4), cosine(0.02, steps=10, end="10%")(4)]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [pytest.approx(0.02 * 0.6), 0.0]


def test_an_absolute_schedule_sets_the_first_group_and_keeps_the_ratios():
    optimizer = torch.optim.SGD(groups(), lr=1.0, momentum=0.9)
    scheduler = Scheduler(optimizer, cosine(0.5, steps=10), weight_decay=linear(0.1, steps=10), momentum=0.8)
    now = cosine(0.5, steps=10)(4)
    assert last(scheduler, 4) == [now, pytest.approx(now / 5, rel=1e-15)]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [pytest.approx(0.06), 0.0]
    assert [group["momentum"] for group in optimizer.param_groups] == [0.8, 0.8]


def test_a_group_that_is_added_later_is_driven_too():
    first, second = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.SGD([first], lr=0.1)
    scheduler = Scheduler(optimizer, linear(steps=10))
    last(scheduler, 2)
    optimizer.add_param_group({"params": [second], "lr": 0.01})
    assert last(scheduler, 2) == pytest.approx([0.06, 0.006])


def test_momentum_and_betas():
    optimizer = torch.optim.AdamW(model().parameters(), lr=0.1)
    cycle = one_cycle(0.1, steps=10, momentum=(0.8, 0.9))
    scheduler = Scheduler(optimizer, cycle)
    for t in range(12):
        assert optimizer.param_groups[0]["betas"] == (cycle.momentum(t), 0.999)
        last(scheduler, 1)
    Scheduler(optimizer, betas=(None, lambda t: 0.9 + 0.01 * t))
    assert optimizer.param_groups[0]["betas"][1] == 0.9
    with pytest.raises(InputError, match="either momentum or betas, which hold it; got both"):
        Scheduler(optimizer, momentum=0.9, betas=(0.9, 0.99))
    plain = torch.optim.Adagrad(model().parameters())
    with pytest.raises(InputError, match=r"param group of Adagrad has no 'momentum'; it has lr and weight_decay"):
        Scheduler(plain, cycle)


def test_torchs_one_cycle_and_its_momentum():
    first, second = (torch.optim.SGD(model().parameters(), lr=0.1, momentum=0.9) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", traps.ScheduleWarning)
        ours = Scheduler(first, one_cycle(0.3, steps=20, convention="torch"))
    theirs = lr_scheduler.OneCycleLR(second, 0.3, 20)
    for _ in range(20):
        assert [first.param_groups[0][k] for k in ("lr", "momentum")] == pytest.approx(
            [second.param_groups[0][k] for k in ("lr", "momentum")], rel=1e-12
        )
        last(ours, 1)
        last(theirs, 1)


def test_chained_with_torchs_own_by_chain():
    first, second = (torch.optim.SGD(model().parameters(), lr=0.1) for _ in range(2))
    ours = Scheduler(first, chain(step(every=3, factor=0.5, convention="torch"), cosine(steps=10)))
    theirs = lr_scheduler.ChainedScheduler([
        lr_scheduler.StepLR(second, 3, 0.5), lr_scheduler.LambdaLR(second, lambda t: 1.0),
    ])  # fmt: skip
    for t in range(10):
        expected = 0.1 * 0.5 ** (t // 3) * (0.5 + 0.5 * math.cos(math.pi * t / 10))
        assert ours.get_last_lr() == pytest.approx([expected], rel=1e-12)
        last(ours, 1)
    assert theirs.get_last_lr() == [0.1]


def test_shares_of_the_run():
    optimizer = torch.optim.SGD(model().parameters(), lr=0.1)
    scheduler = Scheduler(optimizer, "cosine(warmup=20%)", steps=10)
    assert scheduler.get_last_lr() == [0.05]
    with pytest.raises(InputError, match="is a share of the run: resolve it with steps="):
        Scheduler(optimizer, "cosine(warmup=20%)")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": "sine"}, "'sine' is no schedule"),
        ({"lr": "performance"}, "follows the metric: a schedule of the step is needed"),
        ({"lr": [0.1]}, r"'lr' must be a schedule, its text, a function of the step or a number, got \[0.1\]"),
        ({"lr": lambda t: -0.1}, r"'lr' must be a number in \[0, inf\), and <lambda>\(\) makes it -0.1 at step 0"),
        ({"lr": lambda t: 0.1 / t}, "raised ZeroDivisionError at step 0"),
        ({"betas": (0.9, 0.99)}, "param group of SGD has no 'betas'; it has lr, momentum and weight_decay"),
        ({"momentum": 1.0}, r"'momentum' must be a number in \[0, 1\), and constant.1.0. makes it 1.0 at step 0"),
    ],
)
def test_refused(given, message):
    optimizer = torch.optim.SGD(model().parameters(), lr=0.1)
    given = {
        name: (lambda t, f=value: f"{f(t)}" and f(t)) if callable(value) else value for name, value in given.items()
    }
    with pytest.raises(InputError, match=message.replace(r"<lambda>\(\)", r".*<lambda>\(\)")):
        Scheduler(optimizer, **given)


def test_a_first_step_at_0_is_told_once():
    traps.forget()
    optimizer = torch.optim.SGD(model().parameters(), lr=0.1)
    with pytest.warns(FirstStepAtZero, match="Scheduler, 'lr': its first step has a rate of 0"):
        Scheduler(optimizer, lambda t: t / 10)
    Scheduler(optimizer, lambda t: t / 10)


def test_the_floor_of_hugging_face_is_another_groups():
    traps.forget()
    optimizer = torch.optim.SGD(groups(), lr=0.1)
    with pytest.warns(FloorOfAnotherGroup, match="a group with a rate of 0.02 ends at another floor"):
        scheduler = Scheduler(optimizer, "polynomial(steps=5, end=0.01, convention=hf)")
    assert last(scheduler, 5) == pytest.approx([0.01, 0.002])
    ours = Scheduler(torch.optim.SGD(groups(), lr=0.1), "polynomial(steps=5, end=0.01)")
    assert last(ours, 5) == pytest.approx([0.01, 0.01])


def test_copies_go_on_by_themselves():
    optimizer = torch.optim.SGD(model().parameters(), lr=0.1)
    scheduler = Scheduler(optimizer, cosine(steps=10), weight_decay="linear(steps=10)")
    last(scheduler, 3)
    again = copy.deepcopy(scheduler)
    assert last(again, 2) == [cosine(0.1, steps=10)(5)]
    assert scheduler.get_last_lr() == [cosine(0.1, steps=10)(3)]


def test_tensors_are_written_in_place_by_loading_and_for_every_hyperparameter():
    optimizer = torch.optim.Adam(model().parameters(), lr=torch.tensor(0.1, dtype=torch.float64))
    group = optimizer.param_groups[0]
    group["weight_decay"] = torch.tensor(0.2, dtype=torch.float64)
    group["betas"] = (torch.tensor(0.9, dtype=torch.float64), 0.999)
    held = group["lr"], group["weight_decay"], group["betas"][0]
    scheduler = Scheduler(optimizer, cosine(steps=10), weight_decay=linear(steps=10), momentum=linear(steps=20))
    scheduler.load_state_dict({"last_epoch": 5})
    assert [float(x) for x in held] == pytest.approx([0.05, 0.1, 0.675])
    assert all(a is b for a, b in zip(held, (group["lr"], group["weight_decay"], group["betas"][0]), strict=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_tensor_is_written_in_place_and_a_compiled_step_is_compiled_once():
    net = model()
    rate = torch.tensor(0.1, dtype=torch.float64)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, capturable=False, foreach=False)
    scheduler = Scheduler(optimizer, cosine(steps=10))
    held, compilations = optimizer.param_groups[0]["lr"], []

    def backend(graph, inputs):
        compilations.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(optimizer.step, backend=backend)
    rates = []
    for _ in range(6):
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        compiled()
        scheduler.step()
        rates.append(float(held))
        if len(rates) == 2:
            first = len(compilations)  # the states are made in the first step
    assert len(compilations) == first
    assert optimizer.param_groups[0]["lr"] is held
    assert rates == pytest.approx([cosine(0.1, steps=10)(t) for t in range(1, 7)])
    assert scheduler.get_last_lr()[0] is not held
