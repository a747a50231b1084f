"""Whether a metric answers alike when it is asked again: one that keeps what it was given would mix the runs."""

import math
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map

from thalweg.errors import InputError
from thalweg.population.program.randomness import SeededRandomness
from thalweg.population.training.pieces import number
from thalweg.workloads.metrics import Metric

CLOSE = 1e-6  # relative: sums may be added in another order


def require_repeatable(metric: Metric, outputs: Any, targets: Tensor) -> None:
    """Raises `InputError` where a metric gives another number for the same, once it saw half of it in between.

    Of an object every call has a copy; a function that keeps something in a closure or a global has one for all.
    """
    half = len(targets) // 2
    try:
        before = _asked(metric, outputs, targets)
        _asked(metric, tree_map(lambda o: o[:half], outputs), targets[:half])
        after = _asked(metric, outputs, targets)
    except Exception:  # not made for as few samples: what fails on a whole split is said elsewhere
        return
    if not (math.isclose(before, after, rel_tol=CLOSE) or (math.isnan(before) and math.isnan(after))):
        raise InputError(
            f"The metric {metric.name!r} gives {before:.6g} and then {after:.6g} for the same outputs and targets: it"
            " must go by these alone; where it keeps what it was given, make it an object, of which every call has a"
            " copy."
        )


def _asked(metric: Metric, outputs: Any, targets: Tensor) -> float:
    """Whatever it draws of torch is drawn alike."""
    with SeededRandomness(0, 0):
        return number(metric, outputs, targets)
