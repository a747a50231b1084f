"""A Keras model on the torch backend: there it is a module of torch, and is trained as any other, run by run.

With dropout or batch normalization, return a module of your own that has the Keras model and calls it as
`self.model(x, training=self.training)`: Keras knows by that argument alone that it trains.
`pip install keras`; then `thalweg compare keras_model.py`, or `python keras_model.py`.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported

import keras
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import thalweg


def model() -> nn.Module:
    """Pixels `[batch, 64]` → logits `[batch, 10]`. It begins with `Input`, so that Keras makes the weights at once."""
    layers = keras.layers
    made: nn.Module = keras.Sequential([layers.Input((64,)), layers.Dense(32, activation="relu"), layers.Dense(10)])
    return made


def digits() -> tuple[Tensor, Tensor]:
    """Pixels in [0, 1], and labels."""
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16).float(), torch.tensor(y)


workload = thalweg.Workload(
    name="keras digits",
    model=model,
    train=digits(),
    validation=0.2,
    test=0.2,
    batch_size=32,
    epochs=5,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["sgd", "adam"], convention="keras", seeds=1, confirm_seeds=3)
    print(result.verdict)
    result.save_report("keras_model.html")


if __name__ == "__main__":
    main()
