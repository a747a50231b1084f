"""The shape of warm-up and end, what is refused, and users' functions as schedules."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from thalweg.errors import InputError
from thalweg.schedules import as_schedule, cosine, linear, parse

MADE = [
    cosine(0.3, steps=10, end=0.0),
    cosine(0.3, steps=10, warmup=3, end=0.1),
    linear(0.3, steps=7, warmup=1, end=0.0),
    linear(2.0, steps=1, end=0.0),
]
every_schedule = pytest.mark.parametrize("schedule", MADE, ids=str)


def of_torch(make, steps):
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=0.3)
    schedule, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_without_warm_up_they_are_torchs_until_their_end():
    found = [cosine(0.3, steps=10, end=0.05)(t) for t in range(11)]
    expected = of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.05), 11)
    assert found == pytest.approx(expected, rel=1e-13)
    found = [linear(0.3, steps=10)(t) for t in range(11)]
    assert found == pytest.approx(of_torch(lambda o: lr_scheduler.PolynomialLR(o, 10), 11), abs=1e-15)


@every_schedule
def test_the_peak_the_end_and_what_comes_after(schedule):
    given = schedule.arguments
    values = [schedule(t) for t in range(given["steps"] + 50)]
    warmup = given["warmup"]
    assert values[warmup] == pytest.approx(given["peak"], rel=1e-15)
    assert values[:warmup] == pytest.approx([given["peak"] * (t + 1) / warmup for t in range(warmup)], rel=1e-15)
    assert all(v > 0 for v in values[: given["steps"]]), "a step without a rate is lost"
    assert values[given["steps"] :] == pytest.approx([given["end"]] * 50, abs=1e-17)
    assert values[warmup:] == sorted(values[warmup:], reverse=True)


@every_schedule
def test_a_tensor_is_taken_as_numbers_are(schedule):
    steps = torch.arange(20, dtype=torch.float64)
    found = schedule(steps).expand(20)
    assert found.tolist() == pytest.approx([schedule(t) for t in range(20)], rel=1e-14, abs=1e-16)


@every_schedule
def test_its_text_makes_it_again(schedule):
    assert parse(str(schedule)) == schedule
    assert [parse(str(schedule))(t) for t in range(20)] == [schedule(t) for t in range(20)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"peak": 0, "steps": 3}, r"'peak' of cosine must be a number in \(0, inf\)"),
        ({"peak": math.nan, "steps": 3}, r"'peak' of cosine must be a number in \(0, inf\)"),
        ({"peak": 1, "steps": 0}, r"'steps' of cosine must be a whole number in \[1, inf\), got 0"),
        ({"peak": 1, "steps": 2.5}, "'steps' of cosine must be a whole number"),
        ({"peak": 1, "steps": 3, "warmup": 3}, r"'warmup' of cosine must be a whole number in \[0, 2\], got 3"),
        ({"peak": 1, "steps": 3, "end": 2}, r"'end' of cosine must be a number in \[0, 1\], got 2"),
        ({"peak": "1", "steps": 3}, r"'peak' of cosine must be a number in \(0, inf\), got '1'"),
    ],
)
def test_refused(given, message):
    with pytest.raises(InputError, match=message):
        cosine(**given)


def test_a_function_is_a_schedule_and_a_class_is_none():
    assert as_schedule(lambda t: 0.1 / (1 + t))(3) == 0.025
    assert as_schedule(torch.nn.Linear) is None
    assert as_schedule(0.1) is None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda t: None, "values must be numbers, and .* is None at step 0"),
        (lambda t: [0.1, 0.2], r"is \[0.1, 0.2\] at step 0"),
        (lambda t: 1 / t, r"raised ZeroDivisionError at step 0: .*division by zero\.$"),
        ([].__getitem__, r"^The schedule list.__getitem__\(\) raised IndexError at step 0: list index out of range\.$"),
    ],
)
def test_a_function_that_raises_or_gives_no_number_is_named(function, message):
    with pytest.raises(InputError, match=message):
        as_schedule(function)
