"""Hyperparameters are read as they are at each step, and refused where they are out of range, whoever holds them."""

import collections
import fractions
import io

import numpy as np
import pytest
import torch
from torch import nn

import thalweg.optim
from scope import crossed, typical
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins


class Subclass(torch.Tensor):
    """A tensor of another class."""


def stepped(cls, count=3, change=None, **options):
    """The parameter after steps, with `change(group)` before the last."""
    p = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))
    optimizer = cls([p], **options)
    for step in range(count):
        if change and step == count - 1:
            change(optimizer.param_groups[0])
        p.grad = torch.tensor([[1.0, -0.5, 0.25]], dtype=torch.float64) * (step + 1)
        optimizer.step()
    return p.detach(), optimizer


HOLDERS = {
    "Parameter": lambda: nn.Parameter(torch.tensor(0.5)),
    "subclass": lambda: torch.tensor(0.5).as_subclass(Subclass),
    "tensor": lambda: torch.tensor(0.5),
    "tensor of one": lambda: torch.tensor([0.5]),
}


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("name", typical(drop_ins()))
def test_a_rate_changed_in_its_place(name, holder, capturable):
    if capturable and holder == "tensor of one":
        pytest.skip("torch takes it without capturable only")
    rate = HOLDERS[holder]()

    def halve(group):
        with torch.no_grad():
            rate.mul_(0.5)

    def given(group):
        group["lr"] = 0.25

    actual, _ = stepped(drop_ins()[name], change=halve, lr=rate, capturable=capturable)
    expected, _ = stepped(drop_ins()[name], change=given, lr=0.5)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


KEPT = [{}, {"capturable": True}, {"differentiable": True}, {"state_dtype": torch.bfloat16}]


@pytest.mark.parametrize(("cls", "kept"), crossed(drop_ins(), KEPT), ids=str)
def test_a_rate_in_a_parameter_is_read_without_a_warning(cls, kept):
    p = torch.ones(2, 3)
    optimizer = cls([p], lr=nn.Parameter(torch.tensor(0.1)), **kept)
    p.grad = torch.ones(2, 3)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["lr"].requires_grad


SEQUENCES = {
    "list": list,
    "UserList": collections.UserList,
    "array": np.array,
    "tensor": lambda values: torch.tensor(values, dtype=torch.float64),
    "range of numbers": lambda values: [np.float32(values[0]), fractions.Fraction(99, 100)],
}


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_betas_in_any_sequence(sequence):
    betas = [0.5, 0.99]
    actual, optimizer = stepped(thalweg.optim.AdamW, betas=SEQUENCES[sequence](betas))
    assert torch.equal(actual, stepped(thalweg.optim.AdamW, betas=betas)[0])
    assert type(optimizer.param_groups[0]["betas"]) is (list if sequence == "list" else tuple)


@pytest.mark.parametrize("sequence", ["list", "UserList", "array", "tensor"])
def test_betas_changed_in_their_place(sequence):
    betas = SEQUENCES[sequence]([0.9, 0.99])

    def held(group):
        group["betas"] = betas

    def changed(group):
        betas[0] = 0.5

    p, optimizer = stepped(thalweg.optim.Adam, change=held)
    changed(None)
    optimizer.step()
    p = optimizer.param_groups[0]["params"][0].detach()

    _, other = stepped(thalweg.optim.Adam, change=lambda group: group.update(betas=(0.9, 0.99)))
    other.param_groups[0]["betas"] = (0.5, 0.99)
    other.step()
    assert torch.equal(p, other.param_groups[0]["params"][0].detach())


@pytest.mark.parametrize("flag", [np.True_, torch.tensor(True)])
@pytest.mark.parametrize("later", [False, True])
def test_flags_of_numpy_and_tensors(flag, later):
    expected, _ = stepped(thalweg.optim.SGD, momentum=0.9, change=lambda group: group.update(nesterov=True))
    change = (lambda group: group.update(nesterov=flag)) if later else None
    actual, _ = stepped(thalweg.optim.SGD, momentum=0.9, change=change, **({} if later else {"nesterov": flag}))
    if later:
        assert torch.equal(actual, expected)
    else:
        assert torch.equal(actual, stepped(thalweg.optim.SGD, momentum=0.9, nesterov=True)[0])


WRONG = {
    "lr": [float("nan"), float("inf"), -0.1, "0.1", None, np.float64("nan"), torch.tensor(-1.0), 1j, [0.1]],
    "betas": [(1.045, 0.999), (0.9, float("nan")), (0.9,), 0.9, "ab", np.array([0.9, 2.0]), (0.9, None)],
    "eps": [-1.0, float("inf")],
    "weight_decay": [-1e-9, float("nan")],
    "amsgrad": [2, "yes", None],
    "maximize": [0.5],
    "rounding": ["up", None],
    "state_dtype": ["16bit"],
    "lookahead_steps": [1.5],
}


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("held", ["number", "where it was"])
@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values], ids=repr)
def test_what_is_out_of_range_is_refused_at_the_step(name, value, held, capturable):
    """By its name and with its value, as by the constructor; nothing moves."""
    with pytest.raises(InputError, match=name.removesuffix("s")):
        thalweg.optim.Adam([nn.Parameter(torch.ones(3))], **{name: value})
    options = {"capturable": capturable}
    if held == "where it was" and name == "lr":
        options["lr"] = torch.tensor(0.5)
    before, optimizer = stepped(thalweg.optim.Adam, **options)
    before, group = before.clone(), optimizer.param_groups[0]
    group[name] = value
    for _ in range(2):
        with pytest.raises(InputError, match=name.removesuffix("s")):
            optimizer.step()
    assert torch.equal(group["params"][0], before)


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf")])
def test_a_tensor_whose_number_goes_out_of_range(value, capturable):
    rate = torch.tensor(0.5)
    before, optimizer = stepped(thalweg.optim.SGD, lr=rate, capturable=capturable)
    before = before.clone()
    rate.fill_(value)
    with pytest.raises(InputError, match=r"'lr' of SGD must be a number in \[0, inf\), got"):
        optimizer.step()
    assert torch.equal(optimizer.param_groups[0]["params"][0], before)
    rate.fill_(0.5)
    optimizer.step()


def test_another_convention_later_is_refused():
    _, optimizer = stepped(thalweg.optim.RMSprop)
    optimizer.param_groups[0]["convention"] = "keras"
    with pytest.raises(InputError, match="follows the convention 'torch', and a param group's is 'keras'"):
        optimizer.step()


def test_values_that_contradict_each_other_later():
    _, optimizer = stepped(thalweg.optim.SGD, momentum=0.9, nesterov=True)
    optimizer.param_groups[0]["momentum"] = 0.0
    with pytest.raises(InputError, match="nesterov"):
        optimizer.step()


def test_a_group_without_a_hyperparameter_is_refused():
    _, optimizer = stepped(thalweg.optim.SGD)
    del optimizer.param_groups[0]["lr"]
    with pytest.raises(InputError, match="lr"):
        optimizer.step()


def test_a_switch_that_is_turned_on_and_off():
    """Momentum, decay and clipping come and go with their values."""
    cls = thalweg.optim.SGD

    def path(general):
        p = nn.Parameter(torch.ones(3))
        optimizer = cls([p], lr=0.1)
        for step, values in enumerate([{}, {"momentum": 0.9}, {}, {"weight_decay": 0.1}, {"momentum": 0.0}, {}]):
            optimizer.param_groups[0].update(values)
            if general:
                optimizer.__dict__.pop("_updates", None)
            p.grad = torch.full((3,), 1.0 + step)
            optimizer.step()
        return p.detach()

    assert torch.equal(path(False), path(True))


@pytest.mark.parametrize("number", [np.float64(0.1), np.float32(0.5), np.int64(1)])
def test_numbers_of_numpy_are_saved_as_plain_ones(number):
    for later in (False, True):
        _, optimizer = stepped(thalweg.optim.AdamW, **({} if later else {"lr": number, "betas": np.array([0.9, 0.99])}))
        optimizer.param_groups[0].update({"lr": number, "mine": number})
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        loaded = torch.load(file, weights_only=True)
        assert loaded["param_groups"][0]["lr"] == number.item()
        assert loaded["param_groups"][0]["mine"] == number.item()


def test_a_rate_of_many_groups_is_each_their_own():
    params = [nn.Parameter(torch.ones(2)) for _ in range(5)]
    optimizer = thalweg.optim.SGD([{"params": [p], "lr": 0.1 * (i + 1)} for i, p in enumerate(params)])
    for _ in range(3):
        for group in optimizer.param_groups:
            group["lr"] *= 0.5
        for p in params:
            p.grad = torch.ones(2)
        optimizer.step()
    expected = [1 - 0.1 * (i + 1) * (0.5 + 0.25 + 0.125) for i in range(5)]
    torch.testing.assert_close([p[0].item() for p in params], expected)


def test_two_kinds_of_values_changed_at_once():
    def change(group):
        group.update(betas=(0.5, 0.9), rounding="nearest", state_dtype="parameter")

    ends = []
    for general in (False, True):
        p = nn.Parameter(torch.ones(300, dtype=torch.bfloat16))
        optimizer = thalweg.optim.Adam([p], lr=1e-3)
        for step in range(5):
            if step == 3:
                change(optimizer.param_groups[0])
            if general:
                optimizer.__dict__.pop("_updates", None)
            p.grad = torch.ones_like(p) * (step + 1)
            optimizer.step()
        ends.append(p.detach())
    assert torch.equal(*ends)


def test_a_tensor_within_a_tuple_may_change():
    beta, p = torch.tensor(0.9), nn.Parameter(torch.zeros(1))
    optimizer = thalweg.optim.Adam([p], betas=(beta, torch.tensor(0.999)))
    for step, gradient in enumerate((1.0, 2.0, 3.0)):
        if step == 2:
            beta.fill_(0.0)
        p.grad = torch.full((1,), gradient)
        optimizer.step()
    assert optimizer.state[p]["exp_avg"].item() == 3.0
