"""The families of optimizers, one of which each rule declares: the groups of lists."""

from collections.abc import Mapping

FAMILIES: Mapping[str, str] = {
    "momentum": "gradient descent and momentum",
    "sign": "methods by sign",
    "coordinate": "rates per coordinate",
    "adam": "Adam and its kin",
    "average": "averaged and schedule-free",
    "layer": "layer by layer, for large batches",
    "matrix": "methods of matrices",
}
"""Family → its heading, in the order of lists."""
