"""Sparse gradients: a step of the rows that they touch, and of no others."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution.reference import Elements
from thalweg.numerics.symbol import Symbol
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.trace import Program

EVERYWHERE = ("weight_decay", "lookahead_steps", "ema_decay")
WHOLE = ("centralize", "clip_adaptive", "cautious")


def require(owner: str, structure: StepVariant, *, in_8_bits: bool) -> None:
    """Raises `InputError` where a step of some rows only is not what the rule or its options mean."""
    if structure.rule.dense:
        raise InputError(
            f"{owner} takes dense gradients only, as {structure.rule.dense}; create the embedding with sparse=False."
        )
    moving = next((option for option in EVERYWHERE if structure.has(option)), None)
    whole = next((option for option in WHOLE if structure.has(option)), None)
    why = "acts on rows that have no gradient, too" if moving else "needs whole gradients"
    option = moving or whole or ("state_dtype='8bit'" if in_8_bits else None)
    if option:
        raise InputError(
            f"{owner} takes sparse gradients without {option} only, which {why}; leave it out in that parameter's"
            " group, or create the embedding with sparse=False."
        )


def touched(elements: Elements) -> tuple[Elements, Callable[[], None]]:
    """The rows that a coalesced gradient touches, as tensors of their own, and what puts them back after the step."""
    where = tuple(elements.g.indices())
    held = (elements.p, *elements.states, *([] if elements.rest is None else [elements.rest]))
    p, *others = rows = [tensor.detach()[where] for tensor in held]
    rest = None if elements.rest is None else others.pop()

    def put_back() -> None:
        for tensor, values in zip(held, rows, strict=True):
            tensor.detach()[where] = values

    return replace(elements, g=elements.g.values(), p=p, states=tuple(others), rest=rest), put_back


def steps_every_row(structure: StepVariant, program: Program, *, first: bool) -> bool:
    """Whether this step is of the rows without a gradient, too: those with momentum go on, as in torch's class."""
    switch = structure.rule.every_row_with
    return bool(switch and switch not in structure.absent) or (first and begins(program))


def begins(program: Program) -> bool:
    """Whether the first step is not like the others, so that every row must see it."""
    return any(_asks_for_first(symbol) for symbol in (*program.columns, *program.row_updates.values()))


def _asks_for_first(symbol: Symbol) -> bool:
    if symbol.op == "eq" and any(argument.name == "t" for argument in symbol.args):
        return True
    return any(map(_asks_for_first, symbol.args))


def coalesced(gradient: Tensor) -> Tensor:
    """With each row once, where it is sparse; dense, where it has no sparse dimensions."""
    if gradient.is_sparse and gradient.sparse_dim() == 0:
        return gradient.to_dense()
    return gradient.coalesce() if gradient.is_sparse else gradient


def values_of(gradient: Tensor) -> Tensor:
    """The numbers of a gradient that are not 0 by construction."""
    return gradient.values() if gradient.is_sparse else gradient
