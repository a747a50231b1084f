"""Rows that share memory are told from those that do not, against a comparison of all pairs."""

from itertools import chain, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.execution.memory import Memory
from thalweg.execution.overlap import MOST, apart, batches, tangled

MEMORY = torch.zeros(64)
VIEWS = st.tuples(st.integers(0, 60), st.integers(0, 4)).map(lambda place: MEMORY[place[0] : place[0] + place[1]])
ROWS = st.lists(st.lists(VIEWS, min_size=2, max_size=4), min_size=1, max_size=8)


def elements(view):
    return set(range(view.storage_offset(), view.storage_offset() + view.numel()))


def conflict(row, other):
    """Whether one writes what the other reads or writes. The first tensor of a row is read."""
    touched, written = ([set().union(*map(elements, r[k:])) for r in (row, other)] for k in (0, 1))
    return bool(written[0] & touched[1] or written[1] & touched[0])


@given(ROWS)
@settings(max_examples=300, deadline=None)
def test_batches_hold_no_conflict_and_are_as_long_as_can_be(rows):
    found = [index.tolist() for index in batches(rows)]
    assert [*chain(*found)] == list(range(len(rows)))
    for batch in found:
        assert not any(conflict(rows[i], rows[j]) for i in batch for j in batch if i < j)
    for batch, after in pairwise(found):
        assert any(conflict(rows[i], rows[after[0]]) for i in batch) or any_within(rows)


def any_within(rows):
    """Whether a row is tangled with itself: then all are looked at one by one."""
    return any(tangled(row) for row in rows)


@given(st.lists(VIEWS, max_size=6))
@settings(max_examples=200, deadline=None)
def test_tangled(row):
    pairs = [(a, b) for i, a in enumerate(row) for b in row[i + 1 :]]
    assert tangled(row) == any(elements(a) & elements(b) for a, b in pairs)


@given(st.lists(VIEWS, max_size=6), st.lists(VIEWS, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_reads(written, read):
    memory = Memory(written, read)
    expected = any(elements(r) & elements(w) for r in read for w in written)
    assert [memory.begins(read) is None for _ in range(2)] == [expected] * 2
    assert memory.begins([torch.zeros(len(t)) for t in read]) is not None


@pytest.mark.parametrize(
    "other",
    [torch.ones(3).to_sparse(), torch.ones(3, device="meta"), torch._efficientzerotensor((3,)), torch.ones(0)],
    ids=["sparse", "meta", "zero", "empty"],
)
def test_without_memory_nothing_is_shared(other):
    assert len(batches([[other, other], [other, other]])) == 1


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6)), max_size=3))
@settings(max_examples=300, deadline=None)
def test_apart(dimensions):
    """Against the places of all elements."""
    shape, strides = ([d[i] for d in dimensions] for i in (0, 1))
    places = torch.arange(64).as_strided(shape, strides).flatten().tolist()
    assert apart(shape, strides) == (len(set(places)) == len(places))


def test_many_that_interleave_are_not_enumerated():
    assert apart([MOST + 1, 2], [2, 1])
    assert not apart([MOST + 1, 2], [3, 3 * MOST - 1])
    assert apart([0, 5], [0, 0])
