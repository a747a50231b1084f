"""Stages of a step: straight-line programs over elements, cut at reductions and at calls of functions of matrices."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from thalweg.numerics.matrices import CALL, RESULT
from thalweg.numerics.reductions import REDUCTIONS
from thalweg.numerics.symbol import Symbol, element, row

MATRIX = "matrix"
"""The operation of a leaf that is a state with a shape of its own."""


@dataclass(frozen=True)
class Instruction:
    """`target = op(arguments)`; an argument is an element (`g`, `p`, a state), column (`_k0`, …) or earlier target."""

    target: str
    op: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Reduction:
    """A row value that a stage measures. name: under which later stages read it. op: one of `REDUCTIONS`.

    value: the local name of what is reduced. shared: the name under which param groups share it, if they do.
    """

    name: str
    op: str
    value: str
    shared: str = ""


@dataclass(frozen=True)
class Call:
    """A call of a function of matrices (`numerics.matrices`), after the pass that computes its arguments.

    arguments: each a transient stream, a matrix state, or a column (`_k0`, …). result: the stream that it overwrites.
    states: the matrix states that its further results are, in order; empty for one that is not kept.
    """

    function: str
    arguments: tuple[str, ...]
    result: str
    states: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Stage:
    """One pass over the elements: it measures reductions, computes arguments of calls, or writes parameter and states.

    states: all streams that a pass is given after gradient and parameter: the program's states, then its transients.
    columns: the row expressions that elements and calls need, one table column each.
    body: instructions in order. outputs: `p`, a state or a transient → the local name of its new value.
    row_updates: row state → its new value, a row expression. calls: functions of matrices to call after the pass.
    """

    states: tuple[str, ...]
    columns: tuple[Symbol, ...]
    body: tuple[Instruction, ...]
    outputs: Mapping[str, str] = field(default_factory=dict)
    reductions: tuple[Reduction, ...] = ()
    row_updates: Mapping[str, Symbol] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()

    @property
    def prepares(self) -> bool:
        """Whether it only prepares later stages: its pass writes neither the parameter nor a state."""
        return bool(self.reductions or self.calls)


def every(roots: Iterable[Symbol]) -> Iterator[Symbol]:
    """Every symbol in the expressions, once."""
    seen, stack = set(), [*roots]
    while stack:
        symbol = stack.pop()
        if symbol.key not in seen:
            seen.add(symbol.key)
            stack.extend(symbol.args)
            yield symbol


class Stages:
    """Cuts expressions at reductions, which become row values, and at calls, whose elements lie in transient streams.

    before: the stages that prepare the others, in order. A call's result overwrites the first of its streams.

    matrix_states: the new value of each, a further result of a call.
    """

    def __init__(
        self, rule: str, states: tuple[str, ...], roots: Sequence[Symbol], matrix_states: Mapping[str, Symbol]
    ) -> None:
        self._depths, self._cut, self._kept = dict[int, int](), dict[int, Symbol](), matrix_states
        for name, new in matrix_states.items():
            if new.op not in (RESULT, MATRIX):
                raise TypeError(f"The state {name!r} of {rule} has a shape of its own: return what a call makes of it.")
        found = [*every(roots)]
        reductions, calls = ([s for s in found if s.op in REDUCTIONS], [s for s in found if s.op == CALL])
        if any(symbol.name and self._depth(symbol) > 1 for symbol in reductions):
            raise TypeError(f"A global norm in {rule} may not depend on another reduction.")
        self._names = {symbol.key: f"@{i}" for i, symbol in enumerate(reductions)}
        self._streams = dict[int, list[str]]()
        for call in calls:
            first = sum(map(len, self._streams.values()))
            count = sum(not a.row and a.op != MATRIX for a in call.args)
            self._streams[call.key] = [f"_matrix{first + i}" for i in range(count)]
        self.transients = tuple(name for of in self._streams.values() for name in of)
        self._states = (*states, *self.transients)
        self.before = tuple(self._before(reductions, calls))

    def stage(self, elements: Mapping[str, Symbol], row_updates: Mapping[str, Symbol]) -> Stage:
        """The stage that writes new elements (`p`, states)."""
        emitter = _Emitter()
        outputs = {name: emitter.place(self._known(symbol)) for name, symbol in elements.items()}
        rows = {name: self._known(symbol) for name, symbol in row_updates.items()}
        return Stage(self._states, tuple(emitter.columns), tuple(emitter.body), outputs, row_updates=rows)

    def _before(self, reductions: Sequence[Symbol], calls: Sequence[Symbol]) -> Iterator[Stage]:
        for depth in sorted({self._depth(symbol) for symbol in (*reductions, *calls)}):
            if measured := [symbol for symbol in reductions if self._depth(symbol) == depth]:
                yield self._reducing(measured)
            if called := [symbol for symbol in calls if self._depth(symbol) == depth]:
                yield self._calling(called)

    def _depth(self, symbol: Symbol) -> int:
        """The number of stages that must have prepared before the symbol's value is known."""
        if symbol.key not in self._depths:
            inside = max(map(self._depth, symbol.args), default=0)
            self._depths[symbol.key] = inside + (symbol.op in REDUCTIONS or symbol.op == CALL)
        return self._depths[symbol.key]

    def _reducing(self, symbols: Sequence[Symbol]) -> Stage:
        emitter = _Emitter()
        reductions = tuple(
            Reduction(self._names[s.key], s.op, emitter.place(self._known(s.args[0])), str(s.name)) for s in symbols
        )
        return Stage(self._states, tuple(emitter.columns), tuple(emitter.body), reductions=reductions)

    def _calling(self, symbols: Sequence[Symbol]) -> Stage:
        emitter, outputs, calls = _Emitter(), dict[str, str](), []
        for symbol in symbols:
            free, arguments = iter(self._streams[symbol.key]), list[str]()
            for argument in symbol.args:
                if argument.op == MATRIX:
                    arguments.append(str(argument.name))
                elif argument.row:
                    arguments.append(emitter.place(self._known(argument)))
                else:
                    arguments.append(next(free))
                    outputs[arguments[-1]] = emitter.place(self._known(argument))
            result = self._streams[symbol.key][0]
            calls.append(Call(str(symbol.name), tuple(arguments), result, self._further(symbol)))
        return Stage(self._states, tuple(emitter.columns), tuple(emitter.body), outputs, calls=tuple(calls))

    def _further(self, call: Symbol) -> tuple[str, ...]:
        """The matrix states that are further results of a call, in order."""
        of = {int(s.name): n for n, s in self._kept.items() if s.op == RESULT and s.args[0].key == call.key}
        return tuple(of.get(i, "") for i in range(max(of, default=-1) + 1))

    def _known(self, symbol: Symbol) -> Symbol:
        """The expression with row values in place of reductions, and elements in place of calls."""
        if symbol.key not in self._cut:
            if symbol.op in REDUCTIONS:
                new = row(self._names[symbol.key])
            elif symbol.op == CALL:
                new = element(self._streams[symbol.key][0])
            else:
                arguments = tuple(map(self._known, symbol.args))
                new = Symbol(symbol.op, *arguments, name=symbol.name, row=symbol.row) if arguments else symbol
            self._cut[symbol.key] = new
        return self._cut[symbol.key]


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
        if symbol.op in (MATRIX, RESULT):
            raise TypeError("A state with a shape of its own has no value per element: give it to a call of matrices.")
        arguments = tuple(self.place(a) for a in symbol.args)
        target = f"_x{len(self.body)}"
        self.body.append(Instruction(target, symbol.op, arguments))
        return target
