"""Input and output of a population: the runs to train, and their results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.imported import Imported
from thalweg.recipes.trace import trace
from thalweg.records.types import Measurement
from thalweg.regularization.mask_updates import Pruning
from thalweg.regularization.stopping import EarlyStopping
from thalweg.schedules import Performance


@dataclass(frozen=True)
class Member:
    """One run to train: an optimizer with all its hyperparameters (from its `resolve`), and a seed.

    Its initial weights are those of `torch.manual_seed(seed); random.seed(seed); numpy.random.seed(seed); model()`, and
    every epoch's batches follow `torch.randperm(n, generator=order)` with one
    `order = torch.Generator().manual_seed(seed)`.

    performance: what changes its learning rate by the validation metric, if anything does. early_stopping: when it ends
    before its last step, if not by its job's rule. pruning: what sets its weights to zero, if anything does; `masked`
    is among its values then.
    """

    recipe: Recipe | Imported
    values: Mapping[str, Any]
    seed: int
    performance: Performance | None = None
    early_stopping: EarlyStopping | None = None
    pruning: Pruning | None = None

    @property
    def alone(self) -> str:
        """Reason why it trains in the plain loop and cannot be vectorized; empty if it can."""
        return f"{self.recipe.path} is another library's" if isinstance(self.recipe, Imported) else ""

    @property
    def structure(self) -> StepVariant:
        assert isinstance(self.recipe, Recipe)
        return self.recipe.structure(self.values)

    @property
    def copies(self) -> int:
        """Number of parameter-sized tensors: parameters, gradients, states, transients, transformed gradients.

        A model rule has other parameters, with their gradients, beside those.
        """
        structure, elsewhere = self.structure, 0 if self.structure.model_rule is None else 2
        program = trace(structure)
        return 2 + len(program.states) + len(program.transients) + structure.transforms + elsewhere


@dataclass(frozen=True)
class Trained:
    """Result of training a member. See `records.types.RunRecord` for the fields they share."""

    curve: tuple[Measurement, ...]
    initial_loss: float | None
    initial_validation_loss: float | None
    loss_spread: float
    train_metric: float | None
    test_metric: float | None
    best_test_metric: float | None
    test_details: Mapping[str, float | None]
    diverged_at: int | None
    seconds: float
    evaluations: int
    memory: int
    execution: str
    stopped_at: int | None = None
    restored_from: int | None = None
    failure: str = ""
    weights: Mapping[str, Tensor] = field(default_factory=dict)  # final parameters and buffers, if requested
    snapshots: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)  # after some steps, if requested
    losses: tuple[float, ...] = ()  # of every step's batch before its update, if requested; NaN after its end
