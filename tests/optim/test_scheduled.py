"""Hyperparameters that are schedules: as torch's scheduler would set them, saved, resumed, captured, overridden."""

import copy
import io
import warnings

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.optim import lr_scheduler

import thalweg.optim
from scope import typical
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins
from thalweg.optim.functional import functional
from thalweg.optim.stepping.scheduling import ScheduleEnded
from thalweg.schedules import cosine, linear

RATE = cosine(0.05, steps=8, warmup=3, end=0.001)
STEPS = 12
CLASSES = {
    **typical(drop_ins()),
    **{k: c for k, c in drop_ins().items() if any(h.initially for h in c.recipe.hyperparameters.values())},
}
every_class = pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)


def begun(cls, **options):
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in ((4, 3), (5,))]
    return params, cls(params, **options)


def go(params, optimizer, steps=STEPS, first=0, after=lambda: None):
    shown = []
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        shown.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        after()
    return shown


def values(params):
    return [p.detach().clone() for p in params]


@every_class
def test_a_schedule_is_torchs_scheduler(cls):
    params, optimizer = begun(cls, lr=RATE)
    shown = go(params, optimizer)
    others, plain = begun(cls, lr=RATE(0))
    rates = iter([RATE(t) for t in range(1, STEPS + 1)])

    def set_rate():
        plain.param_groups[0]["lr"] = next(rates)

    if any(h.initially for h in cls.recipe.hyperparameters.values()):  # whose bounds begin at the peak
        plain.param_groups[0]["base_lr"] = RATE.base
    assert shown == go(others, plain, after=set_rate) == [RATE(t) for t in range(STEPS)]
    torch.testing.assert_close(values(params), values(others), rtol=0, atol=0)


def test_it_is_lambda_lr():
    params, optimizer = begun(thalweg.optim.AdamW, lr=RATE)
    go(params, optimizer)
    others, theirs = begun(torch.optim.AdamW, lr=1.0)
    go(others, theirs, after=lr_scheduler.LambdaLR(theirs, RATE).step)
    torch.testing.assert_close(values(params), values(others), rtol=1e-12, atol=1e-13)


def test_any_hyperparameter_and_every_group_has_its_own():
    decay, beta = linear(0.3, steps=6, end=0.1), cosine(0.95, steps=5, end=0.8)
    (p, q), _ = begun(thalweg.optim.AdamW)
    groups = [{"params": [p]}, {"params": [q], "lr": 0.02, "betas": (beta, 0.99), "weight_decay": decay}]
    optimizer = thalweg.optim.AdamW(groups, lr=RATE)
    for step in range(STEPS):
        first, second = optimizer.param_groups
        assert first["lr"] == RATE(step)
        assert second["lr"] == 0.02
        assert second["betas"] == (beta(step), 0.99)
        assert second["weight_decay"] == decay(step)
        go([p, q], optimizer, 1, step)


@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD", "LAMB"])
@pytest.mark.parametrize("kind", ["capturable", "differentiable"])
def test_captured_and_differentiated(name, kind):
    cls = getattr(thalweg.optim, name)
    params, plain = begun(cls, lr=RATE)
    shown = go(params, plain)
    others, optimizer = begun(cls, lr=RATE, **{kind: True})
    if kind == "differentiable":
        others = [p.detach().requires_grad_() * 1.0 for p in others]
        optimizer = cls(others, lr=RATE, differentiable=True)
    assert go(others, optimizer) == pytest.approx(shown, rel=1e-14)
    torch.testing.assert_close(values(others), values(params), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("capturable", [False, True])
def test_saved_and_resumed(capturable):
    whole, optimizer = begun(thalweg.optim.Adam, lr=RATE, capturable=capturable)
    go(whole, optimizer)
    half, first = begun(thalweg.optim.Adam, lr=RATE, capturable=capturable)
    go(half, first, 5)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = thalweg.optim.Adam(half, lr=0.7, capturable=capturable)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    go(half, resumed, STEPS - 5, 5)
    torch.testing.assert_close(values(half), values(whole), rtol=0, atol=0)
    assert first.param_groups[0]["schedules"]["lr"] is RATE, "saving changes nothing"


def test_copied_and_pickled():
    whole, optimizer = begun(thalweg.optim.Adam, lr=RATE)
    go(whole, optimizer, 5)
    twin = copy.deepcopy(optimizer)
    params = twin.param_groups[0]["params"]
    go(whole, optimizer, 4, 5)
    go(params, twin, 4, 5)
    torch.testing.assert_close(values(params), values(whole), rtol=0, atol=0)


def test_a_function_of_ones_own():
    def halved(t):
        return 0.1 * 0.5**t

    params, optimizer = begun(thalweg.optim.SGD, lr=halved)
    assert go(params, optimizer, 4) == [0.1, 0.05, 0.025, 0.0125]
    saved = optimizer.state_dict()
    again, same = begun(thalweg.optim.SGD, lr=halved)
    same.load_state_dict(saved)
    assert go(again, same, 1) == [0.1 * 0.5**4]
    _, other = begun(thalweg.optim.SGD, lr=0.1)
    with pytest.raises(InputError, match="is a function of its user's; make this SGD with it"):
        other.load_state_dict(copy.deepcopy({**saved, "param_groups": [{**saved["param_groups"][0]}]}))


def test_a_rate_set_by_hand_ends_its_schedule():
    params, optimizer = begun(thalweg.optim.Adagrad, lr=RATE)
    go(params, optimizer, 3)
    optimizer.param_groups[0]["lr"] = 0.02
    with pytest.warns(
        ScheduleEnded, match=r"'lr': was set to 0.02 beside its schedule cosine\(0.05, .*which ends here"
    ):
        go(params, optimizer, 1, 3)
    assert go(params, optimizer, 2, 4) == [0.02, 0.02]


def test_a_step_that_a_scaler_skips_is_none_of_the_schedule():
    params, optimizer = begun(thalweg.optim.Adam, lr=RATE, fused=True)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(1.0), torch.tensor(1.0)
    go(params, optimizer, 1)
    assert optimizer.param_groups[0]["lr"] == RATE(0)
    del optimizer.grad_scale, optimizer.found_inf
    go(params, optimizer, 1)
    assert optimizer.param_groups[0]["lr"] == RATE(1)


def test_what_takes_none_and_what_leaves_its_range():
    for options, message in (
        ({"lr": lambda t: -t}, None),
        ({"betas": (cosine(1.5, steps=3), 0.9)}, r"'beta1' of Adam must be a number in \[0, 1\) at every step"),
        ({"lookahead_steps": lambda t: 5}, "'lookahead_steps' of Adam takes no schedule"),
        ({"amsgrad": lambda t: True}, "'amsgrad' of Adam takes no schedule"),
    ):
        if message:
            with pytest.raises(InputError, match=message):
                begun(thalweg.optim.Adam, **options)
            continue
        params, optimizer = begun(thalweg.optim.Adam, **options)  # whose length is not known
        with pytest.raises(InputError, match=r"'lr' of Adam must be a number in \[0, inf\), got -1"):
            go(params, optimizer, 3)


def test_torchs_template_step_is_none_of_the_schedule():
    """`get_optimizer_state_dict` steps with gradients of zero, to see which states there are."""
    model = nn.Linear(3, 2)
    optimizer = thalweg.optim.Adam(model.parameters(), lr=RATE, weight_decay=0.1)
    before = values(model.parameters())
    get_optimizer_state_dict(model, optimizer)
    assert optimizer.param_groups[0]["schedule_step"] == 0
    assert optimizer.param_groups[0]["lr"] == RATE(0)
    assert optimizer.param_groups[0]["weight_decay"] == 0.1
    torch.testing.assert_close(values(model.parameters()), before, rtol=0, atol=0)


def test_functional():
    params, optimizer = begun(thalweg.optim.Adam, lr=RATE)
    start = {str(i): p.detach().clone() for i, p in enumerate(params)}
    init, update = functional("adam", lr=RATE)
    states, now = init(start), start
    for step in range(STEPS):
        go(params, optimizer, 1, step)
        now, states = update({str(i): p.grad for i, p in enumerate(params)}, states, now)
    torch.testing.assert_close([*now.values()], values(params), rtol=1e-12, atol=1e-13)


def test_nothing_is_said_of_a_schedule_that_is_left_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params, optimizer = begun(thalweg.optim.Adam, lr=RATE)
        go(params, optimizer)
