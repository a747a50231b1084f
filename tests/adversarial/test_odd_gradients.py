"""Gradients of unusual layouts, storage and kinds: as with torch."""

import pytest
import torch

from adversarial.adversary import parameters, same

few = pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam"])


def dense(*shapes):
    return lambda: parameters(shapes=shapes)


def expanded(p, g):
    return g.sum().expand_as(p)


def reversed_strides(p, g):
    return g.t().contiguous().t()


def part_of_a_batch(p, g):
    return torch.stack([g, -g])[0]


def every_other(p, g):
    return torch.stack([g, -g], -1)[..., 0]


def requiring_a_gradient(p, g):
    return (g * p).detach().requires_grad_() * 1.0


def a_parameter(p, g):
    return torch.nn.Parameter(g)


def of_the_parameter(p, g):
    return p.detach()


def conjugated(p, g):
    return torch.complex(g, g).conj().imag


def of_a_subclass(p, g):
    return g.as_subclass(Mine)


class Mine(torch.Tensor):
    pass


GRADIENTS = [expanded, reversed_strides, part_of_a_batch, every_other, requiring_a_gradient, a_parameter]
GRADIENTS += [of_the_parameter, conjugated, of_a_subclass]


@few
@pytest.mark.parametrize("kind", GRADIENTS, ids=lambda kind: kind.__name__)
def test_kinds_of_gradients_in_turn(name, kind):
    """Every other step plain ones, so that what was prepared meets the other kind."""

    def act(run):
        for step in range(6):
            run.fill()
            for p in run.params if step % 2 else ():
                p.grad = kind(p, p.grad)
            run.optimizer.step()

    options = {"weight_decay": 0.0} if kind is of_the_parameter else {}  # torch decays what is its gradient, too
    same(name, act, make=dense((3, 5), (1, 1)), **options)


@few
def test_one_gradient_of_two_parameters(name):
    def act(run):
        for _ in range(4):
            run.fill()
            run.params[1].grad = run.params[0].grad
            run.optimizer.step()

    same(name, act, make=dense((3, 5), (3, 5), (2,)))


@few
def test_a_gradient_that_is_another_parameter(name):
    """Stepped first, that is read as it has become, as by torch one parameter at a time."""

    def act(run):
        for _ in range(4):
            run.fill()
            run.params[1].grad = run.params[0].data
            run.optimizer.step()

    same(name, act, make=dense((3, 5), (3, 5), (2,)))


@few
def test_a_gradient_that_is_a_moment_of_another(name):
    def act(run):
        run.step(2)
        key = next(k for k, v in run.optimizer.state[run.params[0]].items() if torch.is_tensor(v) and v.dim())
        for _ in range(3):
            run.fill()
            run.params[1].grad = run.optimizer.state[run.params[0]][key]
            run.optimizer.step()

    same(name, act, make=dense((3, 5), (3, 5), (2,)))
