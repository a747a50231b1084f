"""What goes into a population and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import Structure
from thalweg.records.types import Epoch


@dataclass(frozen=True)
class Member:
    """One run to train: an optimizer with all its hyperparameters (as `Recipe.resolve` gives them), and a seed.

    Its initial weights are those of `torch.manual_seed(seed); model()`, and every epoch's batches follow
    `torch.randperm(n, generator=order)` with one `order = torch.Generator().manual_seed(seed)`.
    """

    recipe: Recipe
    values: Mapping[str, float | bool]
    seed: int

    @property
    def structure(self) -> Structure:
        return self.recipe.structure(self.values)


@dataclass(frozen=True)
class Trained:
    """What training a member gave. See `records.types.RunRecord` for the fields they share."""

    epochs: tuple[Epoch, ...]
    initial_loss: float | None
    train_metric: float | None
    test_metric: float | None
    best_test_metric: float | None
    diverged_at: int | None
    seconds: float
    execution: str
    weights: Mapping[str, Tensor] = field(default_factory=dict)  # parameters and buffers at the end, where asked for
