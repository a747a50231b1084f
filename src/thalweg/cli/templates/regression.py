"""A regression of your own: which optimizer, and at which learning rate?

    thalweg compare FILE                          # all common optimizers, in half a minute
    thalweg compare FILE --optimizers "adam,sgd"  # those that you name; `thalweg optimizers` lists all
    thalweg compare FILE --budget 1min            # fitted into that time, whatever the problem takes

It runs as it is. Replace what is marked with TODO, one thing after the other, and run it again.
"""

import torch
from torch import Tensor, nn

import thalweg


def data(samples: int = 2000) -> tuple[Tensor, Tensor]:
    """Returns inputs `[samples, features]` and targets `[samples, 1]`, both float32."""
    # TODO: your data: tensors, NumPy arrays, a torch Dataset or DataLoader. Of a CSV or Parquet file,
    # train=thalweg.table("houses.csv", target="price") below encodes columns and standardizes by training rows.
    random = torch.Generator().manual_seed(0)  # the same data in every study, or they would not compare
    x = torch.randn(samples, 5, generator=random)
    noise = 0.1 * torch.randn(samples, 1, generator=random)
    return x, torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + noise


def model() -> nn.Module:
    """Returns a new model at every call; Thalweg seeds its initial weights, so that all optimizers start alike."""
    # TODO: your model. Its outputs have the targets' shape, here `[samples, 1]`.
    return nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


workload = thalweg.Workload(
    name="my regression",  # TODO: how reports call it
    model=model,
    train=data(),
    validation=0.2,  # a share of train, or a pair (X, y) of its own: optimizers are tuned and chosen by it
    test=0.2,  # read only once, after all choices
    loss=nn.MSELoss(),  # or nn.HuberLoss(), nn.L1Loss(), a function of (outputs, targets)
    metric="rmse",  # or "mse", "mae", "r2", a function of sklearn.metrics, thalweg.Metric(your_function, …)
    batch_size=32,
    epochs=10,  # TODO: as long as you train; the best learning rate depends on it
    target=0.3,  # TODO: the metric's value that is good enough: reports say how soon each is there; or None
    parameters=thalweg.optim.undecayed,  # no weight decay for biases and norms; leave it out to decay all
)

if __name__ == "__main__":  # the same from Python: `python FILE`
    print(thalweg.compare(workload, optimizers=["adam", "sgd"], budget="1min").verdict)
