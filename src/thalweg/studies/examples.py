"""Named comparisons from textbooks, with their settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from thalweg.errors import InputError, shown, suggest


@dataclass(frozen=True)
class Example:
    """A comparison at fixed settings: every optimizer uses its source's learning rate.

    workload: name of a built-in workload. epochs, batch_size: the source's, where they are not the workload's own.
    """

    workload: str
    summary: str
    optimizers: tuple[str, ...]
    convention: str = "keras"
    epochs: int | None = None
    batch_size: int | None = None


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

SCHEDULES = (
    "constant = sgd(lr=0.01)",
    "power = sgd(lr=power(0.01, steps=10000))",
    "exponential = sgd(lr=exponential(0.01, steps=20 epochs))",
    "piecewise = sgd(lr=piecewise(0.01, boundaries=[5 epochs, 15 epochs], values=[0.01, 0.005, 0.001]))",
    "performance = sgd(lr=performance(0.01, factor=0.5, patience=5))",
)
"""Hands-On's: decay 1e-4 a step, a tenth every 20 epochs, 0.01, 0.005 and 0.001, half after 5 epochs without a gain."""

ONE_CYCLE = ("constant = sgd(lr=0.01)", "1cycle = sgd(lr=1cycle(0.1, rise=45%, fall=45%, start=10%, momentum=False))")
OWN_RATES = (
    "sgd at 5e-3 = sgd(lr=5e-3)",
    "sgd at 1e-3 = sgd(lr=1e-3)",
    "momentum at 5e-3 = momentum(lr=5e-3)",
    "momentum at 1e-3 = momentum(lr=1e-3)",
    "rmsprop at 1e-4 = rmsprop(lr=1e-4)",
    "rmsprop at 1e-3 = rmsprop(lr=1e-3)",
    "adam at 1e-3 = adam(lr=1e-3)",
)
RMSPROP = tuple(f"rmsprop at {rate} = rmsprop(lr={rate})" for rate in ("1e-5", "5e-5", "1e-4", "5e-4"))

EXAMPLES: Mapping[str, Example] = {
    "nine-on-fashion-mnist": Example(
        "fashion-mnist", "Nine optimizers at a learning rate of 0.001 on an MLP, as in Hands-On Machine Learning", NINE
    ),
    "four-on-mnist-cnn": Example(
        "mnist-cnn", "Adagrad, Adadelta, Adam and AdaBound on a convolutional network with batch norm", FOUR
    ),
    "schedules-on-fashion-mnist": Example(
        "fashion-mnist",
        "SGD from 0.01 under power, exponential, piecewise and performance scheduling, as in Hands-On Machine Learning",
        SCHEDULES,
        epochs=25,
    ),
    "one-cycle-on-fashion-mnist": Example(
        "fashion-mnist",
        "SGD under 1cycle up to 0.1 in batches of 128, as in Hands-On Machine Learning",
        ONE_CYCLE,
        epochs=25,
        batch_size=128,
    ),
    "own-rates-on-fashion-mnist": Example(
        "fashion-mnist", "SGD, momentum, RMSprop and Adam, each at its own usual rate and at 0.001", OWN_RATES
    ),
    "rmsprop-rates-on-fashion-mnist": Example(
        "fashion-mnist", "RMSprop at four learning rates from 1e-5 to 5e-4", RMSPROP
    ),
}


def example(name: str) -> Example:
    """The example called `name`. Raises `InputError` with the nearest known names."""
    if name not in EXAMPLES:
        raise InputError(f"Unknown example {shown(name)}. {suggest(name, EXAMPLES)}")
    return EXAMPLES[name]
