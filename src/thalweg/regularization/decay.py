"""Weight decay in its three meanings. All are elementwise and accept numbers, tensors and symbols."""

from thalweg.numerics import Value


def coupled(gradient: Value, parameter: Value, strength: Value) -> Value:
    """The gradient of loss + strength/2·‖p‖² (L2): the penalty passes through the rule, its moments included."""
    return gradient + strength * parameter


def decoupled(parameter: Value, rate: Value, strength: Value) -> Value:
    """p·(1 - rate·strength), outside of the rule (Loshchilov & Hutter 2017, arXiv:1711.05101)."""
    return (1 - rate * strength) * parameter


def independent(parameter: Value, strength: Value) -> Value:
    """p·(1 - strength), independent of the learning rate (Wortsman et al. 2023, arXiv:2309.14322).

    Theirs, as Loshchilov & Hutter's, also follows the schedule's multiplier; here a schedule may drive the strength.
    """
    return (1 - strength) * parameter
