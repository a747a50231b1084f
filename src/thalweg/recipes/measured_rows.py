"""Row values of a step that measures some of them, split into those known before the step and the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from thalweg.numerics.symbol import Symbol
from thalweg.recipes.stages import Stage
from thalweg.recipes.trace import Program

ARITHMETIC = {"add", "sub", "mul", "div", "neg", "abs", "sqrt", "max", "min", "where", "eq", "lt", "le"}
"""Operations by which other code than `row_table`'s may carry on from measured values."""

CONTINUOUS = ARITHMETIC - {"where", "eq", "lt", "le"}


@dataclass(frozen=True, eq=False)
class MeasuredRows:
    """How a program's columns follow from what its stages measure.

    planned: a stage whose columns are the values known before the step, and whose row updates are the program's.
    reductions: the names of what is measured, in order. continuous: whether a small change of a measurement changes
    little: nothing compares one, or divides by one to which nothing is added.
    """

    planned: Stage
    reductions: tuple[str, ...]
    continuous: bool


@cache
def measured_rows(program: Program) -> MeasuredRows | None:
    """`None` where a row state, a function of matrices, or other than simple arithmetic depends on a measurement."""
    names = {reduction.name for stage in program.before for reduction in stage.reductions}
    depends = _dependence(names)
    columns = [column for stage in program.stages for column in stage.columns]
    inner = {s.key: s for column in columns for s in _inner(column, depends) if s.op != "row"}
    blocked = any(stage.calls for stage in program.before) or any(map(depends, program.update.row_updates.values()))
    if blocked or not {s.op for s in inner.values()} <= ARITHMETIC:
        return None
    planned = {s.key: s for column in columns for s in _known(column, depends)}
    known = Stage((), tuple(planned.values()), (), row_updates=program.update.row_updates)
    return MeasuredRows(known, tuple(sorted(names)), all(map(_is_continuous, inner.values())))


def _dependence(names: set[str]) -> Callable[[Symbol], bool]:
    known: dict[int, bool] = {}

    def depends(symbol: Symbol) -> bool:
        if symbol.key not in known:
            itself = symbol.op == "row" and symbol.name in names
            known[symbol.key] = itself or any(map(depends, symbol.args))
        return known[symbol.key]

    return depends


def _inner(symbol: Symbol, depends: Callable[[Symbol], bool]) -> list[Symbol]:
    """The expressions within one that depend on a measurement, itself among them."""
    return [symbol, *(s for a in symbol.args for s in _inner(a, depends))] if depends(symbol) else []


def _known(symbol: Symbol, depends: Callable[[Symbol], bool]) -> list[Symbol]:
    """The largest expressions within one that depend on none."""
    return [s for a in symbol.args for s in _known(a, depends)] if depends(symbol) else [symbol]


def _is_continuous(symbol: Symbol) -> bool:
    return symbol.op in CONTINUOUS and (symbol.op != "div" or symbol.args[1].op == "add")
