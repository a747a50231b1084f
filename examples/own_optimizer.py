"""An optimizer of your own: one function, and it trains, is tuned and compared. `python examples/own_optimizer.py`."""

import torch

import thalweg
from thalweg.numerics import sign
from thalweg.rules.contract import Zeros
from thalweg.rules.hyperparameters import Decay, Rate


@thalweg.rule(paper="Chen et al. 2023, arXiv:2302.06675", rates=(1e-5, 1e-1))
def lion(g, p, exp_avg: Zeros, t, *, lr: Rate = 1e-4, beta1: Decay = 0.9, beta2: Decay = 0.99):  # type: ignore[no-untyped-def]
    """Steps of equal size by the sign of an interpolated momentum."""
    update = lr * sign(beta1 * exp_avg + (1 - beta1) * g)
    return update, beta2 * exp_avg + (1 - beta2) * g


Lion = thalweg.optim.drop_in(lion)  # a torch.optim.Optimizer, compiled


def main() -> None:
    weights = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = Lion([weights], lr=0.01, weight_decay=0.01)
    for _ in range(400):
        optimizer.zero_grad()
        weights.square().sum().backward()
        optimizer.step()
    print(f"Lion brings (3, -2) to {weights.tolist()}")
    print(thalweg.compare("digits", optimizers=["sgd", "adam", lion], epochs=5).verdict)


if __name__ == "__main__":
    main()
