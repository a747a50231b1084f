"""The optimizers of a model in the plain loop: ours, and those of other libraries."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.population.program.randomness import mix, seeded
from thalweg.population.training.autograd import Evaluated
from thalweg.population.training.job import Job
from thalweg.population.training.live_parameters import LiveParameters
from thalweg.population.updates.foreign_state import packed, unpack
from thalweg.population.updates.hyperparameters import groups_of, parameter_groups
from thalweg.population.updates.maskable import Maskable
from thalweg.population.updates.members import Member
from thalweg.population.updates.model_rules import ModelRules, model_rule_of
from thalweg.population.updates.partial_updates import PartialUpdates
from thalweg.population.updates.snapshot import Snapshot
from thalweg.recipes.imported import Imported
from thalweg.regularization.clipping import by_global_norm
from thalweg.schedules import Schedule

Gradients = Mapping[str, Tensor]
Evaluate = Callable[[Callable[[], object] | None], Evaluated]
"""Loss and gradients of the step's batch, given the function that clears the gradients before."""

GOING = np.ones(1, np.bool_)


class ModelOptimizer(Protocol):
    """Trains the parameters of one model.

    averages: whether the model is evaluated by `weights`, averages of its parameters. bytes: of its parameters,
    gradients and state.
    """

    parameters: dict[str, Tensor]

    @property
    def averages(self) -> bool: ...

    @property
    def bytes(self) -> int: ...

    def plan(self, first: int, steps: int) -> None:
        """Prepares steps `first`, …, `first + steps - 1`."""

    def step(self, t: int, evaluate: Evaluate) -> float:
        """Takes step `t`; returns the loss before it. No update follows a loss that is not finite."""

    def weights(self) -> dict[str, Tensor]: ...

    def maskable(self) -> dict[str, Maskable]:
        """The masked parameters by name; none of another library's optimizer."""

    def state(self) -> Snapshot | None:
        """Its state; `None` if some of it is out of reach."""

    def restore(self, state: Snapshot) -> None: ...


def optimizer_of(job: Job, member: Member, model: nn.Module) -> ModelOptimizer:
    """The member's optimizer over its model's parameters."""
    if not isinstance(member.recipe, Imported):
        return OwnOptimizer(job, member, model)
    return (ClosureOptimizer if member.recipe.needs_closure else ForeignOptimizer)(job, member, model)


class OwnOptimizer:
    """An optimizer of a rule."""

    def __init__(self, job: Job, member: Member, model: nn.Module) -> None:
        self._copies, self._model = member.copies, model
        rule = model_rule_of([member])
        self._rules = None if rule is None else ModelRules(rule, [member])
        self._live = LiveParameters(model)
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self.parameters = self._live.stacked
        self._updates = PartialUpdates(member, self.parameters, groups_of(job.workload, model, [member.recipe]))

    @property
    def averages(self) -> bool:
        return self._updates.averages

    @property
    def bytes(self) -> int:
        return self._copies * sum(p.numel() * p.element_size() for p in self._trained)

    def plan(self, first: int, steps: int) -> None:
        if self._rules is not None:
            self._rules.plan(first, steps)
        self._updates.plan(first, steps)

    def step(self, t: int, evaluate: Evaluate) -> float:
        evaluated = evaluate(None)
        if math.isfinite(evaluated.loss):
            chosen: Gradients = self._live.chosen(evaluated)
            if self._rules is not None:
                chosen = self._by_rule(self._rules, t, evaluate, evaluated.loss, chosen)
            moved = self._live.fetch()
            self._updates.step(t, chosen, GOING)
            self._live.put(moved)
        return evaluated.loss

    def _by_rule(self, rules: ModelRules, t: int, evaluate: Evaluate, loss: float, gradients: Gradients) -> Gradients:
        """The gradients `[1, …]` of the model rule, from those at the parameters. Buffers are those of that call."""
        own, buffers = self._live.stacked, {n: b.clone() for n, b in self._model.named_buffers()}
        moved = self._live.fetch()
        kept = {name: x.clone() for name, x in own.items()}

        def at(parameters: Mapping[str, Tensor]) -> tuple[Tensor, Gradients]:
            if parameters is own:
                return torch.tensor([loss]), gradients
            self._put(parameters, moved)
            found = evaluate(None)
            return torch.tensor([found.loss]), self._live.chosen(found)

        try:
            return rules.evaluated(t, at, own)
        finally:
            self._put(kept, moved)
            for name, b in self._model.named_buffers():
                if name in buffers:  # else the second evaluation has made it
                    b.copy_(buffers[name])

    def _put(self, parameters: Mapping[str, Tensor], moved: Mapping[str, nn.Parameter]) -> None:
        for name, x in parameters.items():
            self._live.stacked[name].copy_(x)
        self._live.put(moved)

    def weights(self) -> dict[str, Tensor]:
        return {name: tensor[0] for name, tensor in self._updates.weights().items()}

    def maskable(self) -> dict[str, Maskable]:
        return self._updates.maskable()

    def state(self) -> Snapshot:
        return self._updates.state()

    def restore(self, state: Snapshot) -> None:
        self._updates.restore(state)


class ForeignOptimizer:
    """Another library's optimizer, over the parameters that require a gradient."""

    averages = False

    def __init__(self, job: Job, member: Member, model: nn.Module) -> None:
        assert isinstance(member.recipe, Imported)
        self._job, self._model, self._seed, recipe = job, model, member.seed, member.recipe
        self._limit = recipe.limit_of(member.values)
        self._live = LiveParameters(model)
        self.parameters = self._live.stacked
        with torch.enable_grad():
            groups = parameter_groups(job.workload, model, member.values)
            first = [_as_numbers(group) if isinstance(group, dict) else group for group in groups]
            self._optimizer = recipe.of(first, _as_numbers(member.values), recipe.path)
        own = [group if isinstance(group, dict) else {} for group in groups[: len(self._optimizer.param_groups)]]
        self._followed = [_schedules({**member.values, **group}) for group in own]

    @property
    def bytes(self) -> int:
        trained = sum(p.numel() * p.element_size() for p in self._model.parameters() if p.requires_grad)
        held = (x for state in self._optimizer.state.values() for x in state.values() if isinstance(x, Tensor))
        return 2 * trained + sum(x.numel() * x.element_size() for x in held)

    def plan(self, first: int, steps: int) -> None:
        """Nothing: it counts its steps itself."""

    def step(self, t: int, evaluate: Evaluate) -> float:
        self._follow(t)
        evaluated = evaluate(self._optimizer.zero_grad)
        if math.isfinite(evaluated.loss):
            stacked = self._live.chosen(evaluated)
            self._live.require_known(stacked)
            if self._limit:
                self._set_gradients(stacked)
            with self._seeded(t), torch.enable_grad():  # as in a user's loop
                self._optimizer.step()
        return evaluated.loss

    def _follow(self, t: int) -> None:
        """Sets what is scheduled to its value at step `t`. A group with a number of its own keeps it, as in ours."""
        for group, schedules in zip(self._optimizer.param_groups, self._followed, strict=True):
            for name, schedule in schedules.items():
                group[name] = float(schedule(t - 1))

    def _set_gradients(self, stacked: Gradients) -> None:
        """Gives each parameter its gradient `[1, …]`, clipped by the norm of all; the others' are `None`."""
        stacked = by_global_norm(stacked, self._limit) if self._limit else stacked
        for name, parameter in self._model.named_parameters():
            parameter.grad = stacked[name][0] if name in stacked else None

    def _seeded(self, t: int) -> AbstractContextManager[None]:
        """Seeds random numbers of the optimizer's own from a stream that no call of the model uses."""
        return seeded(mix(self._seed, t, 0), t, random=self._job.late, outside=self._job.late)

    def weights(self) -> dict[str, Tensor]:
        return {}

    def maskable(self) -> dict[str, Maskable]:
        return {}

    def state(self) -> Snapshot | None:
        return packed(self._optimizer)

    def restore(self, state: Snapshot) -> None:
        unpack(self._optimizer, state)


def _as_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters with which an optimizer is made: in the place of a schedule, which may begin at 0, its base."""
    return {n: (v.required_base or 1.0) if isinstance(v, Schedule) else v for n, v in values.items()}


def _schedules(values: Mapping[str, Any]) -> dict[str, Schedule]:
    return {name: value for name, value in values.items() if isinstance(value, Schedule)}


class ClosureOptimizer(ForeignOptimizer):
    """Another library's optimizer whose step evaluates the batch itself, as L-BFGS's does."""

    def step(self, t: int, evaluate: Evaluate) -> float:
        """Evaluates the same batch with the same dropout at every call of the closure."""

        def once() -> float:
            evaluated = evaluate(None)
            stacked = {name: g[None] for name, g in evaluated.gradients.items() if name in self._job.trained}
            self._set_gradients(stacked)
            return evaluated.loss

        self._follow(t)
        with self._seeded(t):
            return step_by_closure(self._optimizer, once)


def step_by_closure(optimizer: torch.optim.Optimizer, evaluate: Callable[[], float]) -> float:
    """Steps once; returns the loss of the first evaluation. `evaluate` sets the parameters' gradients each time."""
    losses: list[float] = []
    dtype = optimizer.param_groups[0]["params"][0].dtype

    def closure() -> Tensor:
        losses.append(evaluate())
        return torch.tensor(losses[-1], dtype=dtype)

    with torch.enable_grad():  # as in a user's loop
        optimizer.step(closure)  # type: ignore[arg-type]
    if not losses:
        raise RuntimeError("its step takes a closure and does not call it")
    return losses[0]
