"""Weight decay in its two meanings. Both are elementwise and accept numbers, tensors and symbols."""

from thalweg.numerics import Value


def coupled(gradient: Value, parameter: Value, strength: Value) -> Value:
    """The gradient of loss + strength/2·‖p‖² (L2): the penalty passes through the rule, its moments included."""
    return gradient + strength * parameter


def decoupled(parameter: Value, rate: Value, strength: Value) -> Value:
    """p shrunk by rate·strength beside the rule (Loshchilov & Hutter 2017, arXiv:1711.05101)."""
    return (1 - rate * strength) * parameter
