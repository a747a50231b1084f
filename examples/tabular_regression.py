"""A table of numbers, and how far patients' diabetes goes in a year: a DataLoader, a share of it held out, R².

`thalweg compare tabular_regression.py`, or `python tabular_regression.py`.
"""

import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import thalweg


def patients() -> TensorDataset:
    """Inputs `[442, 10]`; targets `[442, 1]`, with a last dimension because the model's outputs have one."""
    x, y = load_diabetes(return_X_y=True)
    x, y = torch.tensor(x).float(), torch.tensor(y).float().unsqueeze(1)
    return TensorDataset(x / x.std(0), (y - y.mean()) / y.std())


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))


workload = thalweg.Workload(
    name="diabetes",
    model=model,
    train=DataLoader(patients(), batch_size=32, shuffle=True),  # its batch size and its order are heeded
    validation=0.2,  # a fifth of the patients, the same for all optimizers and seeds
    test=0.2,
    loss=nn.functional.mse_loss,
    metric="r2",
    epochs=20,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["sgd", "momentum", "adam"])
    print(result.verdict)
    result.save_report("tabular_regression.html")


if __name__ == "__main__":
    main()
