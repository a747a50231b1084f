"""A training step of your own, with several losses: which optimizer, and at which learning rate?

    thalweg compare FILE                          # all common optimizers, in half a minute
    thalweg compare FILE --optimizers "adam,sgd"  # those that you name; `thalweg optimizers` lists all
    thalweg compare FILE --budget 1min            # fitted into that time, whatever the problem takes

It runs as it is. Replace what is marked with TODO, one thing after the other, and run it again.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

import thalweg

Pair = tuple[Tensor, Tensor]


def data() -> Pair:
    """Returns inputs `[samples, features]` and classes `[samples]`; batches come to `step` in the same form."""
    # TODO: your data: tensors, a tuple or a dict of them, a torch Dataset or DataLoader; targets are not required.
    digits = load_digits()
    return torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)


class CodingClassifier(nn.Module):
    """Classifies a code from which it also reconstructs the input."""

    # TODO: your model. Only `step` and `predict` call it, so that it may have several methods, inputs and outputs.

    def __init__(self, features: int = 64, width: int = 32, classes: int = 10) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, width), nn.ReLU())
        self.decoder, self.classifier = nn.Linear(width, features), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Pair:
        code = self.encoder(x)
        return self.decoder(code), self.classifier(code)


def step(model: nn.Module, batch: Pair) -> dict[str, Tensor]:
    """The losses of a batch, each the mean over its samples; their sum is minimized. One loss may come by itself."""
    # TODO: your losses and their weights. Gradients and the optimizer's step are Thalweg's.
    x, y = batch
    reconstruction, logits = model(x)
    return {"classes": F.cross_entropy(logits, y), "reconstruction": 0.5 * F.mse_loss(reconstruction, x)}


def predict(model: nn.Module, batch: Pair) -> Tensor:
    """What the metric compares with the targets. Without `predict=predict`, the metric is the loss."""
    logits: Tensor = model(batch[0])[1]
    return logits


workload = thalweg.Workload(
    name="my step",  # TODO: how reports call it
    model=CodingClassifier,  # every call returns a new one
    train=data(),
    validation=0.2,  # a share of train, or data of its own: optimizers are tuned and chosen by it
    test=0.2,  # read only once, after all choices
    step=step,
    predict=predict,
    metric="accuracy",  # or "f1", "mse", "loss", a function of sklearn.metrics, thalweg.Metric(your_function, …)
    batch_size=32,
    epochs=10,  # TODO: as long as you train; the best learning rate depends on it
    target=0.95,  # the metric's value that is good enough: reports say how soon each optimizer is there; or None
)

if __name__ == "__main__":  # the same from Python: `python FILE`
    print(thalweg.compare(workload, optimizers=["adam", "sgd"], budget="1min").verdict)
