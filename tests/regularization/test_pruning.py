"""Which weights a mask prunes, against sorting in NumPy; and how many, at every step of a schedule."""

import numpy as np
import pytest
import torch

from thalweg.errors import InputError
from thalweg.regularization.mask_updates import Pruning
from thalweg.regularization.pruning import magnitudes, masks_of, prunable, pruned_count, random_scores, require_scope
from thalweg.regularization.sparsity import SparsitySchedule


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a.weight": (7, 12), "a.bias": (7,), "conv.weight": (5, 8, 3, 3), "b.weight": (3, 8)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    return {name: p for name, p in tensors(seed).items() if p.ndim > 1}


def test_the_cubic_schedule_over_four_updates() -> None:
    schedule = SparsitySchedule(0.8, begin=10, end=50, frequency=10)
    assert schedule.steps == [10, 20, 30, 40, 50]
    assert [schedule.at(step) for step in schedule.steps] == pytest.approx([0, 0.4625, 0.7, 0.7875, 0.8], abs=1e-15)
    assert [step for step in range(60) if schedule.updates(step)] == schedule.steps


def test_the_last_update_is_at_the_end_even_off_the_beat() -> None:
    schedule = SparsitySchedule(0.5, begin=3, end=10, frequency=4)
    assert schedule.steps == [3, 7, 10]
    assert schedule.at(10) == 0.5
    assert [s for s in range(12) if schedule.updates(s)] == [3, 7, 10]


def test_a_constant_schedule_is_there_at_once() -> None:
    schedule = SparsitySchedule(0.5, begin=2, end=6, frequency=2, kind="constant")
    assert [schedule.at(step) for step in schedule.steps] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("sparsity", [0.001, 0.37, 0.5, 0.8, 0.9999])
@pytest.mark.parametrize("repeated", [False, True])
def test_global_masks_equal_a_sort(sparsity: float, repeated: bool) -> None:
    given = {name: p.round() if repeated else p for name, p in weights().items()}  # many equal magnitudes
    masks = masks_of(magnitudes(given), sparsity)
    flat = np.concatenate([p.abs().numpy().ravel() for p in given.values()])
    expected = np.ones(len(flat), bool)
    expected[np.argsort(flat, kind="stable")[: round(sparsity * len(flat))]] = False
    assert np.array_equal(np.concatenate([m.numpy().ravel() for m in masks.values()]), expected)


def test_each_layer_has_its_own_share() -> None:
    masks = masks_of(magnitudes(weights()), 0.75, "layer")
    for name, p in weights().items():
        assert int((~masks[name]).sum()) == round(0.75 * p.numel())
        assert p.abs()[~masks[name]].max() <= p.abs()[masks[name]].min()


def test_two_of_every_four() -> None:
    masks = masks_of(magnitudes(weights()), 0.5, "2:4")
    for name, p in weights().items():
        kept = masks[name].movedim(1, -1).reshape(-1, 4).numpy()
        size = p.abs().movedim(1, -1).reshape(-1, 4).numpy()
        assert (kept.sum(1) == 2).all()
        assert all(set(np.argsort(row)[2:]) == set(np.flatnonzero(keep)) for row, keep in zip(size, kept, strict=True))


def test_two_of_four_on_the_way_never_exceeds_two() -> None:
    given = weights()
    before = masks_of(magnitudes(given), 0.3, "2:4")
    moved = {name: p + torch.randn_like(p) * before[name] for name, p in given.items()}
    after = masks_of(magnitudes(moved, before), 0.5, "2:4")
    for name in given:
        assert not (after[name] & ~before[name]).any()
        assert (after[name].movedim(1, -1).reshape(-1, 4).sum(1) == 2).all()


@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_what_is_pruned_stays_pruned_and_counts_are_exact(method: str) -> None:
    given = weights()
    pruning = Pruning(SparsitySchedule(0.8, 0, 20), method)
    total, masks = sum(p.numel() for p in given.values()), {n: torch.ones_like(p).bool() for n, p in given.items()}
    for step in range(21):
        given = {name: p + 0.3 * torch.randn_like(p) for name, p in given.items()}  # a pruned weight may look large
        new = pruning.masks(step, given, masks)
        assert not any((new[name] & ~masks[name]).any() for name in given)
        assert sum(int((~m).sum()) for m in new.values()) == pruned_count(total, pruning.schedule.at(step))
        masks = new


def test_random_masks_follow_the_seed_alone() -> None:
    first, again, other = (masks_of(random_scores(weights(w), seed), 0.5) for w, seed in ((0, 1), (5, 1), (0, 2)))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_what_is_pruned_by_default_and_by_pattern() -> None:
    assert prunable(tensors()) == ["a.weight", "conv.weight", "b.weight"]
    assert prunable(tensors(), ["conv.*"]) == ["a.weight", "b.weight"]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"final": 1.0}, r"sparsity must be a number in \(0, 1\), got 1.0."),
        ({"final": 0}, r"sparsity must be a number in \(0, 1\), got 0."),
        ({"end": 4}, "end must be above begin, 5, got 4."),
        ({"end": 4, "kind": "constant"}, "end must be at least begin, 5, got 4."),
        ({"frequency": 0}, "frequency must be a whole number in"),
        ({"begin": -1}, "begin must be a whole number in"),
        ({"kind": "linear"}, "schedule must be one of cubic, constant, got 'linear'."),
    ],
)
def test_bad_schedules_are_refused(bad: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SparsitySchedule(**{"final": 0.5, "begin": 5, "end": 9, **bad})


def test_bad_choices_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"exclude must name a parameter or match some, got 'c.\*'; there are a.weight"
    ):
        prunable(tensors(), ["c.*"])
    with pytest.raises(InputError, match="Nothing is left to prune"):
        prunable(tensors(), ["*"])
    with pytest.raises(InputError, match=r"'a\.weight' has 6 inputs: exclude it by its name"):
        require_scope("2:4", 0.5, {"a.weight": torch.zeros(3, 6)})
    with pytest.raises(InputError, match=r"sparsity of scope='2:4' must be 0\.5, got 0\.8"):
        require_scope("2:4", 0.8, {})
    with pytest.raises(InputError, match="scope must be one of global, layer, 2:4, got 'all'"):
        require_scope("all", 0.5, {})
    with pytest.raises(InputError, match="method must be one of magnitude, random"):
        Pruning(SparsitySchedule(0.5, 0, 4), "taylor")
