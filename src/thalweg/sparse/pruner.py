"""Pruning while an optimizer trains, in a loop of one's own."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, shown
from thalweg.recipes.options import EMA, SLOW
from thalweg.regularization.mask_updates import Pruning
from thalweg.regularization.pruning import pruned_count
from thalweg.regularization.sparsity import SparsitySchedule

OTHERS = {"ax", "z", "exp_weights", "slow_buffer", "swa_buffer"}
"""States of other libraries' optimizers that hold weights: torch's ASGD, schedule-free ones, Lookahead."""


class Pruner:
    """Sets weights to zero while an optimizer trains them, and holds them there.

        pruner = Pruner(model, optimizer, sparsity=0.8, schedule="cubic", begin=1000, end=5000, frequency=100)
        for inputs, targets in batches:
            …
            optimizer.step()
            pruner.step()

    Works with every optimizer of `thalweg.optim` and `torch.optim`: after each step the mask is applied to the weights
    and to the averages of them that the optimizer keeps, so that neither momentum nor decay nor an average revives one.
    A gradient that a masked weight still has counts in norms, of clipping for example, as that of any other.

    Args:
        model: its parameters of two dimensions and more that require a gradient are pruned: never biases and norms.
        optimizer: what trains them; without one, only weights are masked.
        sparsity: the share of these weights that is zero at the end, in (0, 1).
        schedule: `"cubic"` or `"constant"`; see `regularization.sparsity.SparsitySchedule`.
        begin, end: the steps of the optimizer after which masks are first and last updated; 0 is before the first.
            `end` is `begin` by default where the schedule is constant, which prunes once; a cubic one needs it.
        frequency: steps between two updates.
        scope: `"global"`, the smallest of all weights; `"layer"`, the same share of each parameter; or `"2:4"`, two of
            every four inputs, at a sparsity of 0.5.
        method: `"magnitude"`, or `"random"`, the control, by `seed`.
        exclude: names of parameters, or shell patterns of names, that are not pruned.

    Raises:
        InputError: a value is out of range, a pattern matches nothing, or nothing is left to prune.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        sparsity: float,
        schedule: str = "cubic",
        begin: int = 0,
        end: int | None = None,
        frequency: int = 1,
        scope: str = "global",
        method: str = "magnitude",
        exclude: str | Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        if end is None and schedule == "cubic":
            raise InputError("schedule='cubic' needs end, the step of its last update.")
        when = SparsitySchedule(sparsity, begin, begin if end is None else end, frequency, schedule)
        self._pruning = Pruning(when, method, scope, exclude, seed)  # type: ignore[arg-type]  # it reads texts, too
        self._model, self._optimizer, self._step = model, optimizer, 0
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._weights = {name: trained[name] for name in self._pruning.names(trained)}
        self.masks: dict[str, Tensor] = {n: torch.ones_like(p, dtype=torch.bool) for n, p in self._weights.items()}
        if self._pruning.updates(0):
            self._update()
            self.apply()

    @property
    def steps(self) -> int:
        """How many steps it has taken."""
        return self._step

    @property
    def sparsity(self) -> float:
        """The share of the prunable weights that are masked now."""
        return 1 - sum(int(m.sum()) for m in self.masks.values()) / sum(m.numel() for m in self.masks.values())

    def planned(self, step: int) -> int:
        """How many weights are masked after an update at this step, of a scope that is not `"layer"`."""
        return pruned_count(sum(m.numel() for m in self.masks.values()), self._pruning.schedule.at(step))

    @torch.no_grad()
    def step(self) -> None:
        """Call it after each `optimizer.step()`: updates the masks where that is due, and applies them."""
        self._step += 1
        self.masks = {n: m.to(self._weights[n].device) for n, m in self.masks.items()}  # the model may have moved
        if self._pruning.updates(self._step):
            self._update()
        self.apply()

    def _update(self) -> None:
        self.masks = self._pruning.masks(self._step, self._weights, self.masks)

    @torch.no_grad()
    def apply(self, model: nn.Module | None = None) -> None:
        """Sets masked weights to zero; without a model, those of its own, and of the optimizer's averages of them.

        model: another one with these parameters, such as an average of your own.

        Raises:
            InputError: a model that lacks a pruned parameter.
        """
        others = self._weights if model is None else dict(model.named_parameters())
        for name, mask in self.masks.items():
            own = others.get(name, others.get(f"module.{name}"))  # torch's AveragedModel wraps it
            if own is None or own.shape != mask.shape:
                raise InputError(f"The model has no parameter {shown(name)} of shape {[*mask.shape]}, which is pruned.")
            hidden = ~mask.to(own.device)
            for tensor in (own, *(_weights_of(self._optimizer, own) if model is None else ())):
                tensor.masked_fill_(hidden, 0)

    def state_dict(self) -> dict[str, Any]:
        """The steps taken, the masks and the settings; beside those of model and optimizer, a run resumes bitwise."""
        return {"step": self._step, "masks": {n: m.clone() for n, m in self.masks.items()}, "settings": self._settings}

    @property
    def _settings(self) -> str:
        return self._pruning.described

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a `state_dict`.

        Raises:
            InputError: it is of a pruner with other settings, or of another model.
        """
        if not {"step", "masks", "settings"} <= state.keys():
            raise InputError("The state is not of a Pruner: it needs step, masks and settings.")
        if state["settings"] != self._settings:
            raise InputError(f"The state is of another pruner, {state['settings']}, not of {self._settings}.")
        shapes = {name: mask.shape for name, mask in self.masks.items()}
        if {name: mask.shape for name, mask in state["masks"].items()} != shapes:
            raise InputError("The state is of another model: its masks have other names or shapes.")
        self._step = int(state["step"])
        self.masks = {n: state["masks"][n].to(m.device, torch.bool).clone() for n, m in self.masks.items()}
        self.apply()


def _weights_of(optimizer: torch.optim.Optimizer | None, parameter: Tensor) -> list[Tensor]:
    """The optimizer's states of a parameter that hold weights."""
    if optimizer is None:
        return []
    recipe = getattr(optimizer, "recipe", None)
    states = () if recipe is None else recipe.rule.states
    named = {SLOW.name, EMA.name, *(s.name for s in states if s.holds_weights), *(OTHERS if recipe is None else ())}
    found = optimizer.state.get(parameter, {})
    return [x for name, x in found.items() if name in named and isinstance(x, Tensor) and x.shape == parameter.shape]
