"""AdamW for the parameters that a rule of hidden matrices does not step."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from thalweg.rules.elementwise.adam import adam
from thalweg.rules.hyperparameters import Decay, Epsilon, Flag
from thalweg.rules.states import Zeros


def beside_adamw(function: Callable[..., Any]) -> Callable[..., Any]:
    """Extends a rule by a flag, `adamw`, with which AdamW steps a parameter instead, at the same learning rate.

    Its states `exp_avg` and `exp_avg_sq` come after the rule's, its hyperparameters `beta1`, `beta2` and `adamw_eps`
    too. Their defaults are those of Muon's authors.
    """

    @functools.wraps(function)
    def either(g: Any, p: Any, *held: Any, adamw: Any, beta1: Any, beta2: Any, adamw_eps: Any, **own: Any) -> Any:
        *states, exp_avg, exp_avg_sq, t = held
        if adamw:
            update, exp_avg, exp_avg_sq, _ = adam.rule(
                g, p, exp_avg, exp_avg_sq, exp_avg_sq, t, lr=own["lr"], beta1=beta1, beta2=beta2, eps=adamw_eps
            )
        else:
            update, *states = function(g, p, *states, t, **own)
        return update, *states, exp_avg, exp_avg_sq

    either.__signature__ = _extended(inspect.signature(function))  # type: ignore[attr-defined]
    return either


def _adamws(
    exp_avg: Zeros, exp_avg_sq: Zeros, *,
    adamw: Flag = False, beta1: Decay = 0.9, beta2: Decay = 0.95, adamw_eps: Epsilon = 1e-8,
) -> None:  # fmt: skip
    """Declares what AdamW adds to a rule's signature."""


def _extended(of: inspect.Signature) -> inspect.Signature:
    own, added = ([*s.parameters.values()] for s in (of, inspect.signature(_adamws)))
    positional, named = ([p for p in own if (p.kind is p.KEYWORD_ONLY) is keyword] for keyword in (False, True))
    states, flags = ([p for p in added if (p.kind is p.KEYWORD_ONLY) is keyword] for keyword in (False, True))
    return of.replace(parameters=[*positional[:-1], *states, positional[-1], *named, *flags])
