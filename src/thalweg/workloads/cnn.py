"""The convolutional network of a Keras textbook script for MNIST."""

import torch.nn.functional as F
from torch import Tensor, nn

_MOMENTUM, _EPSILON = 0.01, 1e-3  # Keras's batch norm: it keeps 0.99 of its statistics, torch would keep 0.9


class CNN(nn.Module):
    """`x` `[samples, 28, 28]` → `[samples, 10]`: two convolutions, two dense layers, batch norm after each and pooling.

    Kernels are 3×3 without padding, pools 2×2. What precedes the output layer, with the shape it leaves:

        convolution, ReLU, batch norm   [samples, 32, 26, 26]
        max pooling, batch norm         [samples, 32, 13, 13]
        convolution, ReLU, batch norm   [samples, 64, 11, 11]
        max pooling, batch norm         [samples, 64, 5, 5]
        dense, ReLU, batch norm         [samples, 256]

    Weights and statistics start as Keras's: kernels Glorot-uniform, ±√(6 / (fan in + fan out)), biases zero;
    batch norm has ε = 1e-3. Its running variance is torch's, unbiased: n / (n − 1) of Keras's for n values a channel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*_convolution(1, 32), *_convolution(32, 64))
        self.hidden, self.norm = nn.Linear(64 * 5 * 5, 256), nn.BatchNorm1d(256, _EPSILON, _MOMENTUM)
        self.output = nn.Linear(256, 10)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x.unsqueeze(1)).flatten(1)
        outputs: Tensor = self.output(self.norm(F.relu(self.hidden(x))))
        return outputs


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    def norm() -> nn.Module:
        return nn.BatchNorm2d(outputs, _EPSILON, _MOMENTUM)

    return nn.Conv2d(inputs, outputs, 3), nn.ReLU(), norm(), nn.MaxPool2d(2), norm()
