"""Fully connected ReLU networks and their initialisations."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

# Standard deviation of a standard normal distribution truncated at ±2. Keras divides by it, so that the weights
# have the requested deviation after truncation.
_STD_OF_CUT_NORMAL = 0.87962566103423978


def he_normal(weight: Tensor) -> None:
    """Fills `weight` `[outputs, inputs]`, in place, from a normal distribution of deviation √(2 / inputs)."""
    nn.init.normal_(weight, std=math.sqrt(2 / weight.shape[1]))


def he_truncated_normal(weight: Tensor) -> None:
    """Fills `weight` `[outputs, inputs]`, in place, as Keras's `he_normal` does.

    A normal distribution of deviation s = √(2 / inputs) / 0.8796, truncated at ±2s, which leaves √(2 / inputs).
    """
    std = math.sqrt(2 / weight.shape[1]) / _STD_OF_CUT_NORMAL
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class MLP(nn.Module):
    """`x` `[samples, …]`, flattened to `widths[0]` features → `[samples, widths[-1]]`, ReLU between layers.

    Args:
        widths: of the input, of every hidden layer, and of the output.
        hidden_init: fills the weight of every hidden layer in place. The output layer, which no ReLU follows,
            is Glorot-uniform: ±√(6 / (inputs + outputs)). Every bias starts at zero.
    """

    def __init__(self, widths: Sequence[int], hidden_init: Callable[[Tensor], None]) -> None:
        super().__init__()
        *hidden, last = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths)]
        for layer in hidden:
            hidden_init(layer.weight)
        nn.init.xavier_uniform_(last.weight)
        for layer in (*hidden, last):
            nn.init.zeros_(layer.bias)
        self.hidden = nn.ModuleList(hidden)
        self.output = last

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        outputs: Tensor = self.output(x)
        return outputs
