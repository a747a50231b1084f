"""The convolutional network of a Keras textbook script for MNIST."""

from torch import Tensor, nn

from thalweg.workloads.activations import activation as activation_of
from thalweg.workloads.initialization import initialize
from thalweg.workloads.model_options import dropout_layer, dropout_rate, switch

_MOMENTUM, _EPSILON = 0.01, 1e-3  # Keras's batch norm: it keeps 0.99 of its statistics, torch would keep 0.9


class CNN(nn.Module):
    """`x` `[samples, 28, 28]` → `[samples, 10]`: two convolutions, two dense layers, batch norm after each and pooling.

    Kernels are 3×3 without padding, pools 2×2. What precedes the output layer, with the shape it leaves:

        convolution, activation, batch norm   [samples, 32, 26, 26]
        max pooling, batch norm               [samples, 32, 13, 13]
        convolution, activation, batch norm   [samples, 64, 11, 11]
        max pooling, batch norm               [samples, 64, 5, 5]
        dense, activation, batch norm         [samples, 256]

    Weights and statistics start as Keras's: kernels Glorot-uniform, ±√(6 / (fan in + fan out)), biases zero;
    batch norm has ε = 1e-3. Its running variance is torch's, unbiased: n / (n − 1) of Keras's for n values a channel.

    Args:
        init: of all weights, as `initialize` takes it.
        activation: its name.
        dropout: share of the inputs of both dense layers that are zero in a training step, in [0, 1).
        batch_norm: whether there is any.

    Raises:
        InputError: an option is unknown or out of range.
    """

    def __init__(
        self,
        *,
        init: str = "glorot-uniform",
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        normalized = switch("batch_norm", batch_norm)
        self.features = nn.Sequential(
            *_convolution(1, 32, activation, normalized), *_convolution(32, 64, activation, normalized)
        )
        self.hidden = nn.Linear(64 * 5 * 5, 256)
        self.norm = nn.BatchNorm1d(256, _EPSILON, _MOMENTUM) if normalized else nn.Identity()
        self.output = nn.Linear(256, 10)
        initialize(self, init)
        self.activation, self.dropout = activation_of(activation), dropout_layer(dropout_rate(dropout))

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.features(x.unsqueeze(1)).flatten(1))
        outputs: Tensor = self.output(self.dropout(self.norm(self.activation(self.hidden(x)))))
        return outputs


def _convolution(inputs: int, outputs: int, activation: str, normalized: bool) -> tuple[nn.Module, ...]:
    def norm() -> tuple[nn.Module, ...]:
        return (nn.BatchNorm2d(outputs, _EPSILON, _MOMENTUM),) if normalized else ()

    return nn.Conv2d(inputs, outputs, 3), activation_of(activation), *norm(), nn.MaxPool2d(2), *norm()
