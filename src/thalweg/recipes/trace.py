"""One symbolic call of a composed step → row expressions and a straight-line program over elements."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from thalweg.numerics.symbol import Symbol, element, lift, row
from thalweg.recipes.compose import StepVariant, agreement, step
from thalweg.recipes.options import AGREEMENT, OPTIONS


@dataclass(frozen=True)
class Instruction:
    """`target = op(arguments)`; an argument is an element (`g`, `p`, a state), column (`_k0`, …) or earlier target."""

    target: str
    op: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """The traced computation of a step variant, ready to be executed or emitted.

    states, row_states: those that exist under this step variant, in the rule's order.
    inputs: the hyperparameters that it reads. measured: the row values that it reads and that need whole tensors.
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
        """Names of the outputs that are neither the parameter nor a state: their nonzero elements are counted."""
        return tuple(value for name, value in self.outputs.items() if name != "p" and name not in self.states)


@cache
def trace(structure: StepVariant) -> Program:
    """Traces a step variant, once each; the rule runs with symbols for everything but its flags."""
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
    """Traces the measurement of `agreement` for a cautious step: one counted output, no parameter or state changed."""
    of_step = trace(structure)
    symbol = agreement(structure, element("g"), element("p"), _state_leaves(structure), row("t"), _rest(structure))
    program = _program(structure, of_step.states, {AGREEMENT: lift(symbol)}, {})
    return replace(program, row_states=of_step.row_states)


def _state_leaves(structure: StepVariant) -> dict[str, Symbol]:
    return {s.name: (row if s.per_row else element)(s.name) for s in structure.states}


def _rest(structure: StepVariant) -> dict[str, Symbol]:
    """Symbols of the numeric hyperparameters and of the measured row values."""
    return {name: row(name) for name in (*_numeric(structure), *structure.measured)}


def _numeric(structure: StepVariant) -> list[str]:
    return [h.name for h in (*structure.rule.hyperparameters.values(), *OPTIONS.values()) if not h.is_flag]


def _program(
    structure: StepVariant, states: tuple[str, ...], elements: Mapping[str, Symbol], row_updates: Mapping[str, Symbol]
) -> Program:
    """Emits the program of expressions. elements: output (`p`, a state or a counted one) → its new value."""
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
    """Emits symbols in dependency order, each once: row values as columns, all others as instructions."""

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
