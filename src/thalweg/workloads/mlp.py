"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from thalweg.workloads.activations import activation as activation_of
from thalweg.workloads.initialization import TORCH, init_name, initialize
from thalweg.workloads.model_options import dropout_layer, dropout_rate, switch


class MLP(nn.Module):
    """`x` `[samples, …]`, flattened to `widths[0]` features → `[samples, widths[-1]]`.

    A hidden layer is linear, then batch norm if there is one, then the activation, then dropout.

    Args:
        widths: of the input, of every hidden layer, and of the output.
        init: of the hidden layers' weights, as `initialize` takes it. The output layer, which no activation follows,
            is Glorot-uniform: ±√(6 / (inputs + outputs)). Every bias starts at zero. `"torch"`: all as torch has it.
        activation: of the hidden layers, by its name.
        dropout: share of a hidden layer's activations that are zero in a training step, in [0, 1).
        batch_norm: whether hidden layers are normalized; they have no biases then, which would be subtracted again.

    Raises:
        InputError: an option is unknown or out of range.
    """

    def __init__(
        self,
        widths: Sequence[int],
        init: str = "he-normal",
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        normalized = switch("batch_norm", batch_norm)
        *before, outputs = pairwise(widths)
        hidden, last = [nn.Linear(*of, bias=not normalized) for of in before], nn.Linear(*outputs)
        for layer in hidden:
            initialize(layer, init)
        self.hidden = nn.ModuleList(hidden)
        self.output = last if init_name(init) == TORCH else initialize(last, "glorot-uniform")
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in (widths[1:-1] if normalized else ()))
        self.activation, self.dropout = activation_of(activation), dropout_layer(dropout_rate(dropout))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for i, layer in enumerate(self.hidden):
            x = layer(x)
            x = self.norms[i](x) if self.norms else x
            x = self.dropout(self.activation(x))
        outputs: Tensor = self.output(x)
        return outputs
