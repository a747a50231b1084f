"""The order of operations of one step. It is stated here and nowhere else; every backend follows it.

Before all, a model rule (`rules.model`) takes the gradients elsewhere than at the parameters.

1. the sign of `maximize`
2. transforms of whole gradients (`transform_gradients`): centralization, adaptive clipping
3. clipping: by the global norm of all gradients, by the norm of each tensor's, by value
4. penalties L2 and L1 on the gradient that the rule sees; weight decay, coupled as these, or decoupled, on the
   parameter that it sees
5. the rule; its update clipped by its root mean square, and masked cautiously
6. subtraction of the update, then the proximal steps of L1 and L2
7. constraints of whole parameters (`constrain`): no negative weights, then the norm of a unit
8. averages of the weights: lookahead, which changes them, then the moving average, which does not
9. the mask, on the parameter and its averages

Stages 3 to 6 are elementwise, one pass, with stages 8 and 9 in the same pass where nothing is constrained. Where a
formula has a reduction (`numerics.reductions`), such as a gradient's norm or the mean of an indicator, `trace` cuts it:
a pass that measures it comes before. Norms are of the gradients after `transform_gradients`; a sign changes no norm,
and of a transformed gradient only the sign, so that it may be applied later. `compare(clip_norm=…)` sets the limit of
the global norm for every optimizer that is compared; those of other libraries are given clipped gradients.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from thalweg.numerics import Value, global_norm, maximum, mean, norm, sqrt
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes import options
from thalweg.recipes.options import CONSTRAINTS, EMA, MASK, MODEL_RULES, OPTIONS, SLOW, STATES, TRANSFORMS
from thalweg.regularization import averaging, caution, clipping, constraints, decay, masks, penalties, units
from thalweg.rules.contract import Rule
from thalweg.rules.hyperparameters import Hyperparameter
from thalweg.rules.model_contract import ModelRule
from thalweg.rules.states import State

Values = Mapping[str, Value]

GRADIENT = "gradient"
"""The global norm of the gradients, which all param groups share: those that do not clip by it add to it, too."""


@dataclass(frozen=True)
class StepVariant:
    """A step as specialized when it is built: each step variant has its own kernel.

    flags: the flags that are set. absent: the switches at 0, whose parts and states do not exist.
    convention: whose formula is used, if the rule distinguishes.
    """

    rule: Rule
    flags: frozenset[str]
    absent: frozenset[str]
    convention: str = CONVENTIONS[0]

    def has(self, option: str) -> bool:
        """Whether a flag is set, or a switch is not at 0."""
        return option in self.flags if OPTIONS[option].is_flag else option not in self.absent

    @property
    def decays(self) -> bool:
        """Whether weight decay is applied around the rule, not by it."""
        return self.has("weight_decay") and not self.rule.owns_decay

    @property
    def states(self) -> tuple[State, ...]:
        """All states that may exist: the rule's, then those of the options."""
        return (*self.rule.states, *(state for option, state in STATES.items() if self.has(option)))

    @property
    def averages(self) -> bool:
        """Whether the weights to evaluate with differ from the parameter."""
        return self.has("ema_decay") or self.rule.evaluated is not None

    @property
    def transforms(self) -> bool:
        """Whether `transform_gradients` changes its gradients."""
        return any(self.has(option) for option in TRANSFORMS)

    @property
    def constrains(self) -> bool:
        """Whether `constrain` may change its parameters."""
        return any(self.has(option) for option in CONSTRAINTS)

    @property
    def limits(self) -> tuple[str, ...]:
        """The numbers that its constraints read."""
        return tuple(dict.fromkeys(name for option, read in CONSTRAINTS.items() if self.has(option) for name in read))

    def penalized(self, penalties: Iterable[str]) -> tuple[str, ...]:
        """Those of these penalties that are on and composed around the rule, not part of its own formula."""
        return tuple(name for name in penalties if self.has(name) and name not in self.rule.hyperparameters)

    @property
    def rule_counts(self) -> bool:
        """Whether its rule counts steps."""
        counts = self.rule.counts_steps
        return counts in self.flags if isinstance(counts, str) else counts

    @property
    def model_rule(self) -> ModelRule | None:
        """The rule that evaluates the model for its gradients; `None` if they are taken at the parameters."""
        return next((rule for name, rule in MODEL_RULES.items() if self.has(name)), None)

    @property
    def evaluations(self) -> int:
        """Evaluations of the batch, forward and backward, in each step."""
        rule = self.model_rule
        return 1 if rule is None else rule.evaluations

    @property
    def counts_steps(self) -> bool:
        """Whether it needs the step's number, and not only whether it is the first."""
        return self.rule_counts or self.has("lookahead_steps")

    def __hash__(self) -> int:
        return hash((self.rule.name, self.flags, self.absent, self.convention))


def transform_gradients(structure: StepVariant, gradients: Any, parameters: Any, hyperparameters: Values) -> Any:
    """Transforms whole gradients `[rows, …]`; hyperparameters are numbers, or tensors that broadcast with these."""
    if structure.has("centralize"):
        gradients = units.centralized(gradients)
    if structure.has("clip_adaptive"):
        gradients = clipping.adaptive(gradients, parameters, hyperparameters["clip_adaptive"])
    return gradients


def constrain(
    structure: StepVariant, parameters: Any, hyperparameters: Values, norm: Callable[[Any], Any] = units.norm
) -> Any:
    """Constrains whole parameters `[rows, …]` after the update; hyperparameters as in `transform_gradients`.

    norm: the norms of units, in a shape that broadcasts with the parameters.
    """
    keras = structure.has("keras_regularizers")
    if structure.has("non_negative"):
        parameters = constraints.non_negative(parameters)
    if structure.has("max_norm") or structure.has("min_norm"):
        low, high = (hyperparameters[name] if structure.has(name) else None for name in ("min_norm", "max_norm"))
        parameters = constraints.norm_within(parameters, low, high, hyperparameters["norm_rate"], norm, as_keras=keras)
    if structure.has("unit_norm"):
        parameters = constraints.unit_norm(parameters, norm, as_keras=keras)
    return parameters


def step(
    structure: StepVariant, g: Value, p: Value, states: Values, t: Value, hyperparameters: Values
) -> tuple[Value, dict[str, Value]]:
    """One step of one parameter: (new parameter, new states by name). Pure; takes numbers, tensors or symbols.

    `hyperparameters` holds the numeric ones of rule and options; flags and absent switches come from the step variant.
    A constrained step ends before the constraint: `close` comes after it.
    """
    g, p = _gradient_for_rule(structure, g, p, hyperparameters), _decayed(structure, p, hyperparameters)
    update, after = _proposed(structure, g, p, states, t, hyperparameters)
    if structure.has("clip_update"):
        update = _update_factor(structure, update, hyperparameters) * update
    if structure.has("cautious"):
        update = caution.cautious(update, g)
    p = _proximal(structure, p - update, hyperparameters)
    if structure.constrains:
        return p, after
    p, averages = close(structure, p, states, t, hyperparameters)
    return p, {**after, **averages}


def _proximal(structure: StepVariant, p: Value, hyperparameters: Values) -> Value:
    """The new parameter after its proximal steps, whose size is the learning rate for every rule."""
    on = structure.penalized(options.PROXIMAL)
    if not on:
        return p
    rate = _rate(structure, hyperparameters)
    if "proximal_l1" in on:
        p = penalties.soft_threshold(p, rate * hyperparameters["proximal_l1"])
    if "proximal_l2" in on:
        p = penalties.shrunk(p, rate * hyperparameters["proximal_l2"])
    return p


def _proposed(
    structure: StepVariant, g: Value, p: Value, states: Values, t: Value, hyperparameters: Values
) -> tuple[Value, dict[str, Value]]:
    """Applies the rule to the gradient and the parameter that it sees: (update, new states)."""
    rule = structure.rule
    returned = rule(g, p, *(states[s.name] for s in rule.states), t, **_arguments(structure, hyperparameters))
    return _unpack(rule, returned)


def _gradient_for_rule(structure: StepVariant, g: Value, p: Value, hyperparameters: Values) -> Value:
    """The gradient that the rule sees."""
    clips_norm = structure.has("clip_global_norm") or structure.has("clip_tensor_norm")
    factor = _norm_factor(structure, g, hyperparameters) if clips_norm else 1.0
    if structure.has("maximize"):
        g = -g
    if clips_norm:
        g = factor * g
    if structure.has("clip_value"):
        g = clipping.by_value(g, hyperparameters["clip_value"])
    if structure.decays and not _is_decoupled(structure):
        g = decay.coupled(g, p, hyperparameters["weight_decay"])
    return _penalized(structure, g, p, hyperparameters)


def _penalized(structure: StepVariant, g: Value, p: Value, hyperparameters: Values) -> Value:
    """The gradient of the loss with its penalties."""
    on = structure.penalized(options.ADDED)
    if "l2" in on:
        twice = 2.0 if structure.has("keras_regularizers") else 1.0
        g = penalties.l2(g, p, twice * hyperparameters["l2"])
    return penalties.l1(g, p, hyperparameters["l1"]) if "l1" in on else g


def _norm_factor(structure: StepVariant, g: Value, hyperparameters: Values) -> Value:
    """The factor that limits first the global norm of all gradients, then that of the tensor's own."""
    factor: Value = 1.0
    if structure.has("clip_global_norm"):
        factor = clipping.norm_factor(global_norm(g, GRADIENT), hyperparameters["clip_global_norm"])
    if structure.has("clip_tensor_norm"):
        factor = factor * clipping.norm_factor(factor * norm(g), hyperparameters["clip_tensor_norm"])
    return factor


def _update_factor(structure: StepVariant, update: Value, hyperparameters: Values) -> Value:
    """The factor that limits the root mean square of a tensor's update, in units of the learning rate if there is one.

    Shazeer & Stern 2018, arXiv:1804.04235, section 6. The ratio is squared, not the update: no usual step overflows.
    """
    limit = hyperparameters["clip_update"] * _rate(structure, hyperparameters)
    ratio = update / maximum(limit, clipping.LEAST_DIVISOR)
    return 1 / maximum(sqrt(mean(ratio * ratio)), 1.0)


def _is_decoupled(structure: StepVariant) -> bool:
    """Whether weight decay applies to the parameter rather than to the gradient."""
    return structure.has("decoupled_weight_decay") or structure.has("independent_weight_decay")


def _decayed(structure: StepVariant, p: Value, hyperparameters: Values) -> Value:
    """The parameter after decoupled or independent weight decay. Of both, independent takes precedence."""
    if not (structure.decays and _is_decoupled(structure)):
        return p
    strength = hyperparameters["weight_decay"]
    if structure.has("independent_weight_decay"):
        return decay.independent(p, strength)
    return decay.decoupled(p, _rate(structure, hyperparameters), strength)


def _rate(structure: StepVariant, hyperparameters: Values) -> Value:
    """The learning rate; 1 of a rule without one."""
    return hyperparameters[structure.rule.rate] if structure.rule.rate else 1.0


def close(
    structure: StepVariant, p: Value, states: Values, t: Value, hyperparameters: Values
) -> tuple[Value, dict[str, Value]]:
    """The end of a step: (parameter, averages by name), all masked if there is a mask."""
    averages: dict[str, Value] = {}
    if structure.has("lookahead_steps"):
        every, share = hyperparameters["lookahead_steps"], hyperparameters["lookahead_alpha"]
        p, averages[SLOW.name] = averaging.lookahead(p, states[SLOW.name], t, every, share)
    if structure.has("ema_decay"):
        averages[EMA.name] = averaging.moving(states[EMA.name], p, hyperparameters["ema_decay"])
    if structure.has("masked"):
        mask = states[MASK.name]
        p, averages = masks.masked(p, mask), {name: masks.masked(x, mask) for name, x in averages.items()}
        averages[MASK.name] = mask
    return p, averages


def evaluated(structure: StepVariant, p: Value, states: Values, hyperparameters: Values) -> Value:
    """The weights to evaluate with, after a step: the moving average, or the rule's own, or the parameter."""
    if structure.has("ema_decay"):
        return states[EMA.name]
    of = structure.rule.evaluated
    if of is None:
        return p
    known = {**hyperparameters, **states}
    average = of(p, **{name: known[name] for name in list(inspect.signature(of).parameters)[1:]})
    return masks.masked(average, states[MASK.name]) if structure.has("masked") else average


def _unpack(rule: Rule, returned: Value) -> tuple[Value, dict[str, Value]]:
    names = [s.name for s in rule.states]
    if not isinstance(returned, tuple) or len(returned) != 1 + len(names):
        count = len(returned) if isinstance(returned, tuple) else "no tuple"
        raise TypeError(f"{rule.name} must return the tuple ({', '.join(['update', *names])}), got {count}.")
    return returned[0], dict(zip(names, returned[1:], strict=True))


def _arguments(structure: StepVariant, hyperparameters: Values) -> dict[str, Value]:
    def value(h: Hyperparameter) -> Value:
        if h.is_flag:
            return h.name in structure.flags
        return None if h.name in structure.absent else hyperparameters[h.name]

    given = {name: value(h) for name, h in structure.rule.hyperparameters.items()}
    return given | {"convention": structure.convention} if structure.rule.formulas else given
