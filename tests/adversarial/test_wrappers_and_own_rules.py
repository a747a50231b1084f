"""What torch wraps around optimizers of a class, and rules of one's own with numbers beside the moments."""

import copy
import pickle

import pytest
import torch
from torch import distributed, nn
from torch.nn.utils import prune

import thalweg.optim
from adversarial.adversary import Run
from thalweg.errors import InputError
from thalweg.optim import drop_in
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import RowOnes, Zeros

few = pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam"])


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def backward(of):
    of(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3)).square().sum().backward()


def alike(act):
    for one, other in zip(act(thalweg.optim), act(torch.optim), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@few
@pytest.mark.filterwarnings("ignore")
def test_states_spread_by_zero_redundancy(name):
    """torch's `ZeroRedundancyOptimizer`, under a schedule, saved and loaded, in a world of one."""
    from torch.distributed.optim import ZeroRedundancyOptimizer

    def act(module):
        trained = model()
        optimizer = ZeroRedundancyOptimizer(trained.parameters(), optimizer_class=getattr(module, name), lr=0.1)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        for step in range(6):
            if step == 3:
                optimizer.consolidate_state_dict()
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            optimizer.zero_grad()
            backward(trained)
            optimizer.step()
            schedule.step()
        return [p.detach() for p in trained.parameters()]

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        alike(act)
    finally:
        distributed.destroy_process_group()


@few
@pytest.mark.filterwarnings("ignore")
def test_applied_in_the_backward_pass_by_torch(name):
    from torch.distributed.optim import _apply_optimizer_in_backward

    def act(module):
        trained = model()
        _apply_optimizer_in_backward(getattr(module, name), trained.parameters(), {"lr": 0.1})
        for _ in range(4):
            backward(trained)
        return [p.detach() for p in trained.parameters()]

    alike(act)


@few
def test_weights_under_a_parametrization(name):
    def act(module):
        trained = model()
        nn.utils.parametrizations.weight_norm(trained[0])
        nn.utils.parametrizations.spectral_norm(trained[2])
        optimizer = getattr(module, name)(trained.parameters(), lr=0.05)
        for _ in range(4):
            optimizer.zero_grad()
            backward(trained)
            optimizer.step()
        return [p.detach() for p in trained.parameters()]

    alike(act)


@few
def test_weights_that_are_pruned_on_the_way(name):
    def act(module):
        trained = model()
        optimizer = getattr(module, name)(trained.parameters(), lr=0.05)
        for step in range(6):
            optimizer.zero_grad()
            backward(trained)
            optimizer.step()
            if step == 2:
                prune.l1_unstructured(trained[0], "weight", 0.5)  # another parameter, by another name
                optimizer.add_param_group({"params": [trained[0].weight_orig]}) if not any(
                    p is trained[0].weight_orig for group in optimizer.param_groups for p in group["params"]
                ) else None
        return [p.detach() for p in trained.parameters()]

    alike(act)


@rule(paper="none: written for a test", drop_in="Shrinking(lr)", rates=(1e-3, 1e-1))
def shrinking(g, p, kept: Zeros, left: RowOnes, t, *, lr: Rate = 0.1):
    """Steps that halve each time, by a number beside the moments."""
    left = left * 0.5
    kept = kept + g
    return lr * left * kept, kept, left


def by_hand(steps):
    p, kept, left = torch.linspace(-1, 1, 4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64), 1.0
    for step in range(steps):
        left, kept = left * 0.5, kept + torch.sin(torch.arange(4).double() * 1.7 + step)
        p = p - 0.1 * left * kept
    return p


Shrinking = drop_in(shrinking)


@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=str)
def test_a_rule_of_ones_own_with_a_number_beside_its_moments(options):
    p = torch.linspace(-1, 1, 4, dtype=torch.float64).requires_grad_()
    run = Run(Shrinking, [p], lr=0.1, **options)
    run.step(2)
    run = copy.deepcopy(run)
    run.step(1)
    run = pickle.loads(pickle.dumps(run))
    saved = copy.deepcopy(run.optimizer.state_dict())
    run.optimizer.state.clear()
    run.optimizer.load_state_dict(saved)
    run.step(2)
    torch.testing.assert_close(run.values()[0], by_hand(5), rtol=1e-12, atol=1e-13)


def test_a_rule_of_ones_own_refuses_a_number_that_is_none():
    run = Run(Shrinking, lr=0.1)
    run.step(2)
    run.optimizer.state[run.params[1]]["left"] = torch.ones(2)
    before = run.values()
    with pytest.raises(InputError, match="'left' must be one number"):
        run.step()
    torch.testing.assert_close(run.values(), before, rtol=0, atol=0)
