"""Weight averages over training. Elementwise; each starts as a copy of the parameter."""

from thalweg.numerics import Value, where


def lookahead(parameter: Value, slow: Value, t: Value, every: Value, share: Value) -> tuple[Value, Value]:
    """(parameter, slow weights) after step t: at every `every`-th, slow ← slow + share·(p - slow) and p ← slow.

    The rule's own state is unchanged. Zhang et al. 2019, arXiv:1907.08610, Algorithm 1.
    """
    meets = t % every == 0
    slow = where(meets, slow + share * (parameter - slow), slow)
    return where(meets, slow, parameter), slow


def moving(average: Value, parameter: Value, decay: Value) -> Value:
    """The exponential moving average of the parameter. It starts as the parameter, and so needs no bias correction."""
    return decay * average + (1 - decay) * parameter
