"""Values of schedules ahead: bit for bit those of the step, whatever comes between, and of closed forms alone."""

import copy
import pickle
import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import thalweg.optim
from schedules.schedule_cases import CASES
from schedules.test_schedules_fuzzed import SEVERAL
from thalweg.errors import InputError
from thalweg.optim.stepping import diagnostics, values_ahead
from thalweg.optim.stepping.scheduling import ScheduleEnded
from thalweg.schedules import chain, constant, cosine, linear, one_cycle, one_cycle_momentum, power

AHEAD = 128
RATE = cosine(0.05, steps=280, warmup=20, end=0.001)
BETA = one_cycle_momentum(0.95, low=0.85, steps=290)
DECAY = linear(0.3, steps=150)  # which then switches weight decay off


@pytest.fixture(autouse=True)
def blocks(monkeypatch):
    """Blocks of 128 steps, so that 300 steps meet their borders, and warnings that are given again."""
    monkeypatch.setattr(values_ahead, "AHEAD", AHEAD)
    monkeypatch.setattr(diagnostics, "_told", set())


def begun(name="Adam", **options):
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in ((4, 3), (5,))]
    return params, getattr(thalweg.optim, name)(params, **options)


def step(optimizer, number):
    """One step of gradients that follow from its number."""
    generator = torch.Generator().manual_seed(number)
    for p in optimizer.param_groups[0]["params"]:
        p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
    optimizer.step()


def go(optimizer, steps, first=0):
    """Steps; returns the rate that stood before each."""
    shown = []
    for number in range(first, first + steps):
        shown.append(optimizer.param_groups[0]["lr"])
        step(optimizer, number)
    return shown


def is_ahead(optimizer):
    return optimizer.param_groups[0]["schedules"].ahead is not None


def rates(steps, first=0, of=RATE):
    return [of.at(t) for t in range(first, first + steps)]


def require_equal(params, others):
    torch.testing.assert_close([*params], [*others], rtol=0, atol=0)


@pytest.mark.rests
@pytest.mark.parametrize("schedule", [case.schedule for case in CASES], ids=str)
@pytest.mark.parametrize("first", [0, 5, 1000, 123_456])
def test_a_block_is_bit_for_bit_the_values_of_its_steps(schedule, first):
    found = values_ahead._values(schedule, first)
    expected = [float(schedule.at(t)) for t in range(first, first + AHEAD)]
    assert [v.hex() for v in found.tolist()] == [v.hex() for v in expected]


@pytest.mark.rests
@settings(max_examples=200, deadline=None)
@given(SEVERAL, st.integers(2, 400), st.integers(0, 10**6))
def test_so_is_that_of_any_schedule(schedule, steps, first):
    closed = schedule.resolved(steps=steps, steps_per_epoch=7)
    found = values_ahead._values(closed, first)
    if found is not None:
        assert [v.hex() for v in found.tolist()] == [float(closed.at(first + i)).hex() for i in range(len(found))]


@pytest.mark.parametrize(("name", "options"), [("Adam", {}), ("SGD", {"momentum": 0.9}), ("LAMB", {}), ("Lion", {})])
def test_the_group_shows_the_values_of_the_schedule(name, options):
    _, optimizer = begun(name, lr=RATE, **options)
    shown = go(optimizer, 300)
    assert is_ahead(optimizer)
    assert all(type(rate) is float for rate in shown)
    assert [rate.hex() for rate in shown] == [float(rate).hex() for rate in rates(300)]


@pytest.mark.parametrize(
    ("name", "schedules"),
    [
        *((name, {"lr": RATE}) for name in ("Adam", "NAdam", "Adagrad", "LAMB", "Lion", "RMSprop", "ASGD", "Muon")),
        ("SGD", {"lr": RATE, "momentum": BETA}),
        ("AdamW", {"lr": one_cycle(0.1, steps=290, momentum=False), "betas": (BETA, 0.99), "weight_decay": DECAY}),
        ("Adam", {"weight_decay": DECAY, "betas": (0.9, BETA)}),
    ],
)
def test_steps_are_those_of_values_set_by_hand(name, schedules):
    """Bit for bit, whether one hyperparameter is scheduled or several, and where one is switched off on the way."""

    def at(t):
        def of(value):
            return tuple(map(of, value)) if isinstance(value, tuple) else value if type(value) is float else value.at(t)

        return {key: of(value) for key, value in schedules.items()}

    params, optimizer = begun(name, **schedules)
    if name == "Muon":
        params, optimizer = [params[0]], thalweg.optim.Muon([params[0]], **schedules)
    copies = [nn.Parameter(p.detach().clone()) for p in params]
    by_hand = getattr(thalweg.optim, name)(copies, **at(0))
    for t in range(300):
        by_hand.param_groups[0].update(at(t))
        step(optimizer, t)
        step(by_hand, t)
        require_equal(params, copies)


def test_parameters_that_are_left_out_of_steps():
    """Their own count of steps falls behind the schedule's, at other steps each."""
    params, optimizer = begun(lr=RATE)
    copies, by_hand = begun(lr=RATE.at(0))
    for t in range(300):
        by_hand.param_groups[0]["lr"] = RATE.at(t)
        for i, (p, q) in enumerate(zip(params, copies, strict=True)):
            generator = torch.Generator().manual_seed(t)
            used = t < 60 or (i, t % 7 < 3) in ((0, True), (1, False)) or 150 < t < 220
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64) if used else None
            q.grad = None if p.grad is None else p.grad.clone()
        optimizer.step()
        by_hand.step()
        require_equal(params, copies)
    assert is_ahead(optimizer)


def first_invalid(schedule):
    return next(t for t in range(1000) if not schedule.at(t) >= 0)


def test_an_invalid_value_is_refused_at_its_own_step():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which says that it is negative past its end
        falling = one_cycle(0.3, steps=130, convention="torch", shape="linear", momentum=False)
    falling = chain(constant(1.0), falling)  # whose length is not known, so that it is not checked before
    bad = first_invalid(falling)
    assert bad == 130
    params, optimizer = begun(lr=falling)
    assert go(optimizer, bad) == rates(bad, of=falling)
    before, last = [p.detach().clone() for p in params], optimizer.param_groups[0]["lr"]
    assert last == falling.at(bad - 1)
    for _ in range(2):
        with pytest.raises(InputError, match=r"'lr' of Adam must be a number in .* at step 130 of its schedule"):
            step(optimizer, bad)
        require_equal(params, before)
        assert optimizer.param_groups[0]["lr"] == last
    optimizer.param_groups[0]["lr"] = 0.2
    with pytest.warns(ScheduleEnded):
        assert go(optimizer, 3, bad) == [0.2] * 3


def test_a_formula_that_overflows_is_refused_at_its_own_step():
    """Numbers raise there, arrays do not."""
    steep = power(0.3, steps=1, exponent=150.0)
    bad = next(t for t in range(1000) if 150 * len(bin(t + 1)) > 1024 and _raises(steep, t))
    _, optimizer = begun(lr=steep)
    assert go(optimizer, bad) == rates(bad, of=steep)
    with pytest.raises(InputError, match=f"raised OverflowError at step {bad}"):
        step(optimizer, bad)


def _raises(schedule, t):
    try:
        schedule.at(t)
    except InputError:
        return True
    return False


def test_a_loaded_schedule_is_that_of_the_checkpoint():
    params, optimizer = begun(lr=RATE)
    go(optimizer, 40)
    saved, then = copy.deepcopy(optimizer.state_dict()), [p.detach().clone() for p in params]
    assert saved["param_groups"][0]["schedules"] == {"lr": str(RATE)}
    first = go(optimizer, 200, 40)
    after = [p.detach().clone() for p in params]
    with torch.no_grad():
        for p, value in zip(params, then, strict=True):
            p.copy_(value)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == RATE.at(40)
    assert go(optimizer, 200, 40) == first == rates(200, 40)
    assert is_ahead(optimizer)
    require_equal(params, after)
    slower = begun(lr=cosine(0.02, steps=1000))[1]
    go(slower, 30)
    optimizer.load_state_dict(slower.state_dict())
    assert go(optimizer, 150, 30) == rates(150, 30, cosine(0.02, steps=1000))


@pytest.mark.parametrize("count", [200, 3])
def test_a_step_count_set_by_hand(count):
    """The value that stands is that of the next step; those after it are the schedule's from there."""
    _, optimizer = begun(lr=RATE)
    go(optimizer, 50)
    optimizer.param_groups[0]["schedule_step"] = count
    assert go(optimizer, 150, 50) == [RATE.at(50), *rates(149, count + 1)]
    assert optimizer.param_groups[0]["schedule_step"] == count + 150
    assert is_ahead(optimizer)


def test_the_count_that_is_set_again_to_what_it_is():
    _, optimizer = begun(lr=RATE)
    for t in range(300):
        optimizer.param_groups[0]["schedule_step"] = int(str(t))
        assert go(optimizer, 1, t) == [RATE.at(t)]
    assert is_ahead(optimizer)


def test_another_schedule_put_in_its_place():
    other = linear(0.02, steps=400)
    _, optimizer = begun(lr=RATE)
    go(optimizer, 50)
    optimizer.param_groups[0]["schedules"]["lr"] = other
    assert go(optimizer, 100, 50) == [RATE.at(50), *rates(99, 51, other)]


@pytest.mark.parametrize("after", [1, 30, AHEAD, 200])
def test_a_value_set_by_hand_ends_its_schedule_alone(after):
    _, optimizer = begun(lr=RATE, betas=(BETA, 0.99))
    go(optimizer, after)
    group = optimizer.param_groups[0]
    group["lr"] = 0.02
    with pytest.warns(ScheduleEnded, match="'lr'"):
        go(optimizer, 1, after)
    assert go(optimizer, 60, after + 1) == [0.02] * 60
    assert group["betas"] == (BETA.at(after + 61), 0.99)
    assert is_ahead(optimizer)


def test_the_other_of_two_betas_set_by_hand_is_kept():
    params, optimizer = begun(betas=(BETA, 0.99))
    copies, by_hand = begun(betas=(BETA.at(0), 0.99))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for t in range(200):
            second = 0.99 if t < 60 else 0.9
            by_hand.param_groups[0]["betas"] = (BETA.at(t), second)
            if t == 60:
                optimizer.param_groups[0]["betas"] = (optimizer.param_groups[0]["betas"][0], second)
            assert optimizer.param_groups[0]["betas"] == (BETA.at(t), second)
            step(optimizer, t)
            step(by_hand, t)
    require_equal(params, copies)


@pytest.mark.parametrize("key", ["eps", "weight_decay"])
def test_another_hyperparameter_set_between_steps(key):
    params, optimizer = begun(lr=RATE)
    copies, by_hand = begun(lr=RATE.at(0))
    for t in range(200):
        changed = {key: 0.01 * (1 + t // 50)} if t % 50 == 3 else {}
        optimizer.param_groups[0].update(changed)
        by_hand.param_groups[0].update(changed, lr=RATE.at(t))
        step(optimizer, t)
        step(by_hand, t)
        require_equal(params, copies)


def test_a_rate_set_back_to_one_of_before_is_read():
    """With another hyperparameter, so that all are read anew, and none is taken for what it was before the block."""
    params, optimizer = begun(lr=RATE)
    copies, by_hand = begun(lr=RATE.at(0))
    for t in range(80):
        if t == 50:
            optimizer.param_groups[0].update(lr=RATE.at(0) + 0.0, eps=1e-3)
        by_hand.param_groups[0].update(lr=RATE.at(t if t < 50 else 0), eps=1e-8 if t < 50 else 1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step(optimizer, t)
        step(by_hand, t)
        require_equal(params, copies)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
def test_a_copy_goes_on_by_itself(twin):
    _, optimizer = begun(lr=RATE, betas=(BETA, 0.99))
    go(optimizer, 60)
    other = twin(optimizer)
    assert is_ahead(optimizer)
    assert not is_ahead(other)
    assert go(optimizer, 150, 60) == go(other, 150, 60) == rates(150, 60)
    require_equal(optimizer.param_groups[0]["params"], other.param_groups[0]["params"])


def test_a_step_that_a_scaler_skips():
    _, optimizer = begun(lr=RATE, fused=True)
    go(optimizer, 40)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(1.0), torch.tensor(1.0)
    go(optimizer, 2, 40)
    assert optimizer.param_groups[0]["lr"] == RATE.at(40)
    del optimizer.grad_scale, optimizer.found_inf
    assert go(optimizer, 140, 40) == rates(140, 40)


@pytest.mark.parametrize("capturable", [True, False])
def test_a_group_that_becomes_capturable_within_a_block(capturable):
    _, optimizer = begun(lr=RATE, capturable=capturable)
    go(optimizer, 40)
    assert is_ahead(optimizer) is not capturable
    optimizer.param_groups[0]["capturable"] = optimizer.defaults["capturable"] = not capturable
    shown = []
    for t in range(40, 100):
        shown.append(float(optimizer.param_groups[0]["lr"]))
        step(optimizer, t)
    assert shown == pytest.approx(rates(60, 40), rel=1e-14)
    assert isinstance(optimizer.param_groups[0]["schedule_step"], torch.Tensor) is not capturable


@pytest.mark.parametrize("inside", [False, True])
def test_a_function_of_ones_own_is_asked_step_by_step(inside):
    asked = []

    def own(t):
        asked.append(int(t))
        return 0.5 + 1 / (t + 3)

    _, optimizer = begun(lr=chain(RATE, own) if inside else own, betas=(BETA, 0.99))
    for t in range(150):
        step(optimizer, t)
        assert max(asked) == t + 1
    assert not is_ahead(optimizer)
    assert all(b - a in (0, 1) for a, b in pairwise(asked[-140:]))
