"""Sparse gradients: a step updates only those rows of the tensor that they touch.

With several sparse dimensions, as of `torch.gather(…, sparse_grad=True)`, a row is the part of the tensor at one index;
a step with units, such as with `max_norm`, updates whole rows of the first dimension, since these are the units.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.elements import Elements
from thalweg.numerics.symbol import Symbol
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.options import OPTIONS
from thalweg.recipes.trace import Program, trace

EVERYWHERE = ("weight_decay", "lookahead_steps", "ema_decay", "masked")
WHOLE = ("centralize", "clip_adaptive", "cautious")


def require(owner: str, structure: StepVariant, *, in_8_bits: bool) -> None:
    """Raises `InputError` where the rule or its options do not allow a step of some rows only."""
    if structure.rule.sparse_unsupported:
        raise InputError(
            f"{owner} takes dense gradients only, as {structure.rule.sparse_unsupported}; create the embedding with"
            " sparse=False."
        )
    own = structure.rule.hyperparameters
    moving = next((option for option in EVERYWHERE if structure.has(option) and option not in own), None)
    whole = next((option for option in WHOLE if structure.has(option)), None)
    why = "acts on rows that have no gradient, too" if moving else "needs whole gradients"
    option = moving or whole or ("state_dtype='8bit'" if in_8_bits else None)
    if option:
        raise InputError(
            f"{owner} takes sparse gradients without {option} only, which {why}; leave it out in that parameter's"
            " group, or create the embedding with sparse=False."
        )


def touched(elements: Elements, *, units: bool) -> tuple[Elements, Callable[[], None]]:
    """Copies of the rows that a coalesced gradient touches, and a function that writes them back after the step.

    units: whether the step needs whole units.
    """
    where, g = tuple(elements.g.indices()), elements.g.values()
    if units and len(where) > 1:
        where, g = _by_units(where, g, elements.g.shape)
    held = (elements.p, *elements.states, *([] if elements.residual is None else [elements.residual]))
    p, *others = rows = [tensor.detach()[where] for tensor in held]
    residual = None if elements.residual is None else others.pop()

    def put_back() -> None:
        for tensor, values in zip(held, rows, strict=True):
            tensor.detach()[where] = values

    return replace(elements, g=g, p=p, states=tuple(others), residual=residual), put_back


def _by_units(where: tuple[Tensor, ...], values: Tensor, shape: torch.Size) -> tuple[tuple[Tensor, ...], Tensor]:
    """The touched indices of the first dimension, and the gradient there `[indices, …]`, 0 where none is stored."""
    rows, position = torch.unique(where[0], return_inverse=True)
    g = values.new_zeros(len(rows), *shape[1:])
    g[(position, *where[1:])] = values
    return (rows,), g


def steps_every_row(structure: StepVariant, program: Program, *, first: bool) -> bool:
    """Whether this step also updates rows without a gradient.

    Those with momentum go on, as in torch's class; a rule that reduces whole tensors needs all of them.
    """
    switch = structure.rule.every_row_with
    carried = bool(switch and switch not in structure.absent)
    return carried or _reduces(structure) or (first and begins(program))


def begins(program: Program) -> bool:
    """Whether the first step differs from later ones, so that every row must take it."""
    rows = (symbol for stage in program.stages for symbol in (*stage.columns, *stage.row_updates.values()))
    return any(map(_asks_for_first, rows))


def _reduces(structure: StepVariant) -> bool:
    """Whether the rule itself, without the options around it, has reductions."""
    own = structure.flags.intersection(structure.rule.hyperparameters)
    around = OPTIONS.keys() - structure.rule.hyperparameters.keys()
    return bool(trace(replace(structure, flags=own, absent=structure.absent.union(around))).before)


def _asks_for_first(symbol: Symbol) -> bool:
    if symbol.op == "eq" and any(argument.name == "t" for argument in symbol.args):
        return True
    return any(map(_asks_for_first, symbol.args))


def coalesced(gradient: Tensor) -> Tensor:
    """A sparse gradient with duplicate rows summed, or dense if it has no sparse dimensions; a dense one as it is."""
    if gradient.is_sparse and gradient.sparse_dim() == 0:
        return gradient.to_dense()
    return gradient.coalesce() if gradient.is_sparse else gradient


def values_of(gradient: Tensor) -> Tensor:
    """The stored values of a sparse gradient; a dense one as it is."""
    return gradient.values() if gradient.is_sparse else gradient


def has_sparse_gradients(group: Mapping[str, Any]) -> bool:
    """Whether any parameter of a param group has a sparse gradient."""
    return any(p.grad is not None and p.grad.is_sparse for p in group["params"])
