"""Where a step's tensors begin is told as Python tells it, and only where all look and lie as they may."""

import numpy as np
import pytest
import torch

from thalweg.execution import data_pointers
from thalweg.execution.memory import Memory

SHAPES = ((3, 5), (1,), (), (4, 1), (2, 3, 2), (0,))


@pytest.fixture(params=[True, False], ids=["in C", "in Python"], autouse=True)
def asked(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(data_pointers, "functions", lambda: np.zeros(len(data_pointers.ASKED), np.int64))
    else:
        assert data_pointers.functions().all(), "this torch is expected to have them"


def tensors(dtype=torch.float32):
    return [torch.ones(shape, dtype=dtype) for shape in SHAPES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int16, torch.uint8])
def test_others_that_look_the_same(dtype):
    memory = Memory([], tensors(dtype))
    for _ in range(3):
        others = tensors(dtype)
        assert memory.begins(others).tolist() == [tensor.data_ptr() for tensor in others]


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
}


@pytest.mark.parametrize("different", DIFFERENT)
def test_one_that_looks_different(different, capfd):
    memory = Memory([], tensors())
    assert memory.begins([DIFFERENT[different], *tensors()[1:]]) is None
    assert memory.begins(tensors()[1:]) is None
    assert memory.begins(tensors()) is not None
    assert capfd.readouterr() == ("", "")


def test_a_negated_number():
    memory = Memory([], [torch.ones(())])
    assert memory.begins([torch.ones((), dtype=torch.complex64).conj().imag]) is None


def test_strides_of_single_elements_do_not_matter():
    memory = Memory([], [torch.ones(4, 1)])
    assert memory.begins([torch.ones(1, 4).t()]) is not None


def moved(tensor):
    tensor.data = tensor.data.clone()


def shared(tensor):
    tensor.share_memory_()


def resized(tensor):
    tensor.resize_(1000)


@pytest.mark.parametrize("move", [moved, shared, resized])
def test_one_that_moves(move):
    fixed = tensors()
    memory = Memory(fixed, [])
    assert memory.begins([]) is not None
    move(fixed[2])
    assert memory.begins([]) is None


def test_what_is_written_stays_alive():
    memory = Memory(tensors(), [])
    [torch.zeros(1000) for _ in range(10)]
    assert memory.begins([]) is not None


def test_a_written_number_that_is_negated_in_its_place():
    number = torch.ones(1, dtype=torch.complex64).imag
    memory = Memory([number], [])
    number.data = torch._neg_view(number.data)
    assert memory.begins([]) is None


def test_nothing():
    assert Memory([], []).begins([]).tolist() == []


def test_written_memory_is_not_read():
    """In whatever order they come: what was refused once is looked at again."""
    held, apart = torch.ones(8), torch.ones(4)
    memory = Memory([held[2:5]], [torch.ones(4)])
    for read, fits in [(held[:4], False), (held[:4], False), (apart, True), (held[4:], False), (apart, True)]:
        assert (memory.begins([read]) is not None) == fits


def test_what_shares_memory_is_told():
    held = torch.ones(8)
    assert Memory([held[:4], held[3:]], []).shared
    assert not Memory([held[:4], held[4:]], []).shared
