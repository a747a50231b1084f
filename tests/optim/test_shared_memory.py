"""Parameters that share memory step one after the other, as with torch."""

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import PAIRS, fitted
from scope import in_turns, typical
from thalweg.optim.classes import drop_ins
from thalweg.optim.stepping.diagnostics import SlowStep
from thalweg.optim.stepping.fast_path import FastPath


def gradient(i, step, shape):
    size = torch.Size(shape).numel()
    return torch.cos(torch.arange(size, dtype=torch.float64) * (i + 1) + step).view(shape)


def tied():
    """Two parameters over one storage, and one beside them."""
    first = nn.Parameter(torch.linspace(1, 2, 96, dtype=torch.float64).view(8, 12))
    second = nn.Parameter(torch.zeros(8, 12, dtype=torch.float64))
    second.data = first.data
    return [first, nn.Parameter(torch.ones(5, dtype=torch.float64)), second]


def overlapping():
    """Stretches of one flat buffer that overlap by a part."""
    flat = torch.linspace(1, 2, 60, dtype=torch.float64)
    return [nn.Parameter(flat[0:30]), nn.Parameter(flat[20:50]), nn.Parameter(flat[45:60])]


def transposed():
    whole = torch.linspace(1, 2, 24, dtype=torch.float64).view(4, 6)
    return [nn.Parameter(whole), nn.Parameter(whole.t())]


def rows_of_one_another():
    whole = torch.linspace(1, 2, 24, dtype=torch.float64).view(4, 6)
    return [nn.Parameter(whole), nn.Parameter(whole[1]), nn.Parameter(whole[1, 2:4])]


def path(cls, made, threads, steps=6, **options):
    params = made()
    optimizer = cls(params, lr=0.01, **options)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for step in range(steps):
            for i, p in enumerate(params):
                p.grad = gradient(i, step, p.shape)
            optimizer.step()
    finally:
        torch.set_num_threads(before)
    return [p.detach() for p in params]


@pytest.mark.parametrize("made", [tied, overlapping, transposed, rows_of_one_another], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", sorted(PAIRS))
def test_as_with_torch(name, made):
    ours, theirs = PAIRS[name]
    options = {"foreach": False} if theirs.__module__.startswith("torch") else {}
    expected = path(theirs, made, 1, **options)
    for threads in (1, 2):
        torch.testing.assert_close(path(ours, made, threads), expected, rtol=1e-12, atol=1e-12)


OPTIONS = [
    {"weight_decay": 0.1},
    {"clip_global_norm": 0.5, "clip_tensor_norm": 0.3},
    {"cautious": True},
    {"maximize": True, "clip_value": 0.4},
    {"capturable": True},
]


@pytest.mark.parametrize(("cls", "options"), in_turns(typical(drop_ins()).values(), OPTIONS), ids=str)
def test_as_one_parameter_at_a_time(cls, options):
    """A group of their own for each is stepped in order."""

    def together(params, **given):
        return cls(fitted(cls, params), **given)

    def apart(params, **given):
        return cls([group for p in params for group in fitted(cls, [p])], **given)

    expected = path(apart, tied, 1, **options)
    torch.testing.assert_close(path(together, tied, 2, **options), expected, rtol=1e-12, atol=1e-12)


def test_elements_are_not_lost_to_threads():
    """Large enough for two threads, many times over."""
    whole = torch.zeros(1 << 18)
    params = [nn.Parameter(whole) for _ in range(4)]
    optimizer = thalweg.optim.SGD(params, lr=1.0)
    for _ in range(50):
        for p in params:
            p.grad = torch.ones_like(p)
        optimizer.step()
    assert whole.unique().tolist() == [-200.0]


@pytest.mark.parametrize("of", ["its own parameter", "another parameter", "its state"])
def test_a_gradient_in_the_memory_of_what_is_written(of):
    ends = []
    for cls in (thalweg.optim.Adam, torch.optim.Adam):
        p, q = (nn.Parameter(torch.linspace(1, 2, 6, dtype=torch.float64) + i) for i in range(2))
        optimizer = cls([p, q], lr=0.1, foreach=False)
        for step in range(6):
            p.grad, q.grad = gradient(0, step, p.shape), gradient(1, step, q.shape)
            if step >= 3:
                sources = {"its own parameter": q, "another parameter": p, "its state": optimizer.state[q]["exp_avg"]}
                q.grad = sources[of].data
            optimizer.step()
        ends.append(torch.cat([p.detach(), q.detach()]))
    if of == "its state":  # torch writes the average before it reads the gradient again; here all is read first
        assert torch.isfinite(ends[0]).all()
    else:
        torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


def test_moments_shared_by_two_parameters():
    """Put there by hand: each parameter's step sees what the other's left."""
    ends = []
    for cls in (thalweg.optim.Adam, torch.optim.Adam):
        p, q = (nn.Parameter(torch.ones(5, dtype=torch.float64)) for _ in range(2))
        optimizer = cls([p, q], lr=0.1, foreach=False)
        for step in range(6):
            p.grad, q.grad = gradient(0, step, p.shape), gradient(1, step, q.shape)
            if step == 2:
                optimizer.state[q]["exp_avg"] = optimizer.state[p]["exp_avg"]
            optimizer.step()
        ends.append(torch.cat([p.detach(), q.detach()]))
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


@pytest.fixture
def untold(monkeypatch):
    monkeypatch.setattr("thalweg.optim.stepping.diagnostics._told", set())


def stepped(cls, params, gradients, steps=1):
    optimizer = cls(params)
    for step in range(steps):
        for i, p in enumerate(params):
            p.grad = gradients(step, i)
        optimizer.step()


@pytest.mark.usefixtures("untold")
def test_torchs_operators_in_the_place_of_the_pass_are_told():
    p = nn.Parameter(torch.ones(3, dtype=torch.float16))
    with pytest.warns(SlowStep, match="SGD: no pass is compiled for float16 at once, so torch's operators"):
        stepped(thalweg.optim.SGD, [p], lambda step, i: torch.ones_like(p))


@pytest.mark.usefixtures("untold")
def test_steps_that_are_each_prepared_anew_are_told():
    p = nn.Parameter(torch.ones(3))

    def elsewhere(step, i):
        p.data = p.data.clone()
        return torch.ones(3)

    with pytest.warns(SlowStep, match="Adam: which parameters have a gradient, or where"):
        stepped(thalweg.optim.Adam, [p], elsewhere, steps=30)


def test_experts_that_are_reached_now_and_then_stay_prepared(monkeypatch):
    """Each pattern of parameters with a gradient is prepared once."""
    found, fits = [], FastPath.fits
    monkeypatch.setattr(FastPath, "fits", lambda *args: found.append(fits(*args)) or found[-1])
    params = [nn.Parameter(torch.ones(3)) for _ in range(3)]
    stepped(thalweg.optim.Adam, params, lambda step, i: None if step % 3 == i else torch.ones(3), steps=18)
    assert found == [True] * 15
    reference = [nn.Parameter(torch.ones(3)) for _ in range(3)]
    stepped(torch.optim.Adam, reference, lambda step, i: None if step % 3 == i else torch.ones(3), steps=18)
    torch.testing.assert_close(params, reference)
