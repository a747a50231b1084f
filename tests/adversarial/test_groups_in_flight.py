"""Groups, parameters and state changed by hand between two steps: as with torch."""

from collections import defaultdict

import pytest
import torch

import thalweg.optim
from adversarial.adversary import SHAPES, THEIRS, Run, gradient, parameters, same
from thalweg.errors import InputError

every = pytest.mark.parametrize("name", THEIRS)


@every
def test_the_list_of_parameters_shrinks_and_grows_again(name):
    def act(run):
        run.step(3)
        taken = run.group["params"].pop(1)
        run.step(2)
        run.group["params"].append(taken)
        run.step(3)

    same(name, act)


@every
def test_the_list_of_parameters_becomes_a_tuple(name):
    def act(run):
        run.step(2)
        run.group["params"] = tuple(run.group["params"])
        run.step(3)

    same(name, act)


@every
def test_a_parameter_moves_to_another_group(name):
    def act(run):
        new = parameters(shapes=[(2,)])
        run.optimizer.add_param_group({"params": new, "lr": 0.03})
        run.params += new
        run.step(3)
        one, two = run.optimizer.param_groups
        two["params"].insert(0, one["params"].pop())
        run.step(3)

    same(name, act)


@every
def test_groups_change_places(name):
    def act(run):
        new = parameters(shapes=[(7,)])
        run.optimizer.add_param_group({"params": new, "lr": 0.03})
        run.params += new
        run.step(3)
        run.optimizer.param_groups.reverse()
        run.step(3)
        del run.optimizer.param_groups[0]
        run.step(2)

    same(name, act)


@every
def test_groups_replaced_by_a_new_list_of_new_dicts(name):
    def act(run):
        run.step(3)
        run.optimizer.param_groups = [dict(group) for group in run.optimizer.param_groups]
        run.group["lr"] = 0.07
        run.step(3)

    same(name, act)


@every
def test_a_group_added_in_mid_run_with_half_its_gradients(name):
    def act(run):
        run.step(2)
        new = parameters(shapes=[(3,), (2, 2)])
        run.optimizer.add_param_group({"params": new, "lr": 0.02})
        run.params += new
        run.step(2, skip={1, len(run.params) - 1})
        run.step(2)

    same(name, act)


def test_a_failed_addition_leaves_no_group_behind():
    run = Run(thalweg.optim.Adam)
    run.step()
    for wrong in ({"params": run.params}, {"params": parameters(), "lr": -1.0}, {"params": [run.params[0] * 2]}):
        with pytest.raises(ValueError, match=r"param|lr|leaf"):
            run.optimizer.add_param_group(wrong)
    assert len(run.optimizer.param_groups) == 1
    run.step()


@every
def test_the_state_of_one_parameter_is_forgotten(name):
    def act(run):
        run.step(3)
        run.optimizer.state.pop(run.params[0])
        if name == "Adagrad":  # whose state torch makes ahead of the first step only
            zero = torch.tensor(0.0)
            run.optimizer.state[run.params[0]] = {"step": zero, "sum": torch.full_like(run.params[0], 0.1)}
        run.step(3)

    same(name, act)


@pytest.mark.parametrize("name", sorted({*THEIRS} - {"Adagrad"}))
def test_the_whole_state_is_replaced_by_an_empty_one(name):
    def act(run):
        run.step(3)
        run.optimizer.state = defaultdict(dict)
        run.step(3)
        run.optimizer.state.clear()
        run.step(2)

    same(name, act)


@every
def test_the_states_of_two_parameters_change_places(name):
    def act(run):
        run.step(3)
        state, (a, b) = run.optimizer.state, run.params[:2]
        state[a], state[b] = state[b], state[a]
        run.step(3)

    same(name, act, make=lambda: parameters(shapes=[(4,), (4,), (3,)]))


@every
def test_one_count_of_steps_shared_by_two_parameters(name):
    """torch counts it up once for each of them."""

    def act(run):
        run.step(2)
        state, (a, b) = run.optimizer.state, run.params[:2]
        if "step" in state[a]:
            state[a]["step"] = state[b]["step"]
        run.step(4)
        return [float(s["step"]) for s in state.values() if "step" in s]

    same(name, act)


@every
def test_a_parameter_twice_in_one_group(name):
    def act(run):
        run.step(2)
        run.group["params"].append(run.params[0])
        run.step(4)

    same(name, act)


@every
def test_a_parameter_in_two_groups(name):
    def act(run):
        new = parameters(shapes=[(5,)])
        run.optimizer.add_param_group({"params": new, "lr": 0.03})
        run.params += new
        run.step(2)
        run.optimizer.param_groups[1]["params"].append(run.params[0])
        run.step(4)

    same(name, act)


@every
def test_two_optimizers_over_the_same_parameters(name):
    def act(run):
        other = type(run.optimizer)(run.params, **{**THEIRS[name], "lr": 0.05})
        for _ in range(3):
            run.step()
            other.step()

    same(name, act)


@every
def test_two_optimizers_share_the_state_of_each_parameter(name):
    def act(run):
        other = type(run.optimizer)(run.params, **THEIRS[name])
        run.step(2)
        for p in run.params:
            other.state[p] = run.optimizer.state[p]
        for _ in range(3):
            run.step()
            other.step()

    same(name, act)


@every
def test_requires_grad_off_and_on_again(name):
    """torch steps whatever has a gradient."""

    def act(run):
        run.step(2)
        run.params[0].requires_grad_(False)
        run.step(2)
        run.params[0].grad = None
        run.optimizer.step()
        run.params[0].requires_grad_(True)
        run.step(2)

    same(name, act)


@every
def test_all_gradients_missing(name):
    def act(run):
        run.step(2)
        run.step(2, skip=range(len(SHAPES)))
        run.optimizer.zero_grad()
        run.optimizer.step()
        run.step(2)

    same(name, act)


@every
def test_gradients_zeroed_in_their_place(name):
    def act(run):
        for _ in range(4):
            run.optimizer.zero_grad(set_to_none=False)
            for p in run.params:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
                p.grad.add_(gradient(p, run.steps))
            run.optimizer.step()
            run.steps += 1
        run.optimizer.zero_grad(set_to_none=False)
        run.optimizer.step()

    same(name, act)


@pytest.mark.parametrize(
    ("name", "switch", "on"),
    [("SGD", "momentum", 0.9), ("SGD", "nesterov", True), ("SGD", "weight_decay", 0.1), ("SGD", "dampening", 0.5),
     ("Adam", "weight_decay", 0.1), ("Adam", "maximize", True), ("AdamW", "betas", (0.0, 0.5)),
     ("RMSprop", "alpha", 0.5), ("NAdam", "momentum_decay", 0.1), ("ASGD", "t0", 2), ("Rprop", "etas", (0.1, 1.1)),
     ("Adagrad", "lr_decay", 0.3), ("Adadelta", "rho", 0.2), ("Adamax", "eps", 1.0)],
)  # fmt: skip
def test_a_switch_turned_and_turned_back(name, switch, on):
    def act(run):
        run.step(2)
        before = run.group[switch]
        run.group[switch] = on
        run.step(3)
        run.group[switch] = before
        run.step(2)

    same(name, act)


def test_momentum_begins_in_mid_run():
    def act(run):
        run.step(2)
        run.group["momentum"] = 0.9
        run.step(2, skip={1})
        run.step(2)
        run.group["momentum"] = 0
        run.step(2)
        run.group["momentum"] = 0.5
        run.step(2)

    same("SGD", act, momentum=0)


@every
def test_a_rate_in_one_tensor_for_two_groups(name):
    def act(run):
        rate = torch.tensor(0.1, dtype=torch.float64)
        new = parameters(shapes=[(5,)])
        run.optimizer.add_param_group({"params": new, "lr": rate})
        run.group["lr"] = rate
        run.params += new
        for _ in range(5):
            run.step()
            rate.mul_(0.7)

    same(name, act)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_rate_in_a_tensor_of_whole_numbers(name):
    same(name, lambda run: run.step(4), lr=torch.tensor(1), rtol=1e-6)


def test_a_rate_in_a_tensor_of_few_bits_is_the_number_it_holds():
    one, two = Run(thalweg.optim.Adam, lr=torch.tensor(0.1).bfloat16()), Run(thalweg.optim.Adam, lr=0.10009765625)
    one.step(4)
    two.step(4)
    torch.testing.assert_close(one.values(), two.values(), rtol=0, atol=0)


def test_a_rate_in_a_tensor_of_truths_is_refused():
    run = Run(thalweg.optim.Adam)
    run.step()
    run.group["lr"] = torch.tensor(True)
    with pytest.raises(InputError, match="'lr' of Adam must be a number"):
        run.step()


def test_a_state_of_ones_own_that_changes_at_each_step():
    def act(run):
        for _ in range(15):
            run.step()
            for p in run.params:
                run.optimizer.state[p]["my_norm"] = p.grad.norm()

    same("Adam", act)
