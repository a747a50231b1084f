"""Named comparisons from textbooks, with their settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from thalweg.errors import InputError, shown, suggest


@dataclass(frozen=True)
class Example:
    """A comparison at fixed settings: every optimizer uses its source's learning rate.

    workload: name of a built-in workload, with the source's epochs and batch size.
    """

    workload: str
    summary: str
    optimizers: tuple[str, ...]
    convention: str = "keras"


NINE = tuple(
    f"{name} = {name}({', '.join(('lr=1e-3', *own))})"
    for name, *own in (
        ("sgd",),
        ("momentum", "momentum=0.9"),
        ("nesterov", "momentum=0.9"),
        ("adagrad",),
        ("rmsprop", "alpha=0.9"),
        ("adam", "beta1=0.9", "beta2=0.999"),
        ("adamax", "beta1=0.9", "beta2=0.999"),
        ("nadam", "beta1=0.9", "beta2=0.999"),
        ("adamw", "beta1=0.9", "beta2=0.999", "weight_decay=1e-5"),
    )
)
FOUR = (
    "adagrad = adagrad(lr=1e-3, initial_accumulator_value=0.1, eps=1e-7)",
    "adadelta = adadelta(lr=1e-3, rho=0.95, eps=1e-7)",
    "adam = adam(lr=0.01)",
    "adabound = adabound(lr=1e-3, final_lr=0.1)",
)

EXAMPLES: Mapping[str, Example] = {
    "nine-on-fashion-mnist": Example(
        "fashion-mnist", "Nine optimizers at a learning rate of 0.001 on an MLP, as in Hands-On Machine Learning", NINE
    ),
    "four-on-mnist-cnn": Example(
        "mnist-cnn", "Adagrad, Adadelta, Adam and AdaBound on a convolutional network with batch norm", FOUR
    ),
}


def example(name: str) -> Example:
    """The example called `name`. Raises `InputError` with the nearest known names."""
    if name not in EXAMPLES:
        raise InputError(f"Unknown example {shown(name)}. {suggest(name, EXAMPLES)}")
    return EXAMPLES[name]
