"""Model rules of a drop-in: the gradients of a closure, taken at other parameters, which then are as before."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.optim.interop import sharded
from thalweg.optim.interop.signature import class_name
from thalweg.optim.stepping.reading import plain
from thalweg.options.ranges import as_number
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import MODEL_RULES
from thalweg.rules.model_contract import ModelRule


def loss(recipe: Recipe, groups: Sequence[Mapping[str, Any]], closure: Callable[[], Any] | None) -> Any:
    """What `closure` returns, the gradients set as it leaves them or as a model rule takes them."""
    for group in groups:
        if any(map(group.get, MODEL_RULES)) and (by := _rule_of(recipe, groups)):
            return evaluated(recipe, groups, closure, by)
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _rule_of(recipe: Recipe, groups: Sequence[Mapping[str, Any]]) -> tuple[ModelRule, float] | None:
    """The model rule of a step, with its strength. Raises `InputError` where param groups differ."""
    owner = class_name(recipe)
    for name, rule in MODEL_RULES.items():
        found = [recipe.hyperparameters[name].check(owner, plain(group.get(name, 0.0))) for group in groups]
        if any(found):
            upward = [bool(group.get("maximize")) for group in groups]
            for key, values in ((name, found), ("maximize", upward)):
                if len(set(values)) > 1:
                    raise InputError(
                        f"The {key!r} of {owner} with {name} must be one for all param groups, got {values}."
                    )
            return rule, float(found[0])
    return None


def evaluated(
    recipe: Recipe, groups: Sequence[Mapping[str, Any]], closure: Callable[[], Any] | None, by: tuple[ModelRule, float]
) -> Any:
    """Sets the gradients that the rule takes, by calls of `closure`; returns what its first call returned.

    Parameters are bitwise as before. Every call draws the same random numbers of torch's, as for dropout. Whatever else
    the model changes in a call, such as the statistics of batch norm, it changes at every call.
    """
    rule, strength = by
    upward = bool(groups[0].get("maximize"))  # what is worst nearby is then what is smallest
    if closure is None:
        raise InputError(
            f"{class_name(recipe)} with {rule.name}={strength:g} evaluates the batch {rule.evaluations} times: call"
            " step(closure), with a closure that clears the gradients, computes the loss, calls backward() and returns"
            " the loss."
        )
    own = {str(i): p for i, p in enumerate(p for group in groups for p in group["params"])}
    _require_own_memory(recipe, rule, own.values())
    kept = {name: p.detach().clone() for name, p in own.items()}
    points, losses = {name: p[None] for name, p in kept.items()}, list[Any]()

    def evaluate(parameters: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        if parameters is not points:
            _write(own, {name: x[0] for name, x in parameters.items()})
        with torch.enable_grad():
            losses.append(closure() if not losses else again(closure))
        return _number(losses[-1]), _gradients(recipe, rule, own)

    again, signed = _Drawn(_device(own)), -strength if upward else strength
    try:
        with torch.no_grad():
            _, gradients = rule(evaluate, points, torch.tensor([signed], dtype=torch.float64, device=_device(own)))
    finally:
        _write(own, kept)
    for name, p in own.items():
        p.grad = gradients[name][0] if name in gradients else None
    return losses[0]


class _Drawn:
    """Calls with the random numbers of the first call, of the CPU and a device; torch's generators stay as after it."""

    def __init__(self, device: torch.device) -> None:
        self._modules: list[Any] = [torch.random]
        if device.type not in ("cpu", "meta"):
            self._modules.append(torch.get_device_module(device))
        self._before = [module.get_rng_state() for module in self._modules]

    def __call__(self, closure: Callable[[], Any]) -> Any:
        after = [module.get_rng_state() for module in self._modules]
        try:
            for module, state in zip(self._modules, self._before, strict=True):
                module.set_rng_state(state)
            return closure()
        finally:
            for module, state in zip(self._modules, after, strict=True):
                module.set_rng_state(state)


def _number(loss: Any) -> Tensor:
    """What a closure returned, `[1]`; NaN for anything but one number."""
    number = as_number(loss.detach() if isinstance(loss, Tensor) else loss)
    return torch.tensor([float("nan") if number is None else number])


def _require_own_memory(recipe: Recipe, rule: ModelRule, params: Any) -> None:
    if any(map(sharded.spread, params)):
        raise InputError(
            f"{class_name(recipe)} with {rule.name} evaluates at other parameters, which must be whole on one machine;"
            " got a DTensor."
        )


def _gradients(recipe: Recipe, rule: ModelRule, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {name: p.grad for name, p in own.items() if p.grad is not None}
    if any(g.layout != torch.strided for g in found.values()):
        raise InputError(f"{class_name(recipe)} with {rule.name} takes dense gradients, got a sparse one.")
    return {name: g.detach().clone()[None] for name, g in found.items()}


def _write(own: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(values[name])


def _device(own: Mapping[str, Tensor]) -> torch.device:
    return next(iter(own.values())).device
