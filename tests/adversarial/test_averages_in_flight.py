"""`averaged_weights` where its user meddles in between."""

import copy

import pytest
import torch

import thalweg.optim
from adversarial.adversary import Run
from thalweg.errors import InputError

KINDS = {"ema": ("AdamW", {"lr": 0.1, "ema_decay": 0.9}), "schedule-free": ("AdamWScheduleFree", {"lr": 0.1})}


@pytest.fixture(params=KINDS)
def run(request):
    name, options = KINDS[request.param]
    made = Run(getattr(thalweg.optim, name), **options)
    made.step(4)
    return made


def unchanged(run, before):
    torch.testing.assert_close(run.values(), before, rtol=0, atol=0)


def test_within_each_other_they_end_where_they_began(run):
    before = run.values()
    with run.optimizer.averaged_weights():
        averaged = run.values()
        with run.optimizer.averaged_weights():
            pass
        unchanged(run, averaged)
    unchanged(run, before)


def test_within_each_other_ema_stays_what_it_is():
    within_each_other("ema")


def test_within_each_other_schedule_free_weights_stay_what_they_are():
    within_each_other("schedule-free")


def within_each_other(kind):
    """An evaluation that calls another, each within `averaged_weights()`, evaluates the same weights."""
    name, options = KINDS[kind]
    run = Run(getattr(thalweg.optim, name), **options)
    run.step(4)
    with run.optimizer.averaged_weights():
        averaged = run.values()
        with run.optimizer.averaged_weights():
            unchanged(run, averaged)


def test_within_each_other_a_step_between_their_ends_is_refused(run):
    with run.optimizer.averaged_weights():
        with run.optimizer.averaged_weights():
            pass
        with pytest.raises(InputError, match="within averaged_weights"):
            run.step()


def test_an_interrupt_within_gives_the_weights_back(run):
    before = run.values()
    with pytest.raises(KeyboardInterrupt), run.optimizer.averaged_weights():
        raise KeyboardInterrupt
    unchanged(run, before)
    run.step()


def test_a_step_that_was_refused_within_changes_nothing(run):
    before, state = run.values(), copy.deepcopy(run.optimizer.state_dict()["state"])
    with run.optimizer.averaged_weights(), pytest.raises(InputError, match="averaged_weights"):
        run.step()
    unchanged(run, before)
    torch.testing.assert_close(run.optimizer.state_dict()["state"], state, rtol=0, atol=0)


def test_loading_within_gives_the_state_and_leaves_the_weights(run):
    other = copy.deepcopy(run)
    saved = copy.deepcopy(run.optimizer.state_dict())
    before = run.values()
    with run.optimizer.averaged_weights():
        run.optimizer.load_state_dict(saved)
    unchanged(run, before)
    run.step(2)
    other.step(2)
    unchanged(run, other.values())


def test_a_copy_made_within_is_no_longer_within(run):
    """It has the averages for its weights, and may step."""
    with run.optimizer.averaged_weights():
        averaged, other = run.values(), copy.deepcopy(run)
    unchanged(other, averaged)
    other.step()
    run.step()


def test_a_group_added_within(run):
    new = torch.ones(3, dtype=torch.float64).requires_grad_()
    before = run.values()
    with run.optimizer.averaged_weights():
        run.optimizer.add_param_group({"params": [new]})
    unchanged(run, before)
    run.params.append(new)
    run.step()
    with run.optimizer.averaged_weights():
        pass


def test_another_dtype_within(run):
    with run.optimizer.averaged_weights():
        for p in run.params:
            p.grad, p.data = None, p.data.float()
    assert all(p.dtype == torch.float32 for p in run.params)


def test_state_forgotten_within(run):
    before = run.values()
    with run.optimizer.averaged_weights():
        run.optimizer.state.clear()
    unchanged(run, before)


def test_a_parameter_that_lost_its_size_is_no_half_swap():
    """Where one parameter fits its average no more, the others still hold what they were trained to."""
    run = Run(thalweg.optim.AdamW, **KINDS["ema"][1])
    run.step(4)
    run.params[-1].grad, run.params[-1].data = None, torch.ones(5, dtype=torch.float64)
    before = run.values()
    with pytest.raises((InputError, RuntimeError)), run.optimizer.averaged_weights():
        pass
    unchanged(run, before)


def test_tied_parameters_come_back():
    whole = torch.linspace(-1, 1, 8, dtype=torch.float64)
    made = Run(thalweg.optim.AdamW, [whole.requires_grad_(), whole.detach()[2:6].requires_grad_()], **KINDS["ema"][1])
    made.step(4)
    before = made.values()
    with made.optimizer.averaged_weights():
        pass
    unchanged(made, before)


@pytest.mark.parametrize("change", ["steps", "pops", "loads"])
def test_lookahead_and_averages_after_changes_of_state(change):
    made = Run(thalweg.optim.SGD, lr=0.1, lookahead_steps=3, ema_decay=0.5)
    made.step(4)
    if change == "pops":
        made.optimizer.state.pop(made.params[0])
    if change == "loads":
        made.optimizer.load_state_dict(copy.deepcopy(made.optimizer.state_dict()))
    made.step(4)
    with made.optimizer.averaged_weights():
        assert all(bool(torch.isfinite(p).all()) for p in made.params)
