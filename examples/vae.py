"""A variational autoencoder of digits: a training step of one's own, with two losses and random numbers.

`thalweg compare vae.py`, or `python vae.py`.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import thalweg


class Autoencoder(nn.Module):
    """Pixels `[batch, 64]` → four hidden numbers, drawn from a normal distribution each → logits of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2 * 4))
        self.decoder = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 64))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(pixels).chunk(2, dim=1)
        hidden = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)  # by the run's seed
        return self.decoder(hidden), mean, log_variance


def step(model: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """The losses of a batch, each a mean over its samples; they are added up."""
    logits, mean, log_variance = model(pixels)
    pixelwise = nn.functional.binary_cross_entropy_with_logits(logits, pixels, reduction="none")
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
    return {"reconstruction": pixelwise.sum(1).mean(), "KL": divergence.sum(1).mean()}


def digits() -> Tensor:
    return torch.tensor(load_digits().data / 16).float()


workload = thalweg.Workload(
    name="vae",
    model=Autoencoder,
    train=digits()[:1400],  # no targets: the step needs none
    validation=digits()[1400:],
    step=step,  # without a metric, that is the loss
    batch_size=50,
    epochs=10,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["sgd", "adam", "rmsprop"], seeds=1, confirm_seeds=3)
    print(result.verdict)
    result.save_report("vae.html")


if __name__ == "__main__":
    main()
