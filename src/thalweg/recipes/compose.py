"""The order of operations of one step. It is stated here and nowhere else; what is compiled is this.

Clipping by the norm of all gradients needs every parameter at once, so whoever clips does so before this step; that it
comes before the sign of `maximize` makes no difference to a norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from thalweg.numerics import Value
from thalweg.options.declared import CONVENTIONS
from thalweg.regularization import clipping, decay, masks
from thalweg.rules.contract import Rule, State, hyperparameter
from thalweg.rules.hyperparameters import Flag, Hyperparameter, Limit, Penalty

OPTIONS: Mapping[str, Hyperparameter] = {
    name: hyperparameter(name, annotation, default)
    for name, annotation, default in (
        ("clip_value", Limit, 0.0),
        ("weight_decay", Penalty, 0.0),
        ("decoupled_weight_decay", Flag, False),
        ("maximize", Flag, False),
        ("masked", Flag, False),
    )
}
"""What a composed step offers beside its rule's own hyperparameters."""


MASK = State("mask", initial=1.0)
"""The state that `masked` needs: 1 for an element that is trained, 0 for one that is held at zero. A step reads it."""


@dataclass(frozen=True)
class Structure:
    """What is fixed when a step is built: each structure is a kernel of its own.

    flags: the flags that are set. absent: the switches at 0, whose parts and states do not exist.
    convention: whose formula it is, where the rule distinguishes.
    """

    rule: Rule
    flags: frozenset[str]
    absent: frozenset[str]
    convention: str = CONVENTIONS[0]

    @property
    def states(self) -> tuple[State, ...]:
        """All that may exist: the rule's, and the composed step's own."""
        return (*self.rule.states, MASK) if "masked" in self.flags else self.rule.states

    def __hash__(self) -> int:
        return hash((self.rule.name, self.flags, self.absent, self.convention))


def step(
    structure: Structure,
    g: Value,
    p: Value,
    states: Mapping[str, Value],
    t: Value,
    hyperparameters: Mapping[str, Value],
) -> tuple[Value, dict[str, Value]]:
    """One step of one parameter: (new parameter, new states by name). Pure; numbers, tensors and symbols alike.

    `hyperparameters` holds the numeric ones of rule and options; flags and absences come from the structure.
    """
    rule = structure.rule
    strength = None if "weight_decay" in structure.absent else hyperparameters["weight_decay"]
    is_decoupled = "decoupled_weight_decay" in structure.flags
    if "maximize" in structure.flags:
        g = -g
    if "clip_value" not in structure.absent:
        g = clipping.by_value(g, hyperparameters["clip_value"])
    if strength is not None and not is_decoupled:
        g = decay.coupled(g, p, strength)
    decayed = p
    if strength is not None and is_decoupled:
        decayed = decay.decoupled(p, hyperparameters[rule.rate] if rule.rate else 1.0, strength)
    if structure.convention == "keras":  # whose rules see the parameter after its decay
        p = decayed
    returned = rule(g, p, *(states[s.name] for s in rule.states), t, **_arguments(structure, hyperparameters))
    update, after = _unpack(rule, returned)
    p = decayed - update
    if "masked" in structure.flags:
        after[MASK.name] = states[MASK.name]
        p = masks.masked(p, states[MASK.name])
    return p, after


def _unpack(rule: Rule, returned: Value) -> tuple[Value, dict[str, Value]]:
    names = [s.name for s in rule.states]
    if not isinstance(returned, tuple) or len(returned) != 1 + len(names):
        count = len(returned) if isinstance(returned, tuple) else "no tuple"
        raise TypeError(f"{rule.name} must return the tuple ({', '.join(['update', *names])}), got {count}.")
    return returned[0], dict(zip(names, returned[1:], strict=True))


def _arguments(structure: Structure, hyperparameters: Mapping[str, Value]) -> dict[str, Value]:
    def value(h: Hyperparameter) -> Value:
        if h.is_flag:
            return h.name in structure.flags
        return None if h.name in structure.absent else hyperparameters[h.name]

    given = {name: value(h) for name, h in structure.rule.hyperparameters.items()}
    return given | {"convention": structure.convention} if structure.rule.formulas else given
