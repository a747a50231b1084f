"""Where tensors begin in memory is told as Python tells it, and only for tensors that look as they did."""

import numpy as np
import pytest
import torch

from thalweg.recipes.execution import addresses
from thalweg.recipes.execution.addresses import Like, Pinned

SHAPES = ((3, 5), (1,), (), (4, 1), (2, 3, 2), (0,))


@pytest.fixture(params=[True, False], ids=["in C", "in Python"], autouse=True)
def asked(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(addresses, "_functions", lambda: np.zeros(len(addresses.ASKED), np.int64))
    else:
        assert addresses._functions().all(), "this torch is expected to have them"


def tensors(dtype=torch.float32):
    return [torch.ones(shape, dtype=dtype) for shape in SHAPES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int16, torch.uint8])
def test_others_that_look_the_same(dtype):
    like = Like(tensors(dtype))
    for _ in range(3):
        others = tensors(dtype)
        assert like.addresses(others).tolist() == [tensor.data_ptr() for tensor in others]


class Another(torch.Tensor):
    """Of another class."""


DIFFERENT = {
    "shape": torch.ones(5, 3),
    "dimensions": torch.ones(15),
    "strides": torch.ones(5, 3).t(),
    "gaps": torch.ones(3, 10)[:, ::2],
    "one number": torch.ones(1, 1).expand(3, 5),
    "dtype": torch.ones(3, 5, dtype=torch.bfloat16),
    "sparse": torch.ones(3, 5).to_sparse(),
    "meta": torch.ones(3, 5, device="meta"),
    "negated": torch.ones(3, 5, dtype=torch.complex64).conj().imag,
    "class": torch.ones(3, 5).as_subclass(Another),
    "none": None,
}


@pytest.mark.parametrize("different", DIFFERENT)
def test_one_that_looks_different(different, capfd):
    like = Like(tensors())
    assert like.addresses([DIFFERENT[different], *tensors()[1:]]) is None
    assert like.addresses(tensors()[1:]) is None
    assert like.addresses(tensors()) is not None
    assert capfd.readouterr() == ("", "")


def test_a_negated_number():
    like = Like([torch.ones(())])
    assert like.addresses([torch.ones((), dtype=torch.complex64).conj().imag]) is None


def test_strides_of_single_elements_do_not_matter():
    like = Like([torch.ones(4, 1)])
    assert like.addresses([torch.ones(1, 4).t()]) is not None


def moved(tensor):
    tensor.data = tensor.data.clone()


def shared(tensor):
    tensor.share_memory_()


def resized(tensor):
    tensor.resize_(1000)


@pytest.mark.parametrize("move", [moved, shared, resized])
def test_one_that_moves(move):
    fixed = tensors()
    held = Pinned(fixed)
    assert not held.changed()
    move(fixed[2])
    assert held.changed()


def test_what_is_fixed_stays_alive():
    held = Pinned(tensors())
    [torch.zeros(1000) for _ in range(10)]
    assert not held.changed()


def test_nothing():
    assert not Pinned([]).changed()
    assert Like([]).addresses([]).tolist() == []
