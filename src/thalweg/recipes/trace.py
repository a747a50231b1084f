"""One symbolic call of a composed step → row expressions and straight-line programs over elements, in stages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from thalweg.numerics.reductions import global_norm
from thalweg.numerics.symbol import Symbol, element, lift, row
from thalweg.recipes.compose import GRADIENT, StepVariant, close, step
from thalweg.recipes.options import OPTIONS
from thalweg.recipes.stages import MATRIX, Stage, Stages, every
from thalweg.rules.states import State


@dataclass(frozen=True, eq=False)
class Program:
    """The traced computation of a step variant, ready to be executed or emitted.

    states, row_states, matrix_states: those that exist under this step variant, in the rule's order: one value per
        element, one per row, or with a shape of their own.
    transients: streams that hold arguments and results of calls within a step.
    inputs: the hyperparameters that it reads.
    before: the stages that prepare the update, in order; a later one may read what an earlier one found.
    update: the elementwise stage. constrained: whether a constraint follows it.
    closing: the elementwise stage after the constraint; `None` if there is nothing to do.
    """

    states: tuple[str, ...]
    row_states: tuple[str, ...]
    inputs: tuple[str, ...]
    before: tuple[Stage, ...]
    update: Stage
    constrained: bool = False
    closing: Stage | None = None
    matrix_states: tuple[str, ...] = ()
    transients: tuple[str, ...] = ()

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of the reductions that param groups share. All are in the first stage."""
        first = self.before[0].reductions if self.before else ()
        return frozenset(reduction.shared for reduction in first if reduction.shared)

    @cached_property
    def per_tensor(self) -> bool:
        """Whether every parameter tensor has row values of its own, because some are measured for each."""
        return any(not r.shared for stage in self.before for r in stage.reductions)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in order."""
        return (*self.before, self.update, *([] if self.closing is None else [self.closing]))


@cache
def trace(structure: StepVariant) -> Program:
    """Traces a step variant, once each; the rule runs with symbols for everything but its flags."""
    leaves, rest, t = _state_leaves(structure), {name: row(name) for name in _numeric(structure)}, row("t")
    p, new = step(structure, element("g"), element("p"), leaves, t, rest)
    closed = close(structure, element("p"), leaves, t, rest) if structure.constrains else (element("p"), {})
    updates = {name: lift(value) for name, value in {**new, **closed[1]}.items()}
    roots = (lift(p), lift(closed[0]))
    alive = [s for s in structure.states if _exists(s.name, leaves[s.name], roots, updates)]
    states, row_states = [s.name for s in alive if s.per_element], [s.name for s in alive if s.per_row]
    matrix_states = [s.name for s in alive if s.shape is not None]
    _refuse_elements(structure.rule.name, {name: updates[name] for name in row_states})
    kept = {name: updates[name] for name in matrix_states}
    emitted = Stages(structure.rule.name, tuple(states), [roots[0], *updates.values()], kept)
    closing = {"p": roots[1], **{name: updates[name] for name in states if name in closed[1]}}
    update = {"p": roots[0], **{name: updates[name] for name in states if name not in closing}}
    read = {leaf.name for root in (*roots, *updates.values()) for leaf in _leaves(root)}
    changed = any(symbol.key != element(name).key for name, symbol in closing.items())
    return Program(
        states=tuple(states),
        row_states=tuple(row_states),
        inputs=tuple(name for name in _numeric(structure) if name in read),
        before=emitted.before,
        update=emitted.stage(update, {name: updates[name] for name in row_states}),
        constrained=structure.constrains,
        closing=emitted.stage(closing, {}) if structure.constrains and changed else None,
        matrix_states=tuple(matrix_states),
        transients=emitted.transients,
    )


@cache
def gradient_norm(states: tuple[str, ...]) -> Stage:
    """The stage that measures the norm of a gradient, for param groups that only add to the global norm."""
    (stage,) = Stages("", states, [global_norm(element("g"), GRADIENT)], {}).before
    return stage


def _state_leaves(structure: StepVariant) -> dict[str, Symbol]:
    return {s.name: _leaf(s) for s in structure.states}


def _leaf(state: State) -> Symbol:
    if state.per_row:
        return row(state.name)
    return element(state.name) if state.per_element else Symbol(MATRIX, name=state.name, row=False)


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
    return (symbol for symbol in every([root]) if symbol.op in ("element", "row", MATRIX))
