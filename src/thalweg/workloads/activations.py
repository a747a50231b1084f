"""Activation functions by name."""

from torch import nn

from thalweg.errors import InputError, shown, suggest

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(name: str) -> nn.Module:
    """The activation of a name, in letters of any case, with torch's defaults. Raises `InputError` for another name."""
    known = name.strip().lower().replace("_", "-") if isinstance(name, str) else None
    if known not in ACTIVATIONS:
        raise InputError(f"No activation is called {shown(name)}. {suggest(str(known), ACTIVATIONS)}")
    return ACTIVATIONS[known]()
