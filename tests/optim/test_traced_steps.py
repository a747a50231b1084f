"""A step that torch follows, to trace or to count, is made of operations that are seen; nothing moves unseen."""

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import thalweg.optim
from optim.trained import fitted
from scope import typical
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins

every_class = pytest.mark.parametrize("name", typical(drop_ins()))


def first_step(cls, p, g):
    optimizer = cls([p], lr=0.125)
    p.grad = g
    optimizer.step()
    return p


def expected(cls, value):
    return first_step(cls, torch.full((1, 3), value), torch.tensor([[1.0, -0.5, 0.25]]))


@every_class
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_a_traced_step_is_in_the_graph(name, mode):
    cls, g = drop_ins()[name], torch.tensor([[1.0, -0.5, 0.25]])
    graph = make_fx(lambda p, g: first_step(cls, p, g), tracing_mode=mode)(torch.ones(1, 3), g)
    torch.testing.assert_close(graph(torch.full((1, 3), 5.0), g), expected(cls, 5.0), rtol=1e-6, atol=1e-6)


@every_class
@pytest.mark.parametrize("transform", [torch.func.functionalize, torch.func.vmap], ids=lambda f: f.__name__)
def test_under_a_transform_of_functions(name, transform):
    cls, g = drop_ins()[name], torch.tensor([[1.0, -0.5, 0.25]])
    many = (lambda x: x[None]) if transform is torch.func.vmap else (lambda x: x)
    found = transform(lambda p, g: first_step(cls, p, g) + 0)(many(torch.full((1, 3), 5.0)), many(g))
    torch.testing.assert_close(found.view(1, 3), expected(cls, 5.0), rtol=1e-6, atol=1e-6)


@every_class
@pytest.mark.parametrize("when", [(0, 1, 2, 3, 4, 5), (3,), (0, 5)], ids=str)
def test_steps_that_are_counted_are_steps(name, when):
    """A mode may come and go: the state goes on."""
    ends = []
    for counting in (when, ()):
        p = nn.Parameter(torch.linspace(1, 2, 6, dtype=torch.float64).view(2, 3))
        optimizer = drop_ins()[name]([p], lr=0.01)
        for step in range(7):
            p.grad = torch.cos(torch.arange(6, dtype=torch.float64) + step).view(2, 3)
            if step in counting:
                with FlopCounterMode(display=False):
                    optimizer.step()
            else:
                optimizer.step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


@every_class
def test_fake_tensors_make_states_of_their_shapes(name):
    cls = drop_ins()[name]
    with FakeTensorMode():
        model = nn.Linear(3, 2)
        optimizer = cls(fitted(cls, [*model.parameters()]))
        for _ in range(2):
            model(torch.ones(1, 3)).sum().backward()
            optimizer.step()
    for p in model.parameters():
        for state, value in optimizer.state[p].items():
            assert value.shape in (p.shape, torch.Size([]), torch.Size([len(p), 1])), state


def test_sparse_gradients_under_a_mode():
    ends = []
    for counting in (True, False):
        torch.manual_seed(0)
        words = nn.Embedding(5, 2, sparse=True)
        optimizer = thalweg.optim.Adam(words.parameters(), lr=0.1)
        for step in range(4):
            optimizer.zero_grad()
            words(torch.tensor([step, 1])).square().sum().backward()
            if counting and step > 1:
                with FlopCounterMode(display=False):
                    optimizer.step()
            else:
                optimizer.step()
        ends.append(words.weight.detach())
    torch.testing.assert_close(*ends)


class SteppedWithin(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.optimizer = thalweg.optim.SGD([self.weight], lr=0.5)

    def forward(self, x):
        self.weight.grad = x * 1
        self.optimizer.step()
        return self.weight * 1


def test_export_is_refused():
    """It would leave the update out, also of torch's own optimizers, without a word."""
    with pytest.raises(InputError, match=r"SGD cannot step within torch\.export"):
        torch.export.export(SteppedWithin(), (torch.ones(2),), strict=False)


def test_a_gradient_without_memory():
    for cls in (thalweg.optim.SGD, thalweg.optim.Adam):
        p = nn.Parameter(torch.ones(4))
        optimizer = cls([p], lr=0.1)
        for step in range(6):
            p.grad = torch._efficientzerotensor((4,)) if step % 2 else torch.zeros(4)
            optimizer.step()
        assert p.tolist() == [1.0] * 4
