"""A model with two inputs, batch norm and dropout: X is a tuple, in the order of the arguments of `forward`.

Evaluations are in eval mode, without dropout and by the running averages; every run has averages of its own.
`thalweg compare two_inputs.py`, or `python two_inputs.py`.
"""

import torch
from torch import Tensor, nn

import thalweg


class WideAndDeep(nn.Module):
    """Five numbers by a straight way, eight through hidden layers; one output."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(
            nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 16), nn.ReLU()
        )
        self.head = nn.Linear(5 + 16, 1)

    def forward(self, wide: Tensor, deep: Tensor) -> Tensor:
        outputs: Tensor = self.head(torch.cat([wide, self.deep(deep)], dim=1))
        return outputs


def houses(samples: int, seed: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Inputs `([samples, 5], [samples, 8])`, and targets `[samples, 1]`."""
    generator = torch.Generator().manual_seed(seed)
    wide, deep = (torch.randn(samples, n, generator=generator) for n in (5, 8))
    return (wide, deep), wide[:, :1] + torch.sin(2 * deep[:, :1]) * deep[:, 1:2]


workload = thalweg.Workload(
    name="two inputs",
    model=WideAndDeep,
    train=houses(1000, 1),
    validation=houses(300, 2),
    test=houses(300, 3),
    loss=nn.functional.mse_loss,
    metric="rmse",
    batch_size=50,
    epochs=10,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["momentum", "adam", "rmsprop"])
    print(result.verdict)
    result.save_report("two_inputs.html")


if __name__ == "__main__":
    main()
