"""What is remembered of one step for the next is never used where something has changed in between."""

import copy

import numpy as np
import pytest
import torch

import thalweg.optim
from thalweg.execution import data_pointers
from thalweg.optim.stepping.fast_path import FastPath

SHAPES = ((3, 5), (4,), (), (2, 2, 2))
CLASSES = [thalweg.optim.Adam, thalweg.optim.SGD, thalweg.optim.NAdam]


def gradient(p, step):
    return torch.sin(torch.arange(p.numel(), dtype=torch.float64) + step).view(p.shape).to(p.dtype)


class Trained:
    """Parameters under a class's optimizer, in steps whose gradients depend on the step alone."""

    def __init__(self, cls):
        self.params = [torch.linspace(-1, 1, 15)[: torch.Size(s).numel()].view(s).requires_grad_() for s in SHAPES]
        self.optimizer = cls(self.params, lr=0.1, **({"momentum": 0.9} if cls is thalweg.optim.SGD else {}))
        self.steps = 0

    def step(self, count=1, skip=()):
        for _ in range(count):
            for i, p in enumerate(self.params):
                p.grad = None if i in skip else gradient(p, self.steps)
            self.optimizer.step()
            self.steps += 1


def double(trained):
    for p in trained.params:
        p.grad = None
        p.data = p.data.double()


def another_place(trained):
    for p in trained.params:
        p.data = p.data.clone()


def another_state_tensor(trained):
    for state in trained.optimizer.state.values():
        for name, value in state.items():
            state[name] = value.clone()


def another_place_of_states(trained):
    for state in trained.optimizer.state.values():
        for value in state.values():
            value.data = value.data.clone()


def states_in_shared_memory(trained):
    for state in trained.optimizer.state.values():
        for value in state.values():
            value.share_memory_()


def parameters_swapped(trained):
    for p in trained.params:
        p.grad = None  # what torch asks for
        torch.utils.swap_tensors(p, (p.detach() + 1).requires_grad_())


def another_order(trained):
    trained.optimizer.param_groups[0]["params"].reverse()


def another_state(trained):
    for p in trained.params:
        trained.optimizer.state[p] = copy.deepcopy(trained.optimizer.state[p])


def reloaded(trained):
    trained.optimizer.load_state_dict(copy.deepcopy(trained.optimizer.state_dict()))


def another_rate(trained):
    trained.optimizer.param_groups[0]["lr"] = 0.01


def a_rate_in_a_tensor(trained):
    trained.optimizer.param_groups[0]["lr"] = torch.tensor(0.01)


def upside_down(trained):
    trained.optimizer.param_groups[0]["maximize"] = True


def transposed(trained):
    trained.params[0].data = trained.params[0].data.t().contiguous().t()


CHANGES = [double, another_place, another_state_tensor, another_state, reloaded, another_rate, a_rate_in_a_tensor]
CHANGES += [upside_down, transposed, another_place_of_states, states_in_shared_memory, parameters_swapped]
CHANGES += [another_order]


def forgetful(trained):
    """As `trained`, but every step is taken the general way."""
    step = trained.optimizer.step

    def general():
        trained.optimizer.__dict__.pop("_updates", None)
        step()

    trained.optimizer.step = general
    return trained


@pytest.fixture(params=[True, False], ids=["in C", "in Python"])
def addresses_asked_for(request, monkeypatch):
    """Whether torch has the functions that tell where tensors begin."""
    if not request.param:
        monkeypatch.setattr(data_pointers, "functions", lambda: np.zeros(len(data_pointers.ASKED), np.int64))


@pytest.mark.usefixtures("addresses_asked_for")
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_change_between_two_steps_is_heeded(cls, change):
    ends = []
    for made in (Trained(cls), forgetful(Trained(cls))):
        made.step(3)
        change(made)
        made.step(3)
        ends.append([p.detach() for p in made.params])
    torch.testing.assert_close(*ends, rtol=0, atol=0)


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_without_a_gradient_now_and_then(cls):
    """They keep steps of their own."""
    ends = []
    for made in (Trained(cls), forgetful(Trained(cls))):
        for skip in ((), (0,), (0,), (1, 2), (), (), (0, 1, 2, 3), ()):
            made.step(2, skip)
        ends.append([p.detach() for p in made.params])
    torch.testing.assert_close(*ends, rtol=0, atol=0)


def test_the_same_step_again_is_taken_the_quick_way(monkeypatch):
    made, quick = Trained(thalweg.optim.Adam), []
    taken = FastPath.fits
    monkeypatch.setattr(FastPath, "fits", lambda *args: quick.append(taken(*args)) or quick[-1])
    made.step(4)
    assert quick == [True] * 3


@pytest.mark.parametrize("value", [0.1, torch.tensor(0.1)])
def test_a_rate_changed_where_it_is(value):
    """A schedule may write into a tensor."""
    made = Trained(thalweg.optim.SGD)
    made.optimizer.param_groups[0]["lr"] = value
    made.step(2)
    before = [p.detach().clone() for p in made.params]
    if isinstance(value, torch.Tensor):
        value.zero_()
    else:
        made.optimizer.param_groups[0]["lr"] = 0.0
    made.step(1)
    torch.testing.assert_close([p.detach() for p in made.params], before, rtol=0, atol=0)


@pytest.mark.parametrize("steps", [1, 3])
def test_autograd_notices_a_step_between_forward_and_backward(steps):
    """As with torch's: what the forward pass kept is no longer what it was."""
    made = Trained(thalweg.optim.Adam)
    made.step(steps - 1)
    loss = (made.params[0] ** 2).sum()
    made.step(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_sparse_after_dense_and_dense_after_sparse():
    ends = []
    for sparse in (True, False):
        p = torch.ones(3, 2, requires_grad=True)
        optimizer = thalweg.optim.Adagrad([p])
        for step in range(6):
            gradient = torch.tensor([[1.0, -2.0], [0.0, 0.5], [0.0, 0.0]]) * (step + 1)
            p.grad = gradient.to_sparse() if sparse and step in (2, 3, 5) else gradient
            optimizer.step()
        ends.append(p.detach())
    assert torch.equal(*ends)


def test_copies_step_apart():
    made = Trained(thalweg.optim.Adam)
    made.step(2)
    twin = copy.deepcopy(made)
    twin.step(2)
    before = [p.detach().clone() for p in made.params]
    assert not torch.equal(before[0], twin.params[0])
    made.step(2)
    torch.testing.assert_close([p.detach() for p in made.params], [p.detach() for p in twin.params], rtol=0, atol=0)


def test_a_mask_holds_elements_at_zero():
    p = torch.ones(4, requires_grad=True)
    optimizer = thalweg.optim.AdamW([p], masked=True)
    optimizer.state[p]["mask"] = torch.tensor([0.0, 1.0, 0.0, 1.0])
    for _ in range(3):
        p.grad = torch.ones(4)
        optimizer.step()
    assert p.tolist()[::2] == [0.0, 0.0]
    assert 0 < p[1] == p[3] < 1
