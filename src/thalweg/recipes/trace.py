"""One symbolic call of a composed step → row expressions and a straight-line program over elements."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from thalweg.numerics.symbol import Symbol, element, lift, row
from thalweg.recipes.compose import StepVariant, agreement, step
from thalweg.recipes.options import AGREEMENT, OPTIONS


@dataclass(frozen=True)
class Instruction:
    """`target = op(arguments)`; a name is an element's (`g`, `p`, a state), a column's (`_k0`, …) or a target's."""

    target: str
    op: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """What a structure computes, ready to be executed or emitted.

    states, row_states: those that exist under this structure, in the rule's order.
    inputs: the hyperparameters that it reads. measured: what it reads that is measured on whole tensors beforehand.
    columns: the row expressions that elements need, one table column each.
    row_updates: row state → its new value, a row expression.
    body: instructions in order. outputs: `p` and each state → the name that holds its new value.
    """

    states: tuple[str, ...]
    row_states: tuple[str, ...]
    inputs: tuple[str, ...]
    measured: tuple[str, ...]
    columns: tuple[Symbol, ...]
    row_updates: Mapping[str, Symbol]
    body: tuple[Instruction, ...]
    outputs: Mapping[str, str]

    @property
    def counted(self) -> tuple[str, ...]:
        """The names that hold outputs which are neither the parameter nor a state: their elements are counted."""
        return tuple(value for name, value in self.outputs.items() if name != "p" and name not in self.states)


@cache
def trace(structure: StepVariant) -> Program:
    """The program of a structure. Called once each; the rule runs with symbols for everything but its flags."""
    rule, leaves, rest = structure.rule, _state_leaves(structure), _rest(structure)
    p, after = step(structure, element("g"), element("p"), leaves, row("t"), rest)
    updates = {name: lift(value) for name, value in after.items()}
    alive = [s for s in structure.states if _exists(s.name, leaves[s.name], lift(p), updates)]
    elements = {"p": lift(p)} | {s.name: updates[s.name] for s in alive if not s.per_row}
    row_updates = {s.name: updates[s.name] for s in alive if s.per_row}
    _refuse_elements(rule.name, row_updates)
    return _program(structure, tuple(name for name in elements if name != "p"), elements, row_updates)


@cache
def trace_agreement(structure: StepVariant) -> Program:
    """What a cautious step must be told: an output that is no state, whose elements are counted; it moves nothing."""
    of_step = trace(structure)
    symbol = agreement(structure, element("g"), element("p"), _state_leaves(structure), row("t"), _rest(structure))
    program = _program(structure, of_step.states, {AGREEMENT: lift(symbol)}, {})
    return replace(program, row_states=of_step.row_states)


def _state_leaves(structure: StepVariant) -> dict[str, Symbol]:
    return {s.name: (row if s.per_row else element)(s.name) for s in structure.states}


def _rest(structure: StepVariant) -> dict[str, Symbol]:
    """Numeric hyperparameters, and what is measured."""
    return {name: row(name) for name in (*_numeric(structure), *structure.measured)}


def _numeric(structure: StepVariant) -> list[str]:
    return [h.name for h in (*structure.rule.hyperparameters.values(), *OPTIONS.values()) if not h.is_flag]


def _program(
    structure: StepVariant, states: tuple[str, ...], elements: Mapping[str, Symbol], row_updates: Mapping[str, Symbol]
) -> Program:
    """elements: `p` or a state → its new value."""
    emitter = _Emitter()
    outputs = {name: emitter.place(symbol) for name, symbol in elements.items()}
    read = {leaf.name for root in (*elements.values(), *row_updates.values()) for leaf in _leaves(root)}
    return Program(
        states=states,
        row_states=tuple(row_updates),
        inputs=tuple(name for name in _numeric(structure) if name in read),
        measured=tuple(name for name in structure.measured if name in read),
        columns=tuple(emitter.columns),
        row_updates=row_updates,
        body=tuple(emitter.body),
        outputs=outputs,
    )


def _refuse_elements(rule: str, row_updates: Mapping[str, Symbol]) -> None:
    for name, symbol in row_updates.items():
        if not symbol.row:
            raise TypeError(f"The row state {name!r} of {rule} has one value a row and may not depend on elements.")


def _exists(name: str, leaf: Symbol, p: Symbol, updates: Mapping[str, Symbol]) -> bool:
    """A state exists where the step changes it or something else reads it."""
    others = [p, *(symbol for other, symbol in updates.items() if other != name)]
    return updates[name].key != leaf.key or any(leaf.key == x.key for root in others for x in _leaves(root))


def _leaves(root: Symbol) -> Iterator[Symbol]:
    seen, stack = set(), [root]
    while stack:
        symbol = stack.pop()
        if symbol.key not in seen:
            seen.add(symbol.key)
            stack.extend(symbol.args)
            if symbol.op in ("element", "row"):
                yield symbol


class _Emitter:
    """Places symbols in order of need, each once: row values as columns, the rest as instructions."""

    def __init__(self) -> None:
        self.columns: list[Symbol] = []
        self.body: list[Instruction] = []
        self._names: dict[int, str] = {}

    def place(self, symbol: Symbol) -> str:
        if symbol.key not in self._names:
            self._names[symbol.key] = self._place_new(symbol)
        return self._names[symbol.key]

    def _place_new(self, symbol: Symbol) -> str:
        if symbol.row:
            self.columns.append(symbol)
            return f"_k{len(self.columns) - 1}"
        if symbol.op == "element":
            return str(symbol.name)
        arguments = tuple(self.place(a) for a in symbol.args)
        target = f"_x{len(self.body)}"
        self.body.append(Instruction(target, symbol.op, arguments))
        return target
