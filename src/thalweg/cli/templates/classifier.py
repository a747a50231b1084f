"""A classifier of your own: which optimizer, and at which learning rate?

    thalweg compare FILE                          # all common optimizers, in half a minute
    thalweg compare FILE --optimizers "adam,sgd"  # those that you name; `thalweg optimizers` lists all
    thalweg compare FILE --budget 1min            # fitted into that time, whatever the problem takes

It runs as it is. Replace what is marked with TODO, one thing after the other, and run it again.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import thalweg


def data() -> tuple[Tensor, Tensor]:
    """Returns inputs `[samples, features]` in float32, and classes `[samples]`, whole numbers from 0."""
    # TODO: your data: tensors, NumPy arrays, a torch Dataset or DataLoader. Of a CSV or Parquet file,
    # train=thalweg.table("flowers.csv", target="species") below encodes columns and standardizes by training rows.
    digits = load_digits()
    return torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)


def model() -> nn.Module:
    """Returns a new model at every call; Thalweg seeds its initial weights, so that all optimizers start alike."""
    # TODO: your model, from `[samples, features]` to `[samples, classes]`, without a softmax at its end.
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))


workload = thalweg.Workload(
    name="my classifier",  # TODO: how reports call it
    model=model,
    train=data(),
    validation=0.2,  # a share of train, or a pair (X, y) of its own: optimizers are tuned and chosen by it
    test=0.2,  # read only once, after all choices
    loss=nn.CrossEntropyLoss(),  # or a function of (outputs, targets)
    metric="accuracy",  # or "top5", "f1", "auroc", a function of sklearn.metrics, thalweg.Metric(your_function, …)
    batch_size=32,
    epochs=10,  # TODO: as long as you train; the best learning rate depends on it
    target=0.95,  # the metric's value that is good enough: reports say how soon each optimizer is there; or None
    parameters=thalweg.optim.undecayed,  # no weight decay for biases and norms; leave it out to decay all
)

if __name__ == "__main__":  # the same from Python: `python FILE`
    print(thalweg.compare(workload, optimizers=["adam", "sgd"], budget="1min").verdict)
