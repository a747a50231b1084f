"""One symbolic call of a composed step → row expressions and straight-line programs over elements, in stages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

from thalweg.numerics.reductions import REDUCTIONS, global_norm
from thalweg.numerics.symbol import Symbol, element, lift, row
from thalweg.recipes.compose import GRADIENT, StepVariant, close, step
from thalweg.recipes.options import OPTIONS


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


@dataclass(frozen=True, eq=False)
class Stage:
    """One pass over the elements: it measures reductions, or writes the parameter and its states.

    states: all states of the program, in the rule's order; they are the streams that a pass is given.
    columns: the row expressions that elements need, one table column each.
    body: instructions in order. outputs: `p` or a state → the local name of its new value.
    row_updates: row state → its new value, a row expression.
    """

    states: tuple[str, ...]
    columns: tuple[Symbol, ...]
    body: tuple[Instruction, ...]
    outputs: Mapping[str, str] = field(default_factory=dict)
    reductions: tuple[Reduction, ...] = ()
    row_updates: Mapping[str, Symbol] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Program:
    """The traced computation of a step variant, ready to be executed or emitted.

    states, row_states: those that exist under this step variant, in the rule's order.
    inputs: the hyperparameters that it reads.
    reductions: the stages that measure, in order; a later one may read what an earlier one measured.
    update: the elementwise stage. constrained: whether a constraint follows it.
    closing: the elementwise stage after the constraint; `None` if there is nothing to do.
    """

    states: tuple[str, ...]
    row_states: tuple[str, ...]
    inputs: tuple[str, ...]
    reductions: tuple[Stage, ...]
    update: Stage
    constrained: bool = False
    closing: Stage | None = None

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of the reductions that param groups share. All are in the first stage."""
        first = self.reductions[0].reductions if self.reductions else ()
        return frozenset(reduction.shared for reduction in first if reduction.shared)

    @cached_property
    def per_tensor(self) -> bool:
        """Whether every parameter tensor has row values of its own, because some are measured for each."""
        return any(not r.shared for stage in self.reductions for r in stage.reductions)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in order."""
        return (*self.reductions, self.update, *([] if self.closing is None else [self.closing]))


@cache
def trace(structure: StepVariant) -> Program:
    """Traces a step variant, once each; the rule runs with symbols for everything but its flags."""
    leaves, rest, t = _state_leaves(structure), {name: row(name) for name in _numeric(structure)}, row("t")
    p, new = step(structure, element("g"), element("p"), leaves, t, rest)
    closed = close(structure, element("p"), leaves, t, rest) if structure.constrains else (element("p"), {})
    updates = {name: lift(value) for name, value in {**new, **closed[1]}.items()}
    roots = (lift(p), lift(closed[0]))
    alive = [s for s in structure.states if _exists(s.name, leaves[s.name], roots, updates)]
    states, row_states = ([s.name for s in alive if s.per_row is per_row] for per_row in (False, True))
    _refuse_elements(structure.rule.name, {name: updates[name] for name in row_states})
    emitted = _Stages(structure.rule.name, tuple(states), [roots[0], *updates.values()])
    closing = {"p": roots[1], **{name: updates[name] for name in states if name in closed[1]}}
    update = {"p": roots[0], **{name: updates[name] for name in states if name not in closing}}
    read = {leaf.name for root in (*roots, *updates.values()) for leaf in _leaves(root)}
    changed = any(symbol.key != element(name).key for name, symbol in closing.items())
    return Program(
        states=tuple(states),
        row_states=tuple(row_states),
        inputs=tuple(name for name in _numeric(structure) if name in read),
        reductions=emitted.reductions,
        update=emitted.stage(update, {name: updates[name] for name in row_states}),
        constrained=structure.constrains,
        closing=emitted.stage(closing, {}) if structure.constrains and changed else None,
    )


@cache
def gradient_norm(states: tuple[str, ...]) -> Stage:
    """The stage that measures the norm of a gradient, for param groups that only add to the global norm."""
    (stage,) = _Stages("", states, [global_norm(element("g"), GRADIENT)]).reductions
    return stage


def _state_leaves(structure: StepVariant) -> dict[str, Symbol]:
    return {s.name: (row if s.per_row else element)(s.name) for s in structure.states}


def _numeric(structure: StepVariant) -> list[str]:
    own = structure.rule.hyperparameters
    declared = {**own, **{name: h for name, h in OPTIONS.items() if name not in own}}
    return [name for name, h in declared.items() if not h.is_flag]


def _refuse_elements(rule: str, row_updates: Mapping[str, Symbol]) -> None:
    for name, symbol in row_updates.items():
        if not symbol.row:
            raise TypeError(f"The row state {name!r} of {rule} has one value a row and may not depend on elements.")


def _exists(name: str, leaf: Symbol, roots: Sequence[Symbol], updates: Mapping[str, Symbol]) -> bool:
    """A state exists where the step changes it or something else reads it."""
    others = [*roots, *(symbol for other, symbol in updates.items() if other != name)]
    changed = name in updates and updates[name].key != leaf.key
    return changed or any(leaf.key == x.key for root in others for x in _leaves(root))


def _leaves(root: Symbol) -> Iterator[Symbol]:
    return (symbol for symbol in _all([root]) if symbol.op in ("element", "row"))


def _all(roots: Iterable[Symbol]) -> Iterator[Symbol]:
    """Every symbol in the expressions, once."""
    seen, stack = set(), [*roots]
    while stack:
        symbol = stack.pop()
        if symbol.key not in seen:
            seen.add(symbol.key)
            stack.extend(symbol.args)
            yield symbol


class _Stages:
    """Expressions cut at their reductions, which become row values that earlier stages measure."""

    def __init__(self, rule: str, states: tuple[str, ...], roots: Sequence[Symbol]) -> None:
        self._states, self._depths = states, dict[int, int]()
        self._cut: dict[int, Symbol] = {}
        found = [symbol for symbol in _all(roots) if symbol.op in REDUCTIONS]
        by_depth: dict[int, list[Symbol]] = {}
        for symbol in found:
            by_depth.setdefault(self._depth(symbol), []).append(symbol)
        if any(symbol.name and depth > 1 for depth, of in by_depth.items() for symbol in of):
            raise TypeError(f"A global norm in {rule} may not depend on another reduction.")
        self._names = {symbol.key: f"@{i}" for i, symbol in enumerate(found)}
        self.reductions = tuple(self._reducing(by_depth[depth]) for depth in sorted(by_depth))

    def _depth(self, symbol: Symbol) -> int:
        """The number of stages that must have measured before the symbol's value is known."""
        if symbol.key not in self._depths:
            inside = max(map(self._depth, symbol.args), default=0)
            self._depths[symbol.key] = inside + (symbol.op in REDUCTIONS)
        return self._depths[symbol.key]

    def _reducing(self, symbols: Sequence[Symbol]) -> Stage:
        emitter = _Emitter()
        reductions = tuple(
            Reduction(self._names[s.key], s.op, emitter.place(self._known(s.args[0])), str(s.name)) for s in symbols
        )
        return Stage(self._states, tuple(emitter.columns), tuple(emitter.body), reductions=reductions)

    def stage(self, elements: Mapping[str, Symbol], row_updates: Mapping[str, Symbol]) -> Stage:
        """The stage that writes new elements (`p`, states). Its reductions are row values."""
        emitter = _Emitter()
        outputs = {name: emitter.place(self._known(symbol)) for name, symbol in elements.items()}
        rows = {name: self._known(symbol) for name, symbol in row_updates.items()}
        return Stage(self._states, tuple(emitter.columns), tuple(emitter.body), outputs, row_updates=rows)

    def _known(self, symbol: Symbol) -> Symbol:
        """The expression with row values in place of reductions."""
        if symbol.key not in self._cut:
            if symbol.op in REDUCTIONS:
                new = row(self._names[symbol.key])
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
        arguments = tuple(self.place(a) for a in symbol.args)
        target = f"_x{len(self.body)}"
        self.body.append(Instruction(target, symbol.op, arguments))
        return target
