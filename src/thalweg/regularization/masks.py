"""Masks: parameters fixed at zero."""

from thalweg.numerics import Value


def masked(p: Value, mask: Value) -> Value:
    """The parameter where the mask is 1, 0 where it is 0."""
    return p * mask
