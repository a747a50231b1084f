"""The state of a drop-in's parameters in torch's layout: `step`, and the rule's states by torch's names."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from thalweg.execution.whole import matrix_state
from thalweg.optim.interop.precision import Precision
from thalweg.optim.state import quantized_state
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.trace import Program, trace
from thalweg.rules.states import PARAMETER, State

States = MutableMapping[Any, Any]

RESIDUAL = "compensation"
"""The name of the state that holds the residual of compensated rounding."""


@dataclass(frozen=True)
class Needs:
    """The state that steps of a param group need, by step variant, hyperparameters and precision."""

    structure: StepVariant
    values: Mapping[str, Any]
    precision: Precision

    @cached_property
    def program(self) -> Program:
        return trace(self.structure)

    @property
    def _names(self) -> tuple[str, ...]:
        """All states that a step reads."""
        return (*self.program.states, *self.program.matrix_states, *self.program.row_states)

    def keeps(self, params: Sequence[Tensor]) -> bool:
        """Whether any of the parameters has any state. Plain SGD in float32 has none, as in torch."""
        own = self.program.states or self.program.row_states or self.program.matrix_states
        return bool(own) or self.counts(params) or any(map(self.precision.compensates, params))

    def row_dtype(self, state: Mapping[str, Any]) -> torch.dtype | None:
        """The dtype of a parameter's row states, one number each; `None` where it has none."""
        return next((state[name].dtype for name in self.program.row_states), None)

    def missing(self, state: Mapping[str, Any]) -> str:
        """A state of the rule that is missing while others exist; empty where all or none exist."""
        rule = self.structure.rule
        own = [s.name for s in rule.states if s.name in self._names]
        own += ["step"] if self.structure.rule_counts else []
        present = any(state.get(name) is not None for name in ("step", *(s.name for s in rule.states)))
        return next((name for name in own if state.get(name) is None), "") if present else ""

    def counts(self, params: Sequence[Tensor]) -> bool:
        """Whether steps are counted: for the rule, or for stochastic rounding."""
        return self.structure.counts_steps or self.precision.chances(params)

    def create(self, all_states: States, params: Sequence[Tensor]) -> None:
        """Creates every parameter's state as a first step would, except states that start as the parameter."""
        counted = self.counts(params)
        for p in params:
            self._start_counting(all_states[p], fresh=True, counted=counted)
            self._create(all_states[p], p, early=True)

    def ensure(self, state: States, p: Tensor, *, counted: bool) -> bool:
        """Creates a parameter's missing state. Returns whether none of the rule's existed."""
        fresh = all(state.get(s.name) is None for s in self.structure.rule.states if s.name in self._names)
        self._start_counting(state, fresh=fresh, counted=counted)
        self._create(state, p, early=False)
        return fresh

    def _start_counting(self, state: States, *, fresh: bool, counted: bool) -> None:
        """Starts the step count at 0, or at 1 where a rule without a count has state: that means a step was taken."""
        if counted and "step" not in state:
            start = 0.0 if fresh or self.structure.rule_counts else 1.0
            state["step"] = torch.tensor(start, dtype=scalar_dtype())

    def _create(self, state: States, p: Tensor, *, early: bool) -> None:
        """Creates missing state. early: before the parameter's first step, when its value may still change."""
        missing = {name for name in self._names if state.get(name) is None}
        for declared in self.structure.states if missing else ():
            if declared.name in missing and not (early and declared.initial == PARAMETER):
                state.update(_initial(declared, p, self.values, self.precision))
        if self.precision.compensates(p) and state.get(RESIDUAL) is None:
            state[RESIDUAL] = torch.zeros_like(p, dtype=torch.int16, memory_format=torch.preserve_format)


def adopt(recipe: Recipe, all_states: States) -> None:
    """Converts loaded state to the layout: step counts that old checkpoints hold as numbers become tensors."""
    for state in all_states.values():
        if "step" in state and not isinstance(state["step"], Tensor):
            state["step"] = torch.tensor(float(state["step"]), dtype=scalar_dtype())


def _initial(declared: State, p: Tensor, values: Mapping[str, Any], precision: Precision) -> dict[str, Tensor]:
    """The initial state, with its scales if it is quantized."""
    name, start, dtype = declared.name, declared.first(values, p), precision.dtype(p, weights=declared.holds_weights)
    if declared.initial == PARAMETER:
        start = start if torch.is_grad_enabled() else start.detach()
        return {name: start.to(dtype, copy=True, memory_format=torch.preserve_format)}
    if declared.shape is not None:
        return {name: matrix_state(declared, p, start)}
    row = torch.float64 if declared.double else scalar_dtype()
    if isinstance(start, Tensor) and start.requires_grad:  # a learning rate that autograd follows
        whole = start.to(row) if declared.per_row else start.to(dtype) + torch.zeros_like(p, dtype=dtype)
        return {name: torch.complex(whole, whole) if p.is_complex() and not declared.per_row else whole}
    if declared.per_row:
        return {name: torch.tensor(float(start), dtype=row)}
    if precision.in_8_bits(p) and not declared.holds_weights:
        return quantized_state.filled(name, p, float(start))
    start = float(start)  # a learning rate may be a tensor
    fill = complex(start, start) if p.is_complex() else start
    return {name: torch.full_like(p, fill, dtype=dtype, memory_format=torch.preserve_format)}


def scalar_dtype() -> torch.dtype:
    """The dtype of step counts, as in torch."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
