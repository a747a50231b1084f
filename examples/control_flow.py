"""A model that decides by the numbers of a batch what to do: no single program is the same for all runs.

Runs train one by one then, by the plain PyTorch loop, and Thalweg says why. The numbers are the same, they take longer.
`thalweg compare control_flow.py`, or `python control_flow.py`.
"""

import torch
from torch import Tensor, nn

import thalweg


class Halting(nn.Module):
    """Goes through one layer until little changes, at most eight times; one output for each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.again = nn.Linear(16, 16)
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        for _ in range(8):
            before = hidden
            hidden = torch.tanh(hidden + self.again(hidden))
            if (hidden - before).abs().mean() < 0.1:  # a branch on values: Python needs the number
                break
        outputs: Tensor = self.head(hidden)
        return outputs


def points(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs `[samples, 6]`, targets `[samples, 1]`."""
    x = torch.randn(samples, 6, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :1] * x[:, 1:2]


workload = thalweg.Workload(
    name="halting",
    model=Halting,
    train=points(512, 1),
    validation=points(200, 2),
    loss=nn.functional.mse_loss,
    metric="mse",
    batch_size=64,
    epochs=10,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["sgd", "adam"], seeds=1, confirm_seeds=3)
    print(result.verdict)
    result.save_report("control_flow.html")


if __name__ == "__main__":
    main()
