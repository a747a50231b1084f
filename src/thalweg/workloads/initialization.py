"""Random initial weights of linear layers and convolutions: He, Glorot and LeCun; normal, truncated normal, uniform."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, shown, suggest

STD_OF_CUT_NORMAL = 0.87962566103423978
"""Standard deviation of a standard normal distribution truncated at ±2. Keras divides by it, so that the weights have
the requested deviation after truncation."""

VARIANCES: dict[str, Callable[[float, float], float]] = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
"""The variance of a weight, by the inputs of a unit and the outputs that an input reaches: He et al. 2015,
arXiv:1502.01852; Glorot & Bengio 2010; LeCun et al. 1998."""


def _normal(weight: Tensor, std: float) -> None:
    nn.init.normal_(weight, std=std)


def _truncated_normal(weight: Tensor, std: float) -> None:
    std /= STD_OF_CUT_NORMAL
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def _uniform(weight: Tensor, std: float) -> None:
    limit = math.sqrt(3) * std
    nn.init.uniform_(weight, -limit, limit)


DISTRIBUTIONS: dict[str, Callable[[Tensor, float], None]] = {
    "normal": _normal,
    "truncated-normal": _truncated_normal,
    "uniform": _uniform,
}
TORCH = "torch"
INITS = (*(f"{scale}-{of}" for scale in VARIANCES for of in DISTRIBUTIONS), TORCH)
"""`"torch"` leaves layers as torch makes them: weights and biases uniform, ±1 / √(fan in)."""

Convolution = nn.modules.conv._ConvNd


def initialize(model: nn.Module, init: str = "he-normal") -> nn.Module:
    """Draws the weights of all linear layers and convolutions anew, in place, and sets their biases to zero.

    `"he-normal"` is a normal distribution of deviation √(2 / fan in); `"he-truncated-normal"` is Keras's `he_normal`,
    which is truncated at two deviations and has the same; `"glorot-uniform"` is ±√(6 / (fan in + fan out)), Keras's
    default; and so on for He (for ReLU), Glorot (tanh, sigmoid) and LeCun (SELU), each normal, truncated normal or
    uniform. Other layers stay as they are: embeddings (unless they share a weight with a linear layer), recurrent and
    normalization layers, the projections within an attention layer, and what is frozen.

    Args:
        model: any module, which may be a single layer.
        init: a name, in letters of any case; `"torch"` changes nothing.

    Returns:
        The model.

    Raises:
        InputError: no such name, no such layer, or one whose weight cannot be drawn: a lazy, a complex or a
            parametrized one.
    """
    name = init_name(init)
    if not isinstance(model, nn.Module):
        raise InputError(f"initialize takes an nn.Module, got {shown(model)}.")
    layers = {path: m for path, m in model.named_modules() if isinstance(m, nn.Linear | Convolution)}
    if not layers:
        raise InputError(f"{type(model).__name__} has neither linear layers nor convolutions to initialize.")
    for path, layer in layers.items() if name != TORCH else ():
        _require_plain(path, layer)
        _draw(layer, name)
    return model


def init_name(init: str) -> str:
    """The name as it stands in `INITS`. Raises `InputError` for another one."""
    name = init.strip().lower().replace("_", "-") if isinstance(init, str) else None
    if name not in INITS:
        raise InputError(f"No initialization is called {shown(init)}. {suggest(str(name), INITS)}")
    return name


def _require_plain(path: str, layer: nn.Module) -> None:
    """Raises `InputError` where a layer's weight is no parameter that can be drawn."""
    weight, where = layer._parameters.get("weight"), path or type(layer).__name__
    if weight is None:
        raise InputError(f"The weight of {where} is parametrized: initialize the layer before.")
    if isinstance(weight, nn.parameter.UninitializedParameter):
        raise InputError(f"{where} is lazy and does not know its sizes yet: call the model on a batch before.")
    if weight.is_complex():
        raise InputError(f"The weight of {where} is complex, and no initialization is of complex numbers.")


@torch.no_grad()
def _draw(layer: nn.Module, name: str) -> None:
    scale, _, distribution = name.partition("-")
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    if weight.requires_grad and weight.numel():
        DISTRIBUTIONS[distribution](weight, math.sqrt(VARIANCES[scale](*fans(layer))))
    if isinstance(bias, Tensor) and bias.requires_grad:
        nn.init.zeros_(bias)


def fans(layer: nn.Module) -> tuple[float, float]:
    """(weights that lead into a unit, weights that lead out of an input).

    As torch and Keras count them, who take all groups for the second. Of a transposed convolution, which they count the
    other way round, the first is of the inputs, too: of one group's.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    field = weight[0, 0].numel()
    of_second, of_first = weight.shape[1] * field, weight.shape[0] * field
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):  # weights [in, out / groups, …]
        return of_first / layer.groups, of_second
    return of_second, of_first
