"""CUDA graphs of a drop-in's step: repeated, it goes on with other gradients, rates and scales as if called."""

import copy

import pytest
import torch
from recording import record
from there import DEVICE

import thalweg.optim
from optim.trained import MODIFIED
from thalweg.errors import InputError
from thalweg.schedules import cosine

SHAPES = ((40, 33), (3,), ())


def start(dtype):
    generator = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(s, generator=generator, dtype=dtype).to(DEVICE)) for s in SHAPES]


def gradients(steps, dtype):
    generator = torch.Generator().manual_seed(2)
    return [[torch.randn(s, generator=generator, dtype=dtype) for s in SHAPES] for _ in range(steps)]


def called(cls, dtype, steps, **options):
    params = start(dtype)
    optimizer = cls(params, **options)
    for each in gradients(steps, dtype):
        for p, g in zip(params, each, strict=True):
            p.grad = g.to(DEVICE)
        optimizer.step()
    return [p.detach() for p in params], optimizer


def repeated(cls, dtype, steps, **options):
    """The first step called, the others repeated from a graph; gradients change in their place."""
    params, (first, *others) = start(dtype), gradients(steps, dtype)
    optimizer = cls(params, capturable=True, **options)
    for p, g in zip(params, first, strict=True):
        p.grad = g.to(DEVICE)
    optimizer.step()
    step = record(optimizer.step)
    for each in others:
        for p, g in zip(params, each, strict=True):
            p.grad.copy_(g)
        step()
    return [p.detach() for p in params], optimizer


@pytest.mark.parametrize("options", MODIFIED, ids=str)
@pytest.mark.parametrize("name", ["AdamW", "NAdam", "ASGD", "SGD", "Rprop", "Adan", "AdamWScheduleFree"])
def test_a_recorded_step_is_the_step(name, options):
    cls = getattr(thalweg.optim, name)
    (expected, first), (actual, second) = (
        run(cls, torch.float64, 5, **options) for run in (called, repeated)
    )  # fmt: skip
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    for p, q in zip(first.param_groups[0]["params"], second.param_groups[0]["params"], strict=True):
        for name_of, value in first.state[p].items():
            torch.testing.assert_close(second.state[q][name_of].cpu(), value.cpu(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("rounding", ["stochastic", "compensated", "nearest"])
@pytest.mark.rests("steps are smaller than what bfloat16 tells apart")
@pytest.mark.parametrize("options", [{}, {"lr": 0.05, "max_norm": 3.0, "lookahead_steps": 2}], ids=str)
def test_chances_of_a_recorded_step(options, rounding):
    """They are those of the step's number, which only the device knows: bit for bit, but where float32 rounds apart."""
    (expected, _), (actual, _) = (
        run(thalweg.optim.AdamW, torch.bfloat16, 6, rounding=rounding, **options) for run in (called, repeated)
    )  # fmt: skip
    for a, b in zip(actual, expected, strict=True):
        apart = (a.view(torch.int16).int() - b.view(torch.int16).int()).abs()
        assert apart.max() <= 1
        assert apart.float().mean() < 0.01


@pytest.mark.parametrize(
    "rate",
    [cosine(0.1, steps=9, warmup=3), lambda t: 0.1, lambda t: 0.1 / (1 + t)],
    ids=["cosine", "constant", "inverse time"],
)
def test_a_schedule_goes_on_in_a_recorded_step(rate):
    expected, called_with = called(thalweg.optim.Adam, torch.float64, 5, lr=rate)
    actual, recorded = repeated(thalweg.optim.Adam, torch.float64, 5, lr=rate)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    group = recorded.param_groups[0]
    assert group["schedule_step"].item() == 5
    assert group["lr"].item() == pytest.approx(called_with.param_groups[0]["lr"], rel=1e-14)


def test_what_is_written_into_a_scheduled_rate():
    """Between two replays it holds for one of them; before a step that is called, it ends the schedule."""
    schedule, params = cosine(0.1, steps=9), start(torch.float64)
    optimizer = thalweg.optim.SGD(params, lr=schedule, capturable=True)
    group = optimizer.param_groups[0]
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    step = record(optimizer.step)
    for written, shown in ((None, schedule(2)), (0.5, schedule(3)), (None, schedule(4))):
        before = params[1][0].item()
        rate = group["lr"].item() if written is None else group["lr"].fill_(written).item()
        step()
        assert params[1][0].item() == pytest.approx(before - rate)
        assert group["lr"].item() == pytest.approx(shown)
    group["lr"].fill_(0.5)
    optimizer.step()
    assert group["lr"].item() == 0.5
    assert group["schedules"] == {}


def test_another_tensor_in_a_scheduled_rates_place_is_recorded():
    params = start(torch.float64)
    optimizer = thalweg.optim.SGD(params, lr=cosine(0.1, steps=9), capturable=True)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    rate = optimizer.param_groups[0]["lr"] = torch.full((), 0.5, dtype=torch.float64, device=DEVICE)
    step = record(optimizer.step)
    before = params[1][0].item()
    step()
    assert params[1][0].item() == pytest.approx(before - 0.5)
    assert rate.item() == 0.5


def test_a_rate_changes_where_it_is():
    rate, params = torch.tensor(0.1, device=DEVICE), start(torch.float32)
    optimizer = thalweg.optim.Adam(params, lr=rate, capturable=True)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    step = record(optimizer.step)
    rate.fill_(0.0)
    before = copy.deepcopy(params)
    step()
    assert all(torch.equal(p, q) for p, q in zip(params, before, strict=True))
    rate.fill_(0.5)
    step()
    assert not any(torch.equal(p, q) for p, q in zip(params, before, strict=True))


def test_steps_beside_the_graph():
    """Called with other gradients in between, and recorded twice: neither disturbs the other."""
    ends = []
    for beside in (False, True):
        params, each = start(torch.float64), gradients(9, torch.float64)
        optimizer = thalweg.optim.NAdam(params, capturable=beside)
        memory = [[torch.zeros_like(p) for p in params] for _ in range(3)]
        steps = []
        for i, of_step in enumerate(each):
            where = memory[i % 3]
            for p, place, g in zip(params, where, of_step, strict=True):
                place.copy_(g)
                p.grad = place
            if beside and 3 <= i < 5:
                steps.append(record(optimizer.step))
            steps[i % 3]() if beside and i >= 3 and i % 3 < 2 else optimizer.step()
        ends.append([p.detach() for p in params])
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


def test_another_kind_of_step_is_not_recorded():
    """Its kernel is yet to be compiled, which no graph can record."""
    p = torch.nn.Parameter(torch.ones(77, device=DEVICE))
    optimizer = thalweg.optim.Adan([p], capturable=True)
    p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.param_groups[0]["maximize"] = True
    with pytest.raises(InputError, match="take one before"):
        record(optimizer.step)


@pytest.mark.parametrize("capturable", [False, True])
def test_autograd_notices_a_step(capturable):
    p = torch.nn.Parameter(torch.ones(77, device=DEVICE))
    optimizer = thalweg.optim.Adam([p], capturable=capturable)
    loss = p.square().sum()
    p.grad = torch.ones_like(p)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_step_that_needs_the_cpu_is_not_recorded():
    p = torch.nn.Parameter(torch.ones(77, device=DEVICE))
    optimizer = thalweg.optim.Lion([p])
    p.grad = torch.ones_like(p)
    optimizer.step()
    with pytest.raises(InputError, match="capturable=True"):
        record(optimizer.step)


def test_a_first_step_is_not_recorded():
    p = torch.nn.Parameter(torch.ones(77, device=DEVICE))
    optimizer = thalweg.optim.Lion([p], capturable=True)
    p.grad = torch.ones_like(p)
    with pytest.raises(InputError, match="take one before"):
        record(optimizer.step)
