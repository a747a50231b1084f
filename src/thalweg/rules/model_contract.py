"""The contract of a rule that evaluates the model: the gradients of any other rule, taken elsewhere.

A model rule is a pure function `(evaluate, parameters, strength) -> (loss, gradients)`. `evaluate(parameters)` gives
the loss `[members]` and the gradients by name of the step's batch, with the same dropout masks at each call; parameters
and gradients are `[members, …]`, and a parameter that the loss does not reach has no gradient. What the rule returns
takes the place of the loss and the gradients at the parameters themselves; any rule steps by them.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # listing optimizers must not need torch
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]
Evaluate = Callable[[Tensors], tuple["Tensor", Tensors]]


@dataclass(frozen=True)
class ModelRule:
    """A declared model rule. Calling it calls the function.

    name: of its option, whose value is its strength; 0 is off. evaluations: of the batch, in each step.
    """

    name: str
    function: Callable[[Evaluate, Tensors, "Tensor"], tuple["Tensor", Tensors]]
    paper: str
    meaning: str
    evaluations: int

    def __reduce__(self) -> Any:
        return _model_rule_in, (self.function.__module__, self.name)

    def __deepcopy__(self, memo: Any) -> "ModelRule":
        return self

    def __call__(self, evaluate: Evaluate, parameters: Tensors, strength: "Tensor") -> "tuple[Tensor, Tensors]":
        return self.function(evaluate, parameters, strength)


def _model_rule_in(module: str, name: str) -> ModelRule:
    found: ModelRule = getattr(importlib.import_module(module), name)
    return found


def model_rule(*, paper: str, meaning: str, evaluations: int = 2) -> Callable[[Callable[..., object]], ModelRule]:
    """Declares a function as a model rule, which becomes an option of every optimizer, under the function's name.

    meaning: a short text on the option's value. evaluations: of the batch, in each step.
    """

    def declare(function: Callable[..., object]) -> ModelRule:
        return ModelRule(function.__name__, function, paper, meaning, evaluations)  # type: ignore[arg-type]

    return declare


def norm_of_all(tensors: "Iterable[Tensor]") -> "Tensor":
    """√Σx² of each member over all tensors `[members, …]`, float64 `[members]`."""
    squares = [x.reshape(len(x), -1).abs().double().square().sum(1) for x in tensors]
    total = squares[0]
    for other in squares[1:]:
        total = total + other
    return total.sqrt()


def along(values: "Tensor", like: "Tensor") -> "Tensor":
    """One number a member, `[members]`, in a shape that broadcasts with a tensor `[members, …]`.

    In float32 beside low precision, whose range a factor may exceed: a product with it is float32, too.
    """
    import torch  # lazy: listing optimizers must not need torch

    wide = torch.float64 if like.real.dtype is torch.float64 else torch.float32
    return values.to(wide).view(-1, *[1] * (like.ndim - 1))
