"""A check that a metric depends on its arguments only: one that accumulates over calls would mix the runs."""

import math
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map

from thalweg.errors import InputError
from thalweg.population.program.randomness import SeededRandomness
from thalweg.workloads.metrics import Metric
from thalweg.workloads.objective import Objective

CLOSE = 1e-6  # relative: the order of summation may vary


def require_repeatable(objective: Objective, outputs: Any, targets: Tensor) -> None:
    """Raises `InputError` if a metric's value for the same arguments changes after a call with half of them.

    An object is copied for every call; state in a function's closure or in a global is shared by all calls.
    """
    for metric in (objective.metric, *objective.also):
        _require_repeatable(objective, metric, outputs, targets)


def _require_repeatable(objective: Objective, metric: Metric, outputs: Any, targets: Tensor) -> None:
    half = len(targets) // 2
    try:
        before = _asked(objective, metric, outputs, targets)
        _asked(objective, metric, tree_map(lambda o: o[:half] if o.ndim else o, outputs), targets[:half])
        after = _asked(objective, metric, outputs, targets)
    except Exception:  # it may not take so few samples; errors on a whole split are reported elsewhere
        return
    if not (math.isclose(before, after, rel_tol=CLOSE) or (math.isnan(before) and math.isnan(after))):
        raise InputError(
            f"The metric {metric.name!r} gives {before:.6g} and then {after:.6g} for the same outputs and"
            " targets: it must go by these alone; where it keeps what it was given, make it an object, of which every"
            " call has a copy."
        )


def _asked(objective: Objective, metric: Metric, outputs: Any, targets: Tensor) -> float:
    """The metric's value, with the same torch random numbers at each call."""
    with SeededRandomness(0, 0):
        return objective.value_of(metric, outputs, targets)
