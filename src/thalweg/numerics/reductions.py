"""Reductions over the elements of a parameter, or of all parameters. Each is a row value: one number per tensor.

In a traced rule a reduction is a symbol, at which the program is cut: a pass over the elements that measures it comes
before the pass that uses it. Sums are carried in float64.
"""

from typing import Any

from thalweg.numerics.functions import Value
from thalweg.numerics.symbol import Symbol

REDUCTIONS = ("norm", "mean", "global_norm")
"""Operations of symbols that reduce elements to a row value."""


def norm(x: Value) -> Value:
    """√Σx² over the elements of one parameter tensor."""
    return _symbol("norm", x) if isinstance(x, Symbol) else _norm(x)


def mean(x: Value) -> Value:
    """The mean over the elements of one parameter tensor; 0 of a tensor without elements."""
    if isinstance(x, Symbol):
        return _symbol("mean", x)
    return x.double().sum() / max(1, x.numel()) if hasattr(x, "numel") else x


def global_norm(x: Value, name: str) -> Value:
    """√Σx² over the elements of all parameters of the optimizer, or of the member. One tensor by itself counts as all.

    x may not depend on another reduction. name: those of param groups with different settings are one by their name.
    """
    return _symbol("global_norm", x, name) if isinstance(x, Symbol) else _norm(x)


def _symbol(op: str, x: Symbol, name: str = "") -> Symbol:
    if x.row:
        raise TypeError(f"{op} reduces values with elements (gradient, parameter, state), not a row value.")
    return Symbol(op, x, name=name, row=True)


def _norm(x: Any) -> Any:
    if not hasattr(x, "numel"):
        return abs(x)
    import torch

    return torch.linalg.vector_norm(x, dtype=torch.float64 if x.is_floating_point() else torch.complex128)
