"""Which optimizer for your own model and data? Run it: `python examples/own_model.py`."""

import torch
from torch import nn

import thalweg


def model() -> nn.Module:
    """Returns a new model at every call; its random initial weights are seeded by Thalweg."""
    return nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def ripples(samples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Your data: inputs `[samples, 2]`, targets `[samples, 1]`."""
    x = torch.rand(samples, 2, generator=torch.Generator().manual_seed(seed)) * 4 - 2
    return x, torch.sin(3 * x.norm(dim=1, keepdim=True))


def main() -> None:
    workload = thalweg.Workload(
        name="ripples",
        model=model,
        train=ripples(2000, 1),
        validation=ripples(500, 2),
        test=ripples(500, 3),
        loss=nn.functional.mse_loss,
        metric="mse",
        batch_size=50,
        epochs=10,
        target=0.02,
    )
    result = thalweg.compare(workload, optimizers=["sgd", "momentum", "adam", "rmsprop(alpha=0.9)"])
    print(result.leaderboard()[["optimizer", "learning_rate", "test", "test_low", "test_high"]].to_string(index=False))
    print(result.verdict)
    result.save_report("ripples.html")


if __name__ == "__main__":
    main()
