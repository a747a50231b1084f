"""Schedules under a library's convention: its values step by step, torch's own schedulers, and what is warned of."""

import warnings

import pytest
import torch
from torch.optim import lr_scheduler

from thalweg import schedules as s
from thalweg.errors import InputError
from thalweg.schedules import traps

VALUES = """
torch cosine | 1 0.97553 0.90451 0.79389 0.65451 0.5 0.34549 0.20611 0.095492 0.024472 0 0.024472 0.095492
optax cosine | 1 0.97553 0.90451 0.79389 0.65451 0.5 0.34549 0.20611 0.095492 0.024472 0 0 0
keras cosine | 1 0.97553 0.90451 0.79389 0.65451 0.5 0.34549 0.20611 0.095491 0.024472 0 0 0
hf cosine | 1 0.97553 0.90451 0.79389 0.65451 0.5 0.34549 0.20611 0.095492 0.024472 0 0.024472 0.095492
hf cosine min .1 | 1 0.97798 0.91406 0.8145 0.68906 0.55 0.41094 0.2855 0.18594 0.12202 0.1 0.12202 0.18594
hf cosine W3 | 0 0.33333 0.66667 1 0.95048 0.81174 0.61126 0.38874 0.18826 0.049516 0 0.049516 0.18826
hf restarts | 1 0.90451 0.65451 0.34549 0.095492 1 0.90451 0.65451 0.34549 0.095492 0 0 0
optax cosine W3 | 0 0.33333 0.66667 1 0.95048 0.81174 0.61126 0.38874 0.18826 0.049516 0 0 0
keras cosine W3 | 0 0.33333 0.66667 1 0.95048 0.81174 0.61126 0.38874 0.18826 0.049516 0 0 0
torch sequence | 0.33333 0.55556 0.77778 1 0.95048 0.81174 0.61126 0.38874 0.18826 0.049516 0 0.049516 0.18826
timm cosine W3 | 0 0.33333 0.66667 0.79389 0.65451 0.5 0.34549 0.20611 0.095492 0.024472 0 0 0
torch linear | 1 0.9 0.8 0.7 0.6 0.5 0.4 0.3 0.2 0.1 0 0 0
optax linear | 1 0.9 0.8 0.7 0.6 0.5 0.4 0.3 0.2 0.1 0 0 0
hf linear | 1 0.9 0.8 0.7 0.6 0.5 0.4 0.3 0.2 0.1 0 0 0
torch polynomial | 1 0.9 0.8 0.7 0.6 0.5 0.4 0.3 0.2 0.1 0 0 0
keras polynomial | 1 0.90001 0.80002 0.70003 0.60004 0.50005 0.40006 0.30007 0.20008 0.10009 0.0001 0.0001 0.0001
hf polynomial | 1 0.9 0.8 0.7 0.6 0.5 0.4 0.3 0.2 0.1 1e-07 1e-07 1e-07
keras polynomial cycle | 1 0.8 0.6 0.4 0.2 0 0.4 0.3 0.2 0.1 0 0.26667 0.2
timm polynomial | 1 0.94868 0.89443 0.83666 0.7746 0.70711 0.63246 0.54772 0.44721 0.31623 0 0 0
torch step | 1 1 1 0.5 0.5 0.5 0.25 0.25 0.25 0.125 0.125 0.125 0.0625
timm step | 1 1 1 0.1 0.1 0.1 0.01 0.01 0.01 0.001 0.001 0.001 0.0001
optax staircase | 1 1 1 0.5 0.5 0.5 0.25 0.25 0.25 0.125 0.125 0.125 0.0625
optax staircase from 2 | 1 1 1 1 1 0.5 0.5 0.5 0.25 0.25 0.25 0.125 0.125
keras staircase | 1 1 1 0.5 0.5 0.5 0.25 0.25 0.25 0.125 0.125 0.125 0.0625
keras inverse time | 1 1 1 0.66667 0.66667 0.66667 0.5 0.5 0.5 0.4 0.4 0.4 0.33333
torch restarts | 1 0.75 0.25 1 0.93301 0.75 0.5 0.25 0.066987 1 0.98296 0.93301 0.85355
keras restarts | 1 0.75 0.25 1 0.93301 0.75 0.5 0.25 0.066987 1 0.98296 0.93301 0.85355
keras restarts decaying | 1 0.775 0.325 0.55 0.51986 0.4375 0.325 0.2125 0.13014 0.325 0.32117 0.30993 0.29205
torch 1cycle | 0.04 0.52 1 0.95048 0.81175 0.61126 0.38874 0.18826 0.049519 4e-06 0.049519
torch 1cycle linear | 0.04 0.52 1 0.52 0.04 0.032001 0.024002 0.016002 0.0080032 4e-06 -0.0079952
optax 1cycle | 0.04 0.28 0.76 1 0.95048 0.81175 0.61126 0.38874 0.18826 0.049519 4e-06 4e-06 4e-06
optax 1cycle linear | 0.04 0.36 0.68 1 0.808 0.616 0.424 0.232 0.04 0.020002 4e-06 4e-06 4e-06
torch cyclic | 0.1 0.4 0.7 1 0.7 0.4 0.1 0.4 0.7 1 0.7 0.4 0.1
torch cyclic 2 | 0.1 0.4 0.7 1 0.7 0.4 0.1 0.25 0.4 0.55 0.4 0.25 0.1
torch cyclic exp | 0.1 0.37 0.586 0.7561 0.49366 0.27715 0.1 0.24349 0.35828 0.44868 0.30921 0.19414 0.1
hf wsd | 0 0.5 1 1 1 1 1 0.85355 0.5 0.14645 0 0 0
hf wsd root | 0.1 0.55 1 1 1 1 1 0.55 0.3636 0.22058 0.1 0.1 0.1
timm wsd | 0 0.5 1 1 1 1 1 0.5 0.29289 0.13397 0 0 0
hf inverse root | 0 0.33333 0.66667 1 0.86603 0.7746 0.70711 0.65465 0.61237 0.57735 0.54772 0.52223 0.5
hf inverse root 10 | 0 0.33333 0.66667 1 0.95346 0.91287 0.87706 0.84515 0.8165 0.79057 0.76696 0.74536 0.72548
torch constant | 0.33333 0.33333 0.33333 0.33333 0.33333 1 1 1 1 1 1 1 1
torch linear default | 0.33333 0.46667 0.6 0.73333 0.86667 1 1 1 1 1 1 1 1
hf constant | 0 0.33333 0.66667 1 1 1 1 1 1 1 1 1 1
torch piecewise | 1 1 1 0.1 0.1 0.1 0.01 0.01 0.01 0.01 0.01 0.01 0.01
optax piecewise | 1 1 1 0.1 0.1 0.1 0.01 0.01 0.01 0.01 0.01 0.01 0.01
keras piecewise | 1 1 1 1 0.1 0.1 0.1 0.01 0.01 0.01 0.01 0.01 0.01
timm piecewise | 1 1 0.1 0.1 0.1 0.01 0.01 0.01 0.01 0.01 0.01 0.01 0.01
"""
"""Computed by the libraries, to five digits."""

OURS = {
    "torch cosine": "cosine(1, steps=10, convention=torch)",
    "optax cosine": "cosine(1, steps=10, convention=optax)",
    "keras cosine": "cosine(1, steps=10, convention=keras)",
    "hf cosine": "cosine(1, steps=10, convention=hf)",
    "hf cosine min .1": "cosine(1, steps=10, end=0.1, convention=hf)",
    "hf cosine W3": "cosine(1, steps=10, warmup=3, convention=hf)",
    "hf restarts": "cosine-restarts(1, steps=10, cycles=2, convention=hf)",
    "optax cosine W3": "cosine(1, steps=10, warmup=3, convention=optax)",
    "keras cosine W3": "cosine(1, steps=7, warmup=3, convention=keras)",
    "torch sequence": "warmup(cosine(1, steps=7, convention=torch), steps=3, convention=torch)",
    "timm cosine W3": "cosine(1, steps=10, warmup=3, convention=timm)",
    "torch linear": "linear(1, steps=10, start=100%, end=0, convention=torch)",
    "optax linear": "linear(1, steps=10, convention=optax)",
    "hf linear": "linear(1, steps=10, convention=hf)",
    "torch polynomial": "polynomial(1, steps=10, convention=torch)",
    "keras polynomial": "polynomial(1, steps=10, convention=keras)",
    "hf polynomial": "polynomial(1, steps=10, convention=hf)",
    "keras polynomial cycle": "polynomial(1, steps=5, end=0, cycle=True, convention=keras)",
    "timm polynomial": "polynomial(1, steps=10, convention=timm)",
    "torch step": "step(1, every=3, factor=0.5, convention=torch)",
    "timm step": "step(1, every=3, factor=0.1, convention=timm)",
    "optax staircase": "exponential(1, steps=3, factor=0.5, staircase=True, convention=optax)",
    "optax staircase from 2": "exponential(1, steps=3, factor=0.5, staircase=True, begin=2, convention=optax)",
    "keras staircase": "exponential(1, steps=3, factor=0.5, staircase=True, convention=keras)",
    "keras inverse time": "inverse-time(1, steps=3, decay=0.5, staircase=True, convention=keras)",
    "torch restarts": "cosine-restarts(1, period=3, growth=2, convention=torch)",
    "keras restarts": "cosine-restarts(1, period=3, convention=keras)",
    "keras restarts decaying": "cosine-restarts(1, period=3, decay=0.5, end=0.1, convention=keras)",
    "torch 1cycle": "1cycle(1, steps=10, convention=torch)",
    "torch 1cycle linear": "1cycle(1, steps=10, fall=30%, shape=linear, convention=torch)",
    "optax 1cycle": "1cycle(1, steps=10, convention=optax)",
    "optax 1cycle linear": "1cycle(1, steps=10, shape=linear, convention=optax)",
    "torch cyclic": "cyclic(1, low=0.1, up=3, convention=torch)",
    "torch cyclic 2": "cyclic(1, low=0.1, up=3, mode=triangular2, convention=torch)",
    "torch cyclic exp": "cyclic(1, low=0.1, up=3, mode=exp_range, gamma=0.9, convention=torch)",
    "hf wsd": "wsd(1, steps=10, warmup=2, decay=4, convention=hf)",
    "hf wsd root": "wsd(1, steps=10, warmup=2, decay=4, shape='1-sqrt', end=10%, convention=hf)",
    "timm wsd": "wsd(1, steps=8, warmup=2, decay=4, convention=timm)",
    "hf inverse root": "inverse-sqrt(1, warmup=3, convention=hf)",
    "hf inverse root 10": "inverse-sqrt(1, warmup=3, timescale=10, convention=hf)",
    "torch constant": "constant(1, convention=torch)",
    "torch linear default": "linear(1, convention=torch)",
    "hf constant": "constant(1, warmup=3, convention=hf)",
    "torch piecewise": "piecewise(1, boundaries=[3, 6], convention=torch)",
    "optax piecewise": "piecewise(1, boundaries=[3, 6], convention=optax)",
    "keras piecewise": "piecewise(1, boundaries=[3, 6], convention=keras)",
    "timm piecewise": "piecewise(1, boundaries=[3, 6], factors=0.1, convention=timm)",
}

TABLE = dict(line.split(" | ") for line in VALUES.strip().splitlines())


def quiet(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", traps.ScheduleWarning)
        return s.parse(text)


@pytest.fixture
def told_anew():
    """Warnings are given once in a process."""
    traps.forget()
    yield
    traps.forget()


def test_each_line_has_one_of_ours():
    assert set(TABLE) == set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_the_values_of_the_libraries(name):
    expected = [float(value) for value in TABLE[name].split()]
    schedule = quiet(OURS[name])
    found = [schedule(t) for t in range(len(expected))]
    assert found == pytest.approx(expected, rel=5e-5, abs=1e-6 if name.startswith("keras") else 1e-9)


OF_TORCH = {
    "constant(0.3, convention=torch)": lambda o: lr_scheduler.ConstantLR(o),
    "linear(0.3, convention=torch)": lambda o: lr_scheduler.LinearLR(o),
    "polynomial(0.3, steps=12, power=2.5, convention=torch)": lambda o: lr_scheduler.PolynomialLR(o, 12, 2.5),
    "step(0.3, every=7, convention=torch)": lambda o: lr_scheduler.StepLR(o, 7),
    "piecewise(0.3, boundaries=[3, 9, 9], convention=torch)": lambda o: lr_scheduler.MultiStepLR(o, [3, 9, 9]),
    "exponential(0.3, factor=0.9, convention=torch)": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "cosine(0.3, steps=10, end=0.05, convention=torch)": lambda o: lr_scheduler.CosineAnnealingLR(o, 10, 0.05),
    "cosine-restarts(0.3, period=1, growth=3, end=0.05, convention=torch)": lambda o: (
        lr_scheduler.CosineAnnealingWarmRestarts(o, 1, 3, 0.05)
    ),
    "cyclic(0.3, low=0.1, up=4, down=3, convention=torch)": lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.3, 4, 3),
    "1cycle(0.3, steps=40, convention=torch)": lambda o: lr_scheduler.OneCycleLR(o, 0.3, 40),
    "1cycle(0.3, steps=40, fall=30%, convention=torch)": lambda o: lr_scheduler.OneCycleLR(
        o, 0.3, 40, three_phase=True
    ),
}


@pytest.mark.parametrize("text", OF_TORCH)
def test_torchs_own_schedulers_step_by_step(text):
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=0.3, momentum=0.9)
    scheduler, rates = OF_TORCH[text](optimizer), []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    schedule = quiet(text)
    assert [schedule(t) for t in range(40)] == pytest.approx(rates, rel=0, abs=3e-13)


TRAPS = {
    "cosine(1, steps=10, convention=torch)": (s.RisingTail, "cosine as in torch: it rises again past step 10"),
    "cosine(1, steps=10, convention=hf)": (s.RisingTail, "cosine as in hf: it rises again past step 10"),
    "1cycle(1, steps=10, convention=torch)": (s.RisingTail, "one_cycle as in torch: it rises again past step 9"),
    "1cycle(1, steps=10, fall=30%, shape=linear, convention=torch)": (s.NegativeTail, "it is negative past step 9"),
    "cosine(1, steps=10, warmup=3, convention=hf)": (s.FirstStepAtZero, "its first step has a rate of 0"),
    "constant(1, warmup=3, convention=hf)": (s.FirstStepAtZero, "its first step has a rate of 0"),
    "warmup(linear(1, steps=9), steps=3, convention=timm)": (s.FirstStepAtZero, "warmup as in timm: its first step"),
}


@pytest.mark.usefixtures("told_anew")
@pytest.mark.parametrize("text", TRAPS)
def test_silent_traps_are_told_once(text):
    category, message = TRAPS[text]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        s.parse(text)
        s.parse(text)
    assert len([w for w in found if w.category is category and message in str(w.message)]) == 1
    assert all(issubclass(w.category, s.ScheduleWarning) for w in found)


@pytest.mark.usefixtures("told_anew")
def test_a_trap_can_be_filtered_and_ours_have_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", s.RisingTail)
        s.cosine(1, steps=10, convention="torch")
        for name in ("cosine", "linear", "polynomial", "wsd", "one_cycle", "inverse_sqrt", "constant"):
            given = {} if name in ("one_cycle", "inverse_sqrt") else {"warmup": "10%"}
            getattr(s, name)(1, **given).resolved(steps=100)


@pytest.mark.usefixtures("told_anew")
def test_nothing_is_told_before_the_run_is_known():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relative = s.cosine(convention="torch")
        open_ = relative.with_base(0.1)
    with pytest.warns(s.RisingTail, match="past step 7"):
        open_.resolved(steps=7)


def test_a_convention_of_a_library_without_it_is_refused():
    with pytest.raises(InputError, match="power has no 'convention'"):
        s.parse("power(0.1, convention=keras)")
