"""Whatever a parameter's memory looks like: layouts, low precision, emptiness, size."""

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import fitted
from scope import typical
from thalweg.execution import reference
from thalweg.optim.classes import drop_ins

every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=list(drop_ins()))


LAYOUTS = {
    "transposed": lambda: torch.linspace(-1, 1, 24, dtype=torch.float64).view(4, 6).t(),
    "channels last": lambda: (
        torch.linspace(-1, 1, 48, dtype=torch.float64).view(2, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    ),
    "every second": lambda: torch.linspace(-1, 1, 24, dtype=torch.float64)[::2],
    "expanded row": lambda: torch.linspace(-1, 1, 24, dtype=torch.float64).view(4, 6)[:, 1:3],
}


@pytest.mark.parametrize("own_layout", [True, False], ids=["gradient alike", "gradient contiguous"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cls", [thalweg.optim.Adam, thalweg.optim.NAdam])
def test_layouts(cls, layout, own_layout):
    strided = LAYOUTS[layout]().requires_grad_()
    dense = LAYOUTS[layout]().contiguous().requires_grad_()
    strides = strided.stride()
    optimizer = cls([strided, dense], lr=0.1)
    for i in range(3):
        gradient = torch.sin(dense.detach() * (i + 5)).contiguous()
        strided.grad = torch.empty_like(strided).copy_(gradient) if own_layout else gradient
        dense.grad = gradient.clone()
        optimizer.step()
    assert strided.stride() == strides
    torch.testing.assert_close(strided.detach(), dense.detach(), rtol=1e-14, atol=1e-15)


def refuse(*_):
    raise AssertionError("not to be taken here")


@pytest.mark.parametrize("own_layout", [True, False], ids=["gradient alike", "gradient contiguous"])
@pytest.mark.parametrize("layout", ["transposed", "channels last"])
def test_dense_layouts_take_the_compiled_pass(layout, own_layout, monkeypatch):
    monkeypatch.setattr(reference.ReferenceRows, "update", refuse)
    p = LAYOUTS[layout]().requires_grad_()
    p.grad = torch.ones_like(p) if own_layout else torch.ones(p.shape, dtype=p.dtype)
    thalweg.optim.Adam([p]).step()


def test_what_lies_between_the_elements_is_left_alone():
    memory, gradients = torch.ones(10), torch.ones(10)
    p = memory[::2].requires_grad_()
    p.grad = gradients[::2]
    assert p.grad.stride() == p.stride() == (2,)
    thalweg.optim.SGD([p], lr=0.5).step()
    assert memory.tolist() == [0.5, 1.0] * 5


def test_state_in_another_layout():
    """A checkpoint of a contiguous parameter, loaded for one that is transposed."""
    ends = []
    for transposed in (False, True):
        p = torch.ones(4, 6, requires_grad=True)
        optimizer = thalweg.optim.Adam([p])
        p.grad = torch.arange(24.0).view(4, 6)
        optimizer.step()
        after = p.detach().t().contiguous().t() if transposed else p.detach()
        after.requires_grad_()
        loaded = thalweg.optim.Adam([after])
        loaded.load_state_dict(optimizer.state_dict())
        after.grad = torch.arange(24.0).view(4, 6) - 12
        loaded.step()
        ends.append(after.detach())
    torch.testing.assert_close(*ends)


def test_a_dense_parameter_with_a_strided_gradient():
    ends = []
    for strided in (False, True):
        p = torch.zeros(4, 6, requires_grad=True)
        gradient = torch.arange(24.0).view(6, 4).t()
        p.grad = gradient if strided else gradient.contiguous()
        thalweg.optim.Adam([p]).step()
        ends.append(p.detach())
    assert torch.equal(*ends)


LOW = [(cls, torch.float16) for cls in drop_ins().values()]  # by torch's operators: nothing is compiled for it
LOW += [(cls, torch.bfloat16) for cls in typical(drop_ins()).values()]


@pytest.mark.parametrize(("cls", "dtype"), LOW, ids=str)
def test_low_precision_parameters_move_downhill(cls, dtype):
    p = torch.zeros(2, 2, dtype=dtype, requires_grad=True)
    optimizer = cls([p])
    for _ in range(3):
        p.grad = torch.tensor([[1.0, -1.0], [2.0, 0.5]], dtype=dtype)  # the signs of the nearest orthogonal one
        optimizer.step()
    assert p.dtype == dtype
    assert torch.equal(p.sign(), -p.grad.sign())


@every_class
def test_empty_parameters(cls):
    empty, scalar = torch.zeros(0, 3, requires_grad=True), torch.tensor(0.0, requires_grad=True)
    empty.grad, scalar.grad = torch.zeros(0, 3), torch.tensor(1.0)
    optimizer = cls(fitted(cls, [empty, scalar]))
    for _ in range(2):  # a first step may only look, as ADOPT's does
        optimizer.step()
    assert empty.shape == (0, 3)
    assert scalar.item() < 0
    alone = cls(fitted(cls, [torch.zeros(0, requires_grad=True)]))
    alone.param_groups[0]["params"][0].grad = torch.zeros(0)
    alone.step()


@pytest.fixture
def threads():
    """Sets the number of threads; afterwards it is what it was."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_several_threads_compute_the_same(threads, dtype):
    size = (1 << 18) + 12345  # several threads from 2^18 elements, in blocks of which the last is short
    gradients = [torch.sin(torch.arange(size, dtype=dtype) * (i + 1)) for i in range(3)]
    ends = []
    for count in (1, 2):
        threads(count)
        parts = [torch.linspace(-1, 1, size, dtype=dtype).requires_grad_(), torch.ones(3, dtype=dtype).requires_grad_()]
        optimizer = thalweg.optim.Adam(parts, lr=0.1, weight_decay=0.01)
        for g in gradients:
            parts[0].grad, parts[1].grad = g, g[:3].clone() if optimizer.state else None  # steps of their own
            optimizer.step()
        ends.append(torch.cat([p.detach() for p in parts]))
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(*ends, rtol=50 * eps, atol=50 * eps)  # block ends may round a fused product once less


def test_mixed_dtypes_in_one_group():
    parts = [torch.ones(3, dtype=dtype, requires_grad=True) for dtype in (torch.float32, torch.float64, torch.bfloat16)]
    for p in parts:
        p.grad = torch.ones_like(p)
    thalweg.optim.SGD(parts, lr=0.25, momentum=0.5).step()
    assert all(p.tolist() == [0.75] * 3 for p in parts)


class Wrapped(torch.Tensor):
    """A tensor of another class."""


def test_tensors_of_other_classes_take_the_reference(monkeypatch):
    from thalweg.execution import compiled

    p = torch.ones(3).as_subclass(Wrapped).requires_grad_()
    p.grad = torch.ones(3).as_subclass(Wrapped)
    monkeypatch.setattr(compiled, "prepare", refuse)
    optimizer = thalweg.optim.SGD([p], lr=0.5)
    for _ in range(3):
        optimizer.step()
    assert p.tolist() == [-0.5] * 3


def test_gradients_that_are_views_with_a_sign():
    p = nn.Parameter(torch.ones(1))
    z = torch.complex(torch.zeros(1), p)
    (z.conj() * torch.complex(torch.ones(1), torch.full((1,), 2.0))).real.sum().backward()
    assert p.grad.is_neg()
    optimizer = thalweg.optim.SGD([p], lr=1.0)
    optimizer.step()
    assert p.item() == -1.0
    optimizer.step()
    assert p.item() == -3.0
    c = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    c.conj().abs().sum().backward()
    thalweg.optim.SGD([c], lr=1.0).step()
    assert torch.equal(c.detach(), torch.zeros(3, dtype=torch.complex64))
