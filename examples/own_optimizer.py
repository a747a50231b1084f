"""An optimizer of your own: one function, and it trains, is tuned and compared. `python examples/own_optimizer.py`."""

import torch

import thalweg
from thalweg.numerics import absolute
from thalweg.recipes.catalogue import Recipe
from thalweg.rules.hyperparameters import Decay, Epsilon, Rate
from thalweg.rules.states import Zeros
from thalweg.testing.rules import check_rule


@thalweg.rule(paper="mine", rates=(1e-5, 1e-1))
def softsign(g, p, exp_avg: Zeros, t, *, lr: Rate = 1e-3, beta1: Decay = 0.9, tau: Epsilon = 1e-3):  # type: ignore[no-untyped-def]
    """The momentum's sign where it is large beside τ, and the momentum itself, scaled by 1/τ, where it is small."""
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    return lr * exp_avg / (absolute(exp_avg) + tau), exp_avg


Softsign = thalweg.optim.drop_in(softsign)  # a torch.optim.Optimizer, compiled


def main() -> None:
    check_rule(Recipe(softsign))  # the contract: purity, dtypes, save and resume, compiled = reference, refusals, …
    print("softsign keeps every promise of a rule")
    weights = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = Softsign([weights], lr=0.01, weight_decay=0.01)
    for _ in range(400):
        optimizer.zero_grad()
        weights.square().sum().backward()
        optimizer.step()
    print(f"Softsign brings (3, -2) to {weights.tolist()}")
    print(thalweg.compare("digits", optimizers=["sgd", "adam", softsign], epochs=5).verdict)


if __name__ == "__main__":
    main()
