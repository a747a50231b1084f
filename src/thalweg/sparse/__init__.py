"""Sparse models in a loop of one's own: pruning while training, in one shot, and export with real zeros.

`Pruner` prunes while any optimizer trains; `magnitude`, `random` and `threshold` prune a model at once; `report` counts
the zeros of each layer; `export` and `load` write and read them as they are; `timing` measures what inference takes.
"""

from thalweg.sparse.export import Exported, export, load
from thalweg.sparse.layers import LayerSparsity, SparsityReport, report
from thalweg.sparse.one_shot import magnitude, random, threshold
from thalweg.sparse.pruner import Pruner
from thalweg.sparse.timing import SparseTiming, timing

__all__ = [
    "Exported",
    "LayerSparsity",
    "Pruner",
    "SparseTiming",
    "SparsityReport",
    "export",
    "load",
    "magnitude",
    "random",
    "report",
    "threshold",
    "timing",
]
