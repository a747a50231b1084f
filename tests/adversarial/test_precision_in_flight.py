"""Rounding, and states in few bits, changed or meddled with in mid-run: never far from float32's own path."""

import copy
import pickle

import pytest
import torch

import thalweg.optim
from adversarial.adversary import Run
from thalweg.errors import InputError

LARGE = (64, 65)  # of more elements than states in 8 bits need
CLASSES = ["SGD", "AdamW", "NAdam"]


def made(name, dtype=torch.bfloat16, shape=LARGE, **options):
    values = torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape).to(dtype)
    options = {"lr": 1e-3, **({"momentum": 0.9} if name == "SGD" else {}), **options}
    return Run(
        getattr(thalweg.optim, name), [values.requires_grad_(), values.detach()[:2].clone().requires_grad_()], **options
    )


def finite(run):
    return all(bool(torch.isfinite(p).all()) for p in run.params)


CHANGES = {
    "zeroed": lambda p: p.zero_(),
    "pruned": lambda p: p.mul_(torch.arange(p.numel()).view(p.shape) % 3 > 0),
    "held above zero": lambda p: p.clamp_(min=0),
    "a row of padding": lambda p: p[0].fill_(0),
    "negated": lambda p: p.neg_(),
    "negative zeros": lambda p: p.zero_().neg_(),
    "made anew": lambda p: torch.nn.init.constant_(p, 0.0),
    "scaled": lambda p: p.mul_(0.5),
}


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("change", CHANGES)
def test_compensated_parameters_changed_by_hand(change, dtype, capturable):
    """What rounding left over belongs to a value that is there no more; at most half a unit of it may remain."""
    run = made("AdamW", dtype, (20, 9), rounding="compensated", capturable=capturable)
    run.step(5)
    with torch.no_grad():
        for p in run.params:
            CHANGES[change](p)
    before = run.values()
    run.step()
    for p, old in zip(run.params, before, strict=True):
        torch.testing.assert_close(p.detach().float(), old.float(), rtol=2**-7, atol=5e-3)


def test_another_model_is_loaded_into_compensated_parameters():
    run = made("AdamW", rounding="compensated")
    run.step(5)
    with torch.no_grad():
        for p in run.params:
            p.copy_(torch.zeros_like(p))  # as load_state_dict does, with biases of 0
    run.step()
    assert finite(run)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "order", [("compensated", "stochastic", "compensated"), ("nearest", "compensated", "nearest", "stochastic")]
)
def test_rounding_changed_in_the_group(name, dtype, order):
    run, wide = made(name, dtype, (20, 9), rounding=order[0]), made(name, torch.float32, (20, 9))
    for rounding in order:
        run.group["rounding"] = rounding
        run.step(4)
        wide.step(4)
    for p, q in zip(run.params, wide.params, strict=True):
        assert float((p.float() - q).detach().abs().mean()) < 2**-7


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    "order", [("8bit", None, "8bit"), (None, "8bit", "bfloat16"), ("bfloat16", "8bit", "parameter")]
)
def test_what_states_are_held_in_changed_in_the_group(name, order):
    run, wide = made(name, torch.float32, state_dtype=order[0]), made(name, torch.float32)
    for held in order:
        run.group["state_dtype"] = held
        run.step(4)
        wide.step(4)
    for p, q, old in zip(run.params, wide.params, made(name, torch.float32).params, strict=True):
        moved = (q - old).detach().abs().mean()
        assert float((p - q).detach().abs().mean()) < 0.2 * float(moved)


@pytest.mark.parametrize("name", ["AdamW"])
@pytest.mark.parametrize("before", ["8bit", "bfloat16", "parameter", None])
@pytest.mark.parametrize("now", ["8bit", "bfloat16", "parameter", None])
def test_a_checkpoint_held_in_other_bits(name, before, now):
    run = made(name, torch.float32, state_dtype=before)
    run.step(4)
    other = made(name, torch.float32, state_dtype=now)
    with torch.no_grad():
        for p, q in zip(other.params, run.params, strict=True):
            p.copy_(q)
    saved = copy.deepcopy(run.optimizer.state_dict())
    for group in saved["param_groups"]:
        group["state_dtype"] = now
    other.optimizer.load_state_dict(saved)
    other.steps = run.steps
    start = run.values()
    run.step(3)
    other.step(3)
    for p, q, old in zip(other.params, run.params, start, strict=True):
        assert float((p - q).detach().abs().mean()) < 0.2 * float((q - old).detach().abs().mean())


@pytest.mark.parametrize("shape", [(4095,), (4096,), (4097,), (64, 64), (5, 821), (1, 4096, 1)])
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_around_the_size_from_which_states_are_in_8_bits(name, shape):
    run, wide = made(name, torch.float32, (*shape,), state_dtype="8bit"), made(name, torch.float32, (*shape,))
    start = wide.values()
    run.step(5)
    wide.step(5)
    for p, q, old in zip(run.params, wide.params, start, strict=True):
        assert float((p - q).detach().abs().mean()) <= 0.2 * float((q - old).detach().abs().mean())


def test_a_parameter_in_8_bits_that_comes_to_have_gaps_is_refused_before_anything_moves():
    run = made("AdamW", torch.float32, state_dtype="8bit")
    run.optimizer.add_param_group({"params": [torch.ones(8).requires_grad_()]})
    run.params.append(run.optimizer.param_groups[1]["params"][0])
    run.params.reverse()
    run.step(2)
    run.params[-1].grad = None
    run.params[-1].data = torch.zeros(64, 130)[:, ::2].copy_(run.params[-1].data)
    before, counts = run.values(), [float(s["step"]) for s in run.optimizer.state.values()]
    with pytest.raises(InputError, match="8 bits need"):
        run.step()
    torch.testing.assert_close(run.values(), before, rtol=0, atol=0)
    assert [float(s["step"]) for s in run.optimizer.state.values()] == counts


@pytest.mark.parametrize("to", [torch.float64, torch.bfloat16, torch.float16])
def test_a_parameter_in_8_bits_changes_its_dtype(to):
    run, wide = made("AdamW", torch.float32, state_dtype="8bit"), made("AdamW", torch.float32)
    run.step(3)
    wide.step(3)
    for p in run.params:
        p.grad, p.data = None, p.data.to(to)
    start = wide.values()
    run.step(3)
    wide.step(3)
    for p, q, old in zip(run.params, wide.params, start, strict=True):
        close = 0.2 if to is torch.float64 else 2.0
        assert float((p.float() - q).detach().abs().mean()) < close * float((q - old).detach().abs().mean()) + 1e-3


def test_chances_of_rounding_after_very_many_steps():
    """Small steps add up on average, however many were taken before."""
    p = torch.ones(4096, dtype=torch.bfloat16).requires_grad_()
    run = Run(thalweg.optim.SGD, [p], lr=1.0)
    run.step()
    with torch.no_grad():
        p.fill_(1.0)
    run.optimizer.state[p]["step"].fill_(2.0**24)
    for _ in range(40):
        p.grad = torch.full_like(p, -(2.0**-12))
        run.optimizer.step()
    assert float(p.detach().float().mean()) == pytest.approx(1 + 40 * 2.0**-12, rel=0.1 * 40 * 2.0**-12)


def test_prepared_and_unprepared_steps_have_the_same_chances_after_very_many_steps():
    runs = [made("AdamW", rounding="stochastic") for _ in range(2)]
    for run, forgets in zip(runs, (False, True), strict=True):
        run.step(2)
        for state in run.optimizer.state.values():
            state["step"].fill_(2.0**24 - 2)
        for _ in range(5):
            run.step()
            if forgets:
                run.optimizer.__dict__.pop("_updates")
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=0, atol=0)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("rounding", ["stochastic", "compensated", "nearest"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 3e38, 1e-45])
def test_gradients_at_the_ends_of_the_numbers_touch_no_other_element(name, rounding, bad):
    run, other = made(name, rounding=rounding, shape=(40,)), made(name, rounding=rounding, shape=(40,))
    for step in range(3):
        run.fill()
        other.fill()
        if step == 1:
            run.params[0].grad[7] = bad
        run.optimizer.step()
        other.optimizer.step()
    p, q = run.params[0].detach().clone(), other.params[0].detach().clone()
    p[7] = q[7] = 0
    torch.testing.assert_close(p, q, rtol=0, atol=0)


@pytest.mark.parametrize("rounding", ["stochastic", "compensated", "nearest"])
@pytest.mark.parametrize("duplicate", ["copied", "pickled"])
def test_copies_in_mid_run(rounding, duplicate):
    run = made("AdamW", rounding=rounding, state_dtype="bfloat16", ema_decay=0.9)
    run.step(3)
    other = copy.deepcopy(run) if duplicate == "copied" else pickle.loads(pickle.dumps(run))
    run.step(3)
    other.step(3)
    torch.testing.assert_close(run.values(), other.values(), rtol=0, atol=0)
