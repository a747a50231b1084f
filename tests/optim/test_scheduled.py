"""Hyperparameters that are schedules: as torch's scheduler would set them, saved, resumed, captured, overridden."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.optim import lr_scheduler

import thalweg.optim
from optim.trained import fitted
from scope import typical
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins
from thalweg.optim.functional import functional
from thalweg.optim.stepping import diagnostics
from thalweg.optim.stepping.scheduling import ScheduleEnded
from thalweg.schedules import cosine, linear, one_cycle

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
    return params, cls(fitted(cls, params), **options)


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
        rate = next(rates)
        for group in plain.param_groups:
            group["lr"] = rate

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


@pytest.fixture
def untold(monkeypatch):
    """Warnings are given again, as in a new process."""
    monkeypatch.setattr(diagnostics, "_told", set())


def reloaded(optimizer):
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("name", ["Adam", "AdaBound"])
@pytest.mark.parametrize("capturable", [False, True])
def test_resumed_by_the_other_kind(name, capturable):
    """A plain optimizer's values are numbers, a capturable one's tensors, whatever the checkpoint has."""
    cls, options = getattr(thalweg.optim, name), {"lr": RATE, "betas": (cosine(0.9, steps=9, end=0.1), 0.99)}
    params, first = begun(cls, **options, capturable=not capturable)
    go(params, first, 5)
    others, resumed = begun(cls, **options, capturable=capturable)
    with torch.no_grad():
        for p, other in zip(params, others, strict=True):
            other.copy_(p)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.load_state_dict(reloaded(first))
        group = resumed.param_groups[0]
        for value in (group["schedule_step"], group["lr"], group["betas"][0]):
            assert isinstance(value, torch.Tensor) == capturable
        assert go(params, first, 5, 5) == pytest.approx(go(others, resumed, 5, 5), rel=1e-14)
    assert first.param_groups[0]["betas"][0] == pytest.approx(float(group["betas"][0]), rel=1e-14)
    torch.testing.assert_close(values(others), values(params), rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("capturable", [False, True])
def test_a_group_that_becomes_capturable_or_ceases_to_be(capturable):
    params, optimizer = begun(thalweg.optim.Adam, lr=RATE, capturable=capturable)
    go(params, optimizer, 3)
    optimizer.param_groups[0]["capturable"] = optimizer.defaults["capturable"] = not capturable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert go(params, optimizer, 4, 3) == pytest.approx([RATE(t) for t in range(3, 7)], rel=1e-14)
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor) != capturable


@pytest.mark.usefixtures("untold")
def test_a_checkpoint_whose_rate_was_edited():
    params, optimizer = begun(thalweg.optim.Adam, lr=RATE)
    go(params, optimizer, 3)
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["lr"] = 0.02
    optimizer.load_state_dict(saved)
    with pytest.warns(ScheduleEnded, match=r"was set to 0\.02"):
        go(params, optimizer, 1, 3)


@pytest.mark.parametrize("capturable", [False, True])
def test_a_group_made_of_another_ones_dict_has_a_schedule_of_its_own(capturable):
    (p, q), _ = begun(thalweg.optim.Adam)
    optimizer = thalweg.optim.Adam([p], lr=RATE, capturable=capturable)
    go([p], optimizer, 2)
    optimizer.add_param_group({**optimizer.param_groups[0], "params": [q]})
    optimizer.param_groups[0]["lr"] = 0.02
    go([p, q], optimizer, 2, 2)
    first, second = optimizer.param_groups
    assert first["lr"] == 0.02
    assert float(second["lr"]) == pytest.approx(RATE(4), rel=1e-14)


def test_a_rate_set_by_hand_ends_its_schedule():
    params, optimizer = begun(thalweg.optim.Adagrad, lr=RATE)
    go(params, optimizer, 3)
    optimizer.param_groups[0]["lr"] = 0.02
    with pytest.warns(
        ScheduleEnded, match=r"'lr': was set to 0.02 beside its schedule cosine\(0.05, .*which ends here"
    ):
        go(params, optimizer, 1, 3)
    assert go(params, optimizer, 2, 4) == [0.02, 0.02]


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize(
    "change",
    [
        lambda group: group.update(lr=torch.tensor(0.02, dtype=torch.float64)),
        lambda group: group.update(lr=0.02),
        lambda group: group["lr"].fill_(0.02),
    ],
    ids=["another tensor", "a number", "written into the tensor"],
)
def test_a_rate_set_by_hand_ends_the_schedule_of_a_capturable_optimizer(change):
    params, optimizer = begun(thalweg.optim.Adam, lr=RATE, capturable=True)
    go(params, optimizer, 3)
    optimizer = copy.deepcopy(optimizer)  # whose tensors count their writes anew
    params = optimizer.param_groups[0]["params"]
    change(optimizer.param_groups[0])
    with pytest.warns(ScheduleEnded, match=r"'lr': was set to 0\.02 beside its schedule"):
        go(params, optimizer, 1, 3)
    assert go(params, optimizer, 2, 4) == [0.02, 0.02]


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("capturable", [False, True])
def test_torchs_scheduler_ends_a_schedule(capturable):
    params, optimizer = begun(thalweg.optim.Adam, lr=RATE, capturable=capturable)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    with pytest.warns(ScheduleEnded):
        shown = go(params, optimizer, 5, after=scheduler.step)
    assert shown[2:] == pytest.approx([shown[1] * 0.5**t for t in range(1, 4)], rel=1e-14)


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("write", ["the same value", "a copy", "nothing"])
def test_a_tensor_that_keeps_its_value_keeps_its_schedule(write):
    _, optimizer = begun(thalweg.optim.Adam, lr=RATE, capturable=True)
    shown = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(6):
            if write == "the same value":
                optimizer.param_groups[0]["lr"].fill_(float(optimizer.param_groups[0]["lr"]))
            elif write == "a copy":
                optimizer = copy.deepcopy(optimizer)
            shown += go(optimizer.param_groups[0]["params"], optimizer, 1, step)
    assert shown == pytest.approx([RATE(t) for t in range(6)], rel=1e-14)


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
        ({"lr": cosine(steps=3)}, r"cosine\(steps=3\) has no base of its own and scales the rate that is tuned"),
        ({"lr": cosine(0.1)}, r"cosine\(0.1\) has lengths in epochs or in shares of a run"),
        ({"lr": one_cycle(0.1, steps=9, momentum=True)}, "has a momentum beside them: give momentum=False"),
    ):
        if message:
            with pytest.raises(InputError, match=message):
                begun(thalweg.optim.Adam, **options)
            continue
        params, optimizer = begun(thalweg.optim.Adam, **options)  # whose length is not known
        with pytest.raises(InputError, match=r"'lr' of Adam must be a number in \[0, inf\), got -1"):
            go(params, optimizer, 3)


RUNS_OUT = {
    "below its range": (lambda t: 0.3 - 0.1 * t, r"'lr' of Adam must be .* got -.* of its schedule <lambda>\(\)\."),
    "no number": (lambda t: 0.1 if t < 3 else None, r"'lr' of Adam must be .* got None at step 3 of its schedule"),
    "raises": (lambda t: [0.3, 0.2, 0.1][int(t)], r"^The schedule <lambda>\(\) raised IndexError.*: list index out of"),
}


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("kind", RUNS_OUT)
def test_a_value_is_refused_at_the_step_that_needs_it(kind, capturable):
    rate, message = RUNS_OUT[kind]
    params, optimizer = begun(thalweg.optim.Adam, lr=rate, capturable=capturable)
    last = go(params, optimizer, 3)[2]
    before, twin = values(params), copy.deepcopy(optimizer)
    resumed = begun(thalweg.optim.Adam, lr=rate, capturable=capturable)[1]
    resumed.load_state_dict(reloaded(optimizer))
    for of in (optimizer, optimizer, twin, resumed):
        own = of.param_groups[0]["params"]
        assert float(of.param_groups[0]["lr"]) == pytest.approx(last)
        started = values(own)
        with pytest.raises(InputError, match=message) as refused:
            go(own, of, 1, 3)
        assert str(refused.value).count(". ") == 0, "one sentence"
        torch.testing.assert_close(values(own), started, rtol=0, atol=0)
        assert all(state["step"] == 3 for state in of.state.values())
    torch.testing.assert_close(values(params), before, rtol=0, atol=0)
    for of in (optimizer, twin, resumed):  # the value that stands there, set by hand, counts as well
        of.param_groups[0]["lr"] = of.param_groups[0]["lr"] * 1.0
        assert go(of.param_groups[0]["params"], of, 2, 3) == pytest.approx([last, last])
        assert of.param_groups[0]["schedules"] == {}


def running_out(t):
    return [0.1, 0.05, 0.01][int(t)]


@pytest.mark.parametrize("capturable", [False, True])
def test_what_was_pickled_as_its_rates_had_run_out_is_refused_as_well(capturable):
    params, optimizer = begun(thalweg.optim.SGD, lr=running_out, capturable=capturable)
    go(params, optimizer, 3)
    other = pickle.loads(pickle.dumps(optimizer))
    with pytest.raises(InputError, match="IndexError"):
        go(other.param_groups[0]["params"], other, 1, 3)


def of_numbers_only(t):
    return 0.1 if type(t) is int else None


@pytest.mark.parametrize(
    ("rate", "capturable"), [(lambda t: -1.0, False), (lambda t: -1.0, True), (of_numbers_only, True)]
)
def test_a_group_that_is_refused_is_not_added(rate, capturable):
    params, optimizer = begun(thalweg.optim.SGD, lr=0.1, capturable=capturable)
    with pytest.raises(InputError):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], "lr": rate})
    assert go(params, optimizer, 2) == [0.1, 0.1]


@pytest.mark.usefixtures("untold")
def test_rates_in_a_list_run_out():
    rates = [0.1, 0.05, 0.01]
    params, optimizer = begun(thalweg.optim.SGD, lr=rates.__getitem__)
    assert go(params, optimizer, 3) == rates
    with pytest.raises(InputError, match=r"^The schedule list.__getitem__\(\) raised IndexError at step 3: list index"):
        go(params, optimizer, 1, 3)
    optimizer.param_groups[0]["lr"] = rates[-1]
    assert go(params, optimizer, 2, 3) == [0.01, 0.01]


def test_a_refused_step_leaves_no_scale_of_a_scaler():
    params, optimizer = begun(thalweg.optim.Adam, lr=[0.1].__getitem__, fused=True)
    go(params, optimizer, 1)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(2.0), torch.tensor(0.0)
    with pytest.raises(InputError):
        go(params, optimizer, 1, 1)
    assert not hasattr(optimizer, "grad_scale")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({}, "is a function of its user's"),
        ({"schedules": ["lr"]}, "'schedules' must be a dict"),
        ({"schedules": {"rate": str(RATE)}}, "Adam has no hyperparameter 'rate'"),
        ({"schedules": {"lr": str(RATE)}, "schedule_step": None}, "'schedule_step' must be a whole number"),
    ],
)
def test_a_refused_checkpoint_changes_nothing(damage, message):
    params, optimizer = begun(thalweg.optim.Adam, lr=lambda t: 0.5)
    go(params, optimizer, 2)
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0].update(damage)
    others, other = begun(thalweg.optim.Adam, lr=0.1)
    same, untouched = begun(thalweg.optim.Adam, lr=0.1)
    go(others, other, 1)
    go(same, untouched, 1)
    with pytest.raises(InputError, match=message):
        other.load_state_dict(saved)
    assert go(others, other, 2, 1) == go(same, untouched, 2, 1) == [0.1, 0.1]
    torch.testing.assert_close(values(others), values(same), rtol=0, atol=0)


def test_a_first_step_at_rate_0_with_gradients_of_0_is_a_step():
    """Only within torch's own function is such a step a template's."""
    p = nn.Parameter(torch.ones(3))
    optimizer = thalweg.optim.Adam([p], lr=lambda t: 0.1 * t)
    shown = []
    for step in range(3):
        p.grad = torch.full_like(p, float(step > 0))
        shown.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
    assert shown == [0.0, 0.1, 0.2]


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


def test_functional_of_a_part_of_the_parameters():
    """A schedule goes by the most steps in the call, as the class's goes by its own."""
    params, optimizer = begun(thalweg.optim.SGD, lr=RATE)
    now = {str(i): p.detach().clone() for i, p in enumerate(params)}
    init, update = functional("sgd", lr=RATE)
    states = dict(init(now))
    for step in range(STEPS):
        for i, p in enumerate(params):
            p.grad = torch.ones_like(p) if i == 0 or step % 3 == 2 else None
        optimizer.step()
        part = {str(i): p.grad for i, p in enumerate(params) if p.grad is not None}
        moved, new = update(part, {name: states[name] for name in part}, {name: now[name] for name in part})
        now, states = now | moved, states | new
    assert states["1"]["step"] == STEPS // 3
    torch.testing.assert_close([*now.values()], values(params), rtol=1e-12, atol=1e-13)
    assert update({}, {}, {}) == ({}, {})


def test_nothing_is_said_of_a_schedule_that_is_left_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params, optimizer = begun(thalweg.optim.Adam, lr=RATE)
        go(params, optimizer)
