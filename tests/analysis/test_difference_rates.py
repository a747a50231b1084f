"""How often a difference is found where there is none, and where there is one: fewer draws of what its module says."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from handwritten import confirmed, run, study
from numpy.typing import NDArray

from thalweg.analysis.difference import Difference, Told, difference

NOISE = 0.01
Table = NDArray[np.float64]


def told(table: Table, first_seed: int = 1000, samples: int = 10**9) -> Told:
    """table: [contenders, seeds], test accuracies on the seeds from `first_seed` on."""
    names = [f"o{i}" for i in range(len(table))]
    rounded = np.round(table * samples) / samples
    runs = [run(0.1, 0, 0.5, name) for name in names]
    for name, row in zip(names, rounded, strict=True):
        runs += [replace(r, seed=r.seed - 1000 + first_seed) for r in confirmed(name, row.tolist())]
    seeds = tuple(range(first_seed, first_seed + table.shape[1]))
    return replace(study(*names), confirmation_seeds=seeds, samples={"test": samples}), runs


def twice(
    rng: np.random.Generator, contenders: int, seeds: int, *, same: bool, samples: int, worse: float
) -> Difference:
    """Two studies of one truth, but that o0 is `worse` in the second, in units of the noise: an effect of the seed on
    all contenders, the same in both studies where the seeds are the `same`, and noise."""
    effects = rng.normal(0, NOISE, (2, 1, seeds))
    before, after = 0.8 + effects[[0, 0 if same else 1]] + rng.normal(0, NOISE, (2, contenders, seeds))
    after[0] -= worse * NOISE
    return difference(told(before, samples=samples), told(after, 1000 if same else 5000, samples))


def share(found: Callable[[Difference], bool], studies: int, contenders: int, seeds: int = 5, *, same: bool = True,
          samples: int = 10**9, worse: float = 0.0) -> float:  # fmt: skip
    rng = np.random.default_rng(contenders * 100 + seeds)
    made = (twice(rng, contenders, seeds, same=same, samples=samples, worse=worse) for _ in range(studies))
    return sum(map(found, made)) / studies


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("contenders", "seeds", "samples"), [(1, 5, 10**9), (4, 2, 360), (4, 5, 360)])
def test_where_nothing_changed_nothing_is_found(contenders: int, seeds: int, samples: int, same: bool) -> None:
    """In all but 5% of 600 pairs of studies, and two standard errors of that."""
    assert share(lambda d: d.significant, 600, contenders, seeds, same=same, samples=samples) <= 0.068


def test_separate_tests_would_find_something() -> None:
    """What holding all contenders to one rate is for: one of eight in a third of studies."""
    assert share(lambda d: any(c.p is not None and c.p < 0.05 for c in d.changes), 150, 8) > 0.2


@pytest.mark.parametrize(("contenders", "least"), [(1, 0.9), (5, 0.5)])
def test_a_planted_change_is_found(contenders: int, least: float) -> None:
    """Three standard deviations of the noise, on five seeds that both studies ran."""

    def told_worse(found: Difference) -> bool:
        return found.changes[0].significant and found.changes[0].direction == "worse"

    assert share(told_worse, 150, contenders, worse=3.0) >= least
