"""Every schedule against its formula: as number, array, tensor and symbol, at its boundaries and far past its end."""

import pickle

import numpy as np
import pytest
import torch
from schedule_cases import CASES

from thalweg.numerics.symbol import row
from thalweg.recipes.row_table import OPERATIONS, evaluate
from thalweg.schedules import Schedule, parse
from thalweg.schedules import __dict__ as offered
from thalweg.schedules.schedule import MAKERS

FAR = (100, 10_007, 10**7)
every_case = pytest.mark.parametrize("case", CASES, ids=[str(case.schedule) for case in CASES])


def steps_of(case):
    around = {b + k for b in case.boundaries for k in (-1, 0, 1, 2) if b + k >= 0}
    return sorted({*range(30), *around, *FAR})


@every_case
def test_numbers(case):
    steps = steps_of(case)
    np.testing.assert_allclose(
        [case.schedule(t) for t in steps], [case.oracle(t) for t in steps], rtol=2e-12, atol=1e-15
    )
    assert all(type(case.schedule(t)) is float for t in (0, 3, 50)), "not of a whole number's type either"


@every_case
def test_arrays_and_tensors_and_symbols(case):
    steps = steps_of(case)
    expected = [case.schedule(t) for t in steps]
    with np.errstate(all="raise", under="ignore"):
        array = case.schedule(np.array(steps, float))
    assert (array.shape, array.dtype) == ((len(steps),), np.float64)
    tensor = case.schedule(torch.tensor(steps, dtype=torch.float64))
    assert (tensor.shape, tensor.dtype) == ((len(steps),), torch.float64)
    at = {"row": lambda symbol: np.array(steps, float), "literal": lambda symbol: np.array(symbol.name)}
    symbol = evaluate(case.schedule(row("t")), lambda s: at[s.op](s), OPERATIONS, {})
    for found in (array, tensor.numpy(), np.broadcast_to(symbol, len(steps))):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16)


@every_case
def test_it_stays_at_its_end(case):
    end = case.schedule.steps
    if end:
        assert end == case.boundaries[-1]
        assert {case.schedule(t) for t in (end, end + 1, *FAR)} == {case.schedule(end)}
    elif case.schedule.name != "constant":
        assert len({case.schedule(t) for t in range(30)}) > 1


@every_case
def test_text_python_and_pickle_make_it_again(case):
    for found in (
        parse(str(case.schedule)),
        eval(repr(case.schedule), dict(offered)),
        pickle.loads(pickle.dumps(case.schedule)),
    ):
        assert found == case.schedule
        assert hash(found) == hash(case.schedule)
        assert [found(t) for t in range(30)] == [case.schedule(t) for t in range(30)]


ABSOLUTE = ("low=0.1", "end=0", "start=0", "values", "steps=20, rise=5", "momentum(", "join(")
"""Where a value is not a share of the base."""

IN_PROPORTION = [case.schedule for case in CASES if not any(text in str(case.schedule) for text in ABSOLUTE)]


@pytest.mark.parametrize("schedule", IN_PROPORTION, ids=str)
def test_another_base_scales_it(schedule):
    doubled = schedule.with_base(2 * schedule.base)
    assert doubled.base == pytest.approx(2 * schedule.base)
    assert [doubled(t) for t in range(30)] == pytest.approx([2 * schedule(t) for t in range(30)], rel=1e-14)


def test_every_schedule_has_a_case_and_is_offered():
    assert {case.schedule.name for case in CASES} == set(MAKERS)
    assert set(MAKERS) <= set(offered)
    assert all(isinstance(case.schedule, Schedule) for case in CASES)
