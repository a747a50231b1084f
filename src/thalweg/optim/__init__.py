"""`torch.optim` drop-ins derived from the rules: `from thalweg.optim import Adam`. No arithmetic here.

Every optimizer of the catalogue that declares a drop-in is a class here, created on first access.
"""

from typing import Any

from thalweg.optim.classes import drop_in, drop_ins
from thalweg.optim.functional import Functional, functional
from thalweg.optim.group_keys import UnknownGroupKey
from thalweg.optim.interop.translation import translate
from thalweg.optim.optimizer import Optimizer
from thalweg.optim.regularizers import constrain_norms, penalty, proximal_step
from thalweg.optim.stepping.diagnostics import (
    CoupledDecay,
    EpsilonDominates,
    LostUpdates,
    OptimizerWarning,
    ZeroLearningRate,
)
from thalweg.workloads.parameter_groups import adamw_rest, grouped, layerwise, undecayed
from thalweg.workloads.regularized_groups import regularized

__all__ = [
    "CoupledDecay",
    "EpsilonDominates",
    "Functional",
    "LostUpdates",
    "Optimizer",
    "OptimizerWarning",
    "UnknownGroupKey",
    "ZeroLearningRate",
    "adamw_rest",
    "constrain_norms",
    "drop_in",
    "functional",
    "grouped",
    "layerwise",
    "penalty",
    "proximal_step",
    "regularized",
    "translate",
    "undecayed",
]


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in drop_ins():
        raise AttributeError(f"module 'thalweg.optim' has no attribute {name!r}; it has {', '.join(drop_ins())}.")
    return drop_ins()[name]


def __dir__() -> list[str]:
    return [*__all__, *drop_ins()]
