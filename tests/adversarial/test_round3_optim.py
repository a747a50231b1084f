"""A third round against the drop-ins: what they got wrong. Each of these ought to pass."""

import copy
import gc
import warnings
import weakref

import pytest
import torch
from torch.masked import masked_tensor

import thalweg.optim
from adversarial.adversary import Run, gradient, parameters, same
from thalweg.errors import InputError


def two():
    return parameters(shapes=[(6,), (6,)])


def refused(run):
    """Asserts that a step is refused before a parameter or the first one's count of steps moved."""
    before, count = run.values(), run.optimizer.state[run.params[0]]["step"].clone()
    with pytest.raises(InputError):
        run.optimizer.step()
    torch.testing.assert_close(run.values(), before, rtol=0, atol=0)
    assert run.optimizer.state[run.params[0]]["step"] == count


# A refused step is to leave nothing of what it was given behind.


REFUSED = {
    "maximize": ("SGD", True), "clip_global_norm": ("Adam", 0.1), "amsgrad": ("Adam", True), "nesterov": ("SGD", True)
}  # fmt: skip


@pytest.mark.parametrize("switch", REFUSED)
def test_a_switch_given_beside_a_refused_value_and_taken_back_with_it(switch):
    name, value = REFUSED[switch]
    options = {"momentum": 0.9} if switch == "nesterov" else {}
    runs = [Run(getattr(thalweg.optim, name), two(), lr=0.1, **options) for _ in range(2)]
    for run in runs:
        run.step()
    run, old = runs[0], runs[0].group[switch]
    run.group.update({switch: value, "rounding": "bogus"})
    with pytest.raises(InputError):
        run.optimizer.step()
    run.group.update({switch: old, "rounding": "stochastic"})
    for each in runs:
        each.step(2)
    torch.testing.assert_close(run.values(), runs[1].values(), rtol=0, atol=0)


def test_a_scaled_step_that_was_refused_and_is_taken_again():
    ends = []
    for refused in (False, True):
        p = torch.ones(3, requires_grad=True)
        optimizer = thalweg.optim.SGD([p], lr=0.5, fused=True)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        scaler.scale(p.sum()).backward()
        if refused:
            optimizer.param_groups[0]["lr"] = -1.0
            with pytest.raises(InputError):
                scaler.step(optimizer)
            optimizer.param_groups[0]["lr"] = 0.5
        scaler.step(optimizer)
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["Adam", "NAdam"])
def test_a_checkpoint_that_is_refused_leaves_the_optimizer_as_it_was(name):
    run, other = (Run(getattr(thalweg.optim, name), two(), lr=rate) for rate in (0.1, 0.3))
    run.step(2)
    other.step()
    saved, before = copy.deepcopy(run.optimizer.state_dict()), copy.deepcopy(other.optimizer.state_dict())
    saved["state"][1]["step" if name == "Adam" else "mu_product"] = torch.tensor([2.0, 2.0])
    with pytest.raises((InputError, RuntimeError)):
        other.optimizer.load_state_dict(saved)
    assert other.group["lr"] == before["param_groups"][0]["lr"]
    torch.testing.assert_close(other.optimizer.state_dict()["state"], before["state"], rtol=0, atol=0)


def test_a_parameter_in_float8_is_refused_before_others_move():
    params = [*parameters(torch.float32, [(6,)]), torch.ones(6).to(torch.float8_e4m3fn)]
    run = Run(thalweg.optim.Adam, params, lr=0.1)
    run.fill()
    before = run.values()
    with pytest.raises((InputError, NotImplementedError)):
        run.optimizer.step()
    assert torch.equal(run.params[0], before[0])


@pytest.mark.parametrize("key", ["step", "exp_avg"])
def test_a_sparse_state_is_refused_in_one_sentence(key):
    run = Run(thalweg.optim.Adam, two(), lr=0.1)
    run.step()
    state = run.optimizer.state[run.params[1]]
    state[key] = state[key].to_sparse()
    run.fill()
    refused(run)


def test_a_count_of_steps_without_memory_is_refused_in_one_sentence():
    run = Run(thalweg.optim.Adam, two(), lr=0.1)
    run.step()
    run.optimizer.state[run.params[1]]["step"] = torch.zeros((), device="meta")
    run.fill()
    refused(run)


def test_a_negative_count_of_steps_is_refused():
    run = Run(thalweg.optim.Adam, two(), lr=0.1)
    run.step()
    run.optimizer.state[run.params[1]]["step"].fill_(-5.0)
    with pytest.raises((InputError, RuntimeError)):
        run.step()


# What is where it was, and of another parameter now.


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam"])
def test_states_are_put_back_under_other_parameters_in_their_order(name):
    def act(run):
        run.step(skip=[1])
        run.step(3)
        others, state = dict(zip(run.params, reversed(run.params), strict=True)), run.optimizer.state
        moved = {others[p]: of for p, of in state.items()}
        state.clear()
        state.update(moved)
        run.step(3)

    same(name, act, make=two)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_state_that_is_given_to_a_parameter_at_rest(name):
    def act(run):
        run.step(3, skip=[1])
        run.optimizer.state[run.params[1]] = run.optimizer.state.pop(run.params[0])
        run.step(3, skip=[1])
        return len(run.optimizer.state)

    same(name, act, make=two)


def test_a_group_that_is_taken_out_is_freed():
    params = two()
    optimizer = thalweg.optim.Adam([{"params": [p]} for p in params], lr=0.1)
    for step in range(3):
        for p in params:
            p.grad = gradient(p, step)
        optimizer.step()
    optimizer.param_groups.pop()
    gone = weakref.ref(params[1])
    optimizer.state.pop(params.pop())
    del p
    optimizer.step()
    gc.collect()
    assert gone() is None


# The dict of a group is its user's.


def test_a_rate_changed_in_the_dict_that_was_given():
    def act(run):
        own = [{"params": run.params[:1]}, {"params": run.params[1:]}]
        run.optimizer = type(run.optimizer)(own, lr=0.1)
        run.step()
        own[1]["lr"] = 0.5
        run.step()

    same("SGD", act, make=two)


def test_betas_changed_in_the_list_that_a_group_was_given():
    def act(run):
        betas = [0.5, 0.6]
        run.optimizer = type(run.optimizer)([{"params": run.params, "betas": betas}], lr=0.1)
        run.step(2)
        betas[0] = 0.9
        run.step(2)

    same("Adam", act, make=two)


@pytest.mark.parametrize(
    "wrong", [[torch.ones(2)], torch.ones(2), None, "weights"], ids=["list", "tensor", "none", "str"]
)
def test_a_group_that_is_no_dict_is_refused_in_one_sentence(wrong):
    optimizer = thalweg.optim.Adam(two())
    with pytest.raises((TypeError, InputError), match="dict"):
        optimizer.add_param_group(wrong)


def test_the_first_sum_of_adagrad_in_a_group_of_its_own():
    """It is what the group says; torch takes the constructor's for all groups, without a word."""
    params = two()
    optimizer = thalweg.optim.Adagrad(
        [{"params": params[:1], "initial_accumulator_value": 0.5}, {"params": params[1:]}]
    )
    assert [optimizer.state[p]["sum"][0].item() for p in params] == [0.5, 0.0]


# Odd parameters and gradients.


def test_a_parameter_whose_windows_overlap_is_stepped_as_by_torch_or_refused():
    ends = []
    for module in (thalweg.optim, torch.optim):
        base = torch.linspace(-1, 1, 8, dtype=torch.float64)
        run = Run(module.SGD, [base.unfold(0, 3, 1).requires_grad_()], lr=0.1)
        try:
            run.step(2)
        except InputError:
            return
        ends.append(base)
    torch.testing.assert_close(*ends)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
@pytest.mark.parametrize("shape", [(), (3,)], ids=str)
def test_a_sparse_gradient_without_sparse_dimensions(name, shape):
    def act(run):
        for _ in range(3):
            values = torch.ones(2, *shape, dtype=torch.float64)
            index = torch.zeros(0, 2, dtype=torch.long)
            run.params[0].grad = torch.sparse_coo_tensor(index, values, shape, check_invariants=True)
            run.optimizer.step()

    options = {"momentum": 0.0} if name == "SGD" else {}
    same(name, act, make=lambda: parameters(shapes=[shape]), **options)


def test_what_a_masked_gradient_masks_is_not_stepped_with():
    p = torch.ones(3, requires_grad=True)
    optimizer = thalweg.optim.SGD([p], lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # masked tensors are a prototype
        p.grad = masked_tensor(torch.tensor([1.0, 5.0, 1.0]), torch.tensor([True, False, True]))
        try:
            optimizer.step()
        except (InputError, ValueError, TypeError):
            return
    assert p[1] == 1


def test_a_rate_that_requires_a_gradient_is_no_reason_to_warn():
    run = Run(thalweg.optim.AdaBound, two(), lr=torch.tensor(0.1, requires_grad=True))
    run.step(2)
