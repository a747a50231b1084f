"""Which optimizer, at which learning rate, should I use? Exact optimizers, and the laboratory that compares them.

`thalweg.compare(workload)` compares; `thalweg.optim` has the optimizers, `thalweg.schedules` the learning rate
schedules, `thalweg.sparse` what prunes models. torch is loaded when one of these is first used, not for stored studies.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg import optim, schedules, sparse
    from thalweg.api.checking import check
    from thalweg.api.comparison import compare
    from thalweg.api.distillation_result import Distillation
    from thalweg.api.distilled import distilled
    from thalweg.api.distilling import distill
    from thalweg.api.ensemble import Ensemble
    from thalweg.api.ensembling import ensemble
    from thalweg.api.range_result import RangeTest
    from thalweg.api.range_test import find_lr
    from thalweg.api.result import Result, stored
    from thalweg.api.resumption import resume
    from thalweg.api.sparsify import sparsify
    from thalweg.api.sparsity_result import SparsityStudy
    from thalweg.api.studies import Studies
    from thalweg.errors import InputError
    from thalweg.population.program.randomness import SeededRandomness
    from thalweg.regularization import distillation, weight_averaging
    from thalweg.regularization.stopping import EarlyStopping
    from thalweg.rules.contract import rule
    from thalweg.studies.contenders import Contender
    from thalweg.workloads.image_folder import image_folder
    from thalweg.workloads.initialization import initialize
    from thalweg.workloads.metrics import Metric
    from thalweg.workloads.parameter_groups import Scaled
    from thalweg.workloads.reuse import fitting, reuse
    from thalweg.workloads.stream import Stream
    from thalweg.workloads.tables import table
    from thalweg.workloads.workload import Workload

__version__ = "0.1.0"
__all__ = [
    "Contender",
    "Distillation",
    "EarlyStopping",
    "Ensemble",
    "InputError",
    "Metric",
    "RangeTest",
    "Result",
    "Scaled",
    "SeededRandomness",
    "SparsityStudy",
    "Stream",
    "Studies",
    "Workload",
    "__version__",
    "check",
    "compare",
    "distill",
    "distillation",
    "distilled",
    "ensemble",
    "find_lr",
    "fitting",
    "image_folder",
    "initialize",
    "optim",
    "resume",
    "reuse",
    "rule",
    "schedules",
    "sparse",
    "sparsify",
    "stored",
    "table",
    "weight_averaging",
]

_HOMES = {
    "Contender": "thalweg.studies.contenders",
    "Distillation": "thalweg.api.distillation_result",
    "Ensemble": "thalweg.api.ensemble",
    "EarlyStopping": "thalweg.regularization.stopping",
    "InputError": "thalweg.errors",
    "Metric": "thalweg.workloads.metrics",
    "RangeTest": "thalweg.api.range_result",
    "Result": "thalweg.api.result",
    "Scaled": "thalweg.workloads.parameter_groups",
    "SeededRandomness": "thalweg.population.program.randomness",
    "SparsityStudy": "thalweg.api.sparsity_result",
    "Stream": "thalweg.workloads.stream",
    "Studies": "thalweg.api.studies",
    "Workload": "thalweg.workloads.workload",
    "check": "thalweg.api.checking",
    "compare": "thalweg.api.comparison",
    "distill": "thalweg.api.distilling",
    "distilled": "thalweg.api.distilled",
    "ensemble": "thalweg.api.ensembling",
    "find_lr": "thalweg.api.range_test",
    "fitting": "thalweg.workloads.reuse",
    "reuse": "thalweg.workloads.reuse",
    "image_folder": "thalweg.workloads.image_folder",
    "initialize": "thalweg.workloads.initialization",
    "resume": "thalweg.api.resumption",
    "sparsify": "thalweg.api.sparsify",
    "stored": "thalweg.api.result",
    "rule": "thalweg.rules.contract",
    "table": "thalweg.workloads.tables",
}


def __getattr__(name: str) -> Any:
    if name in ("optim", "schedules", "sparse"):
        return importlib.import_module(f"thalweg.{name}")
    if name in ("distillation", "weight_averaging"):
        return importlib.import_module(f"thalweg.regularization.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'thalweg' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
