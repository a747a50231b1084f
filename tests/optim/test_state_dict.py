"""Checkpoints go from torch to us, from us to torch and from us to us, in mid-run and without a difference."""

import copy
import io

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import IDS, PAIRS, SETTINGS, assert_same_path, fitted, parameters, task, train, values_of
from scope import sample
from thalweg.optim.classes import drop_ins
from thalweg.optim.interop.precision import PRECISION
from thalweg.recipes.options import OPTIONS

BEFORE, AFTER = 60, 60  # torch casts NAdam's running product to float64 on load: by step 60 it is 0.45^60, nothing
STEPS = BEFORE + AFTER


def half_run(cls, setting, given):
    """Parameters and optimizer after BEFORE steps."""
    parts = parameters(given.start)
    optimizer = cls(fitted(cls, parts), lr=given.rates[0], **setting)
    train(optimizer, parts, given.gradients[:BEFORE], given.rates[:BEFORE])
    return parts, optimizer


def rest(optimizer, parts, given):
    return train(optimizer, parts, given.gradients[BEFORE:], given.rates[BEFORE:])


def handed_over(parts, state_dict, cls):
    """Another optimizer with the state of the first, on copies of its parameters."""
    copies = parameters(values_of(parts))
    optimizer = cls(fitted(cls, copies))
    optimizer.load_state_dict(copy.deepcopy(state_dict))  # without the copy both would share their moments, as in torch
    return copies, optimizer


@pytest.mark.parametrize("to_torch", [True, False], ids=["to torch", "from torch"])
@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=IDS)
def test_handed_over_in_mid_run(name, setting, to_torch):
    source, target = PAIRS[name] if to_torch else reversed(PAIRS[name])
    given = task(target, steps=STEPS)
    parts, optimizer = half_run(source, setting, given)
    copies, continued = handed_over(parts, optimizer.state_dict(), target)
    assert_same_path(rest(continued, copies, given), rest(optimizer, parts, given), values_of(parts).detach())


@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=IDS)
def test_layout_is_that_of_torch(name, setting):
    given = task(PAIRS[name][1], steps=BEFORE)
    ours, theirs = (half_run(cls, setting, given)[1].state_dict() for cls in PAIRS[name])
    assert list(ours["state"]) == list(theirs["state"])
    for index, state in theirs["state"].items():
        assert_state_like(ours["state"][index], {key: value for key, value in state.items() if value is not None})
    (group,), (expected,) = ours["param_groups"], theirs["param_groups"]
    assert {key: group[key] for key in expected} == expected
    assert set(group) - set(expected) <= {*OPTIONS, *PRECISION, "convention", "fused", "capturable"}


def assert_state_like(state, expected):
    assert set(state) == set(expected)
    for key, value in expected.items():
        assert (state[key].dtype, state[key].shape) == (value.dtype, value.shape), key
        torch.testing.assert_close(state[key], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", drop_ins())
def test_our_own_go_on_bitwise(name):
    """Handed over as it is, and through a file."""
    cls = drop_ins()[name]
    given = task(cls, steps=STEPS)
    parts, optimizer = half_run(cls, {"weight_decay": 0.03} if sample([cls.recipe.name]) else {}, given)
    saved = optimizer.state_dict()
    others = [handed_over(parts, state, cls) for state in (saved, loaded_back(saved))]
    expected = rest(optimizer, parts, given)
    for copies, continued in others:
        assert torch.equal(rest(continued, copies, given), expected)


def loaded_back(state_dict):
    file = io.BytesIO()
    torch.save(state_dict, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_state_that_starts_at_a_hyperparameter_is_there_before_the_first_step():
    ours, theirs = (cls([torch.zeros(2)], initial_accumulator_value=0.5).state_dict() for cls in PAIRS["Adagrad"])
    assert_state_like(ours["state"][0], theirs["state"][0])
    assert ours["state"][0]["sum"].tolist() == [0.5, 0.5]


def test_the_rate_that_adabound_began_with_is_kept():
    given = task(thalweg.optim.AdaBound, steps=STEPS)
    parts, optimizer = half_run(thalweg.optim.AdaBound, {}, given)
    assert optimizer.param_groups[0]["lr"] != given.rates[0]
    _, continued = handed_over(parts, optimizer.state_dict(), thalweg.optim.AdaBound)
    assert continued.param_groups[0]["base_lr"] == given.rates[0]


@pytest.mark.parametrize(("high", "low"), [(torch.float32, torch.bfloat16), (torch.float64, torch.float32)], ids=str)
@pytest.mark.parametrize("name", ["Adam", "RMSprop", "NAdam"])
def test_a_loaded_state_takes_the_dtype_that_the_optimizer_makes(name, high, low):
    """float32 beside a bfloat16 parameter stays; float64 beside a float32 parameter does not."""
    cls = drop_ins()[name]
    given = task(cls, steps=4)
    wide = parameters(given.start, high)
    optimizer = cls(wide)
    train(optimizer, wide, given.gradients, given.rates)
    saved = optimizer.state_dict()
    narrow = parameters(values_of(wide), low)
    loaded = cls(narrow)
    loaded.load_state_dict(copy.deepcopy(saved))
    for index, p in enumerate(narrow):
        for key, value in saved["state"][index].items():
            assert loaded.state[p][key].dtype == torch.float32
            assert torch.equal(loaded.state[p][key], value.float())
    rates = 100 * given.rates  # steps of about 0.1, which a number of about 1 in bfloat16 tells from none
    train(loaded, narrow, given.gradients, rates)
    assert all(p.dtype == low for p in narrow)
    train(optimizer, wide, given.gradients, rates)
    tolerance = 8 * torch.finfo(low).eps  # four steps: half an ulp each for the parameter, as much for the gradient
    torch.testing.assert_close(values_of(narrow).to(high), values_of(wide), rtol=tolerance, atol=tolerance)
    elementwise = [s for p in narrow for s in loaded.state[p].values() if s.shape == p.shape]
    assert elementwise
    assert all(s.dtype == torch.float32 for s in elementwise)


def test_steps_kept_as_numbers_by_old_checkpoints():
    given = task(torch.optim.Adam, steps=STEPS)
    parts, optimizer = half_run(thalweg.optim.Adam, {}, given)
    saved = optimizer.state_dict()
    for state in saved["state"].values():
        state["step"] = BEFORE
    copies, continued = handed_over(parts, saved, thalweg.optim.Adam)
    optimizer.load_state_dict(saved)
    assert torch.equal(rest(continued, copies, given), rest(optimizer, parts, given))


def test_groups_saved_before_an_argument_existed():
    given = task(torch.optim.Adam, steps=STEPS)
    parts, optimizer = half_run(thalweg.optim.Adam, {}, given)
    saved = optimizer.state_dict()
    for key in ("maximize", "foreach", "fused", "decoupled_weight_decay", "amsgrad"):
        del saved["param_groups"][0][key]
    copies, continued = handed_over(parts, saved, thalweg.optim.Adam)
    assert torch.equal(rest(continued, copies, given), rest(optimizer, parts, given))


def test_momentum_that_is_present_is_not_the_first():
    """torch's SGD counts no steps: a buffer that was loaded is damped like any but the first."""
    saved = {"state": {0: {"momentum_buffer": torch.ones(())}}, "param_groups": []}
    p = torch.zeros((), requires_grad=True)
    optimizer = thalweg.optim.SGD([p], lr=1.0, momentum=0.5, dampening=0.75)
    optimizer.load_state_dict({**saved, "param_groups": optimizer.state_dict()["param_groups"]})
    p.grad = torch.ones(())
    optimizer.step()
    assert p.item() == -(0.5 * 1 + 0.25 * 1)


def test_a_checkpoint_of_torch_leaves_ones_own_options():
    p = nn.Parameter(torch.ones(3))
    theirs = torch.optim.Adam([p], lr=0.5).state_dict()
    optimizer = thalweg.optim.Adam([p], rounding="compensated", clip_global_norm=1.0, ema_decay=0.99, cautious=True)
    optimizer.load_state_dict(theirs)
    (group,) = optimizer.param_groups
    kept = {name: group[name] for name in ("lr", "rounding", "clip_global_norm", "ema_decay", "cautious")}
    assert kept == {"lr": 0.5, "rounding": "compensated", "clip_global_norm": 1.0, "ema_decay": 0.99, "cautious": True}


def test_a_checkpoint_from_before_there_was_precision_loads():
    def saved(**options):
        p = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
        optimizer = thalweg.optim.Adam([p], **options)
        p.grad = torch.ones_like(p)
        optimizer.step()
        return p, optimizer

    p, old = saved(rounding="nearest", state_dtype="parameter")
    checkpoint = old.state_dict()
    for name in ("rounding", "rounding_seed", "state_dtype", "cautious", "convention"):
        del checkpoint["param_groups"][0][name]
    optimizer = thalweg.optim.Adam([p])
    optimizer.load_state_dict(checkpoint)
    optimizer.step()
    assert optimizer.state[p]["exp_avg"].dtype == torch.float32  # as this optimizer would have made it
    assert optimizer.param_groups[0]["rounding"] == "stochastic"
