"""Numbers of unusual kinds and sizes, complex and sparse ones, and every modifier beside them."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import thalweg.optim
from adversarial.adversary import THEIRS, Run, parameters, same
from thalweg.errors import InputError

every = pytest.mark.parametrize("name", THEIRS)


@every
@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e150])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_gradients_of_all_sizes(name, size, decay):
    options = {} if name == "Rprop" else {"weight_decay": decay}

    def act(run):
        for _ in range(4):
            run.fill()
            for p in run.params:
                p.grad.mul_(size)
            run.optimizer.step()

    same(name, act, **options)


@every
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_rate_of_zero_with_decay(name, decay):
    options = {} if name == "Rprop" else {"weight_decay": decay}

    def act(run):
        run.group["lr"] = 0.0
        run.step(3)
        run.group["lr"] = 0.1
        run.step(3)

    same(name, act, **options)


@every
def test_steps_without_any_gradient_at_first(name):
    """Gradients of 0 at a rate that is not: torch counts these steps."""

    def act(run):
        for p in run.params:
            p.grad = torch.zeros_like(p)
        run.optimizer.step()
        run.optimizer.step()
        run.step(3)

    same(name, act)


@pytest.mark.parametrize(
    "name", sorted({*THEIRS} - {"SGD", "Rprop", "Adagrad", "RMSprop", "Adadelta", "Adamax", "ASGD"})
)
def test_a_first_step_of_a_warm_up_from_zero_without_any_gradient(name):
    """torch counts it, and its moments are corrected for one step more from then on."""

    def act(run):
        run.group["lr"] = 0.0
        for p in run.params:
            p.grad = torch.zeros_like(p)
        run.optimizer.step()
        run.group["lr"] = 0.1
        run.step(3)

    same(name, act)


@pytest.mark.parametrize(
    "kind",
    [
        np.float64,
        np.float32,
        np.float16,
        np.longdouble,
        Fraction,
        torch.tensor,
        lambda v: np.array([v]),
        lambda v: np.array(v),
    ],
)
@pytest.mark.parametrize("when", ["at first", "later"])
def test_numbers_of_other_kinds(kind, when):
    value = 0.125  # the same in all of them
    runs = [Run(thalweg.optim.AdamW, lr=value if when == "later" or i else kind(value)) for i in range(2)]
    if when == "later":
        runs[0].group["lr"] = kind(value)
    for run in runs:
        run.step(3)
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "wrong", ["0.1", None, [], (0.1, 0.2), {}, 1j, np.array([0.1, 0.2]), torch.ones(2), object(), b"1"]
)
def test_rates_that_are_no_numbers_are_refused(wrong):
    with pytest.raises((InputError, TypeError, ValueError)):
        thalweg.optim.AdamW(parameters(), lr=wrong)
    run = Run(thalweg.optim.AdamW, lr=0.1)
    run.step()
    before = run.values()
    run.group["lr"] = wrong
    with pytest.raises(InputError, match="'lr' of AdamW"):
        run.step()
    torch.testing.assert_close(run.values(), before, rtol=0, atol=0)
    run.group["lr"] = 0.1
    run.step()
