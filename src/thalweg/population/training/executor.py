"""The interface of what carries out steps: plain, vectorized, captured, or many at once in native code."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from thalweg.population.training.pieces import Scores
from thalweg.population.training.start import Start
from thalweg.population.updates.maskable import Maskable
from thalweg.population.updates.parts import Mask
from thalweg.population.updates.snapshot import Snapshot
from thalweg.workloads.source import DrawnBatches, Source

Floats = NDArray[np.float64]
Weights = Mapping[str, Tensor]


class Executor(Protocol):
    """Trains members that it holds, in an order that `keep` may thin out; knows nothing of what is done between steps.

    stride: the most steps to carry out in one call. Between two calls, training may be saved or stopped.
    evaluated: evaluations of a batch, forward and backward, by active members in the last call: `[members]`, or one
        number for all.
    """

    @property
    def evaluated(self) -> int | NDArray[np.int64]: ...

    @property
    def stride(self) -> int: ...

    @property
    def execution(self) -> str:
        """How members are trained, for their records."""

    def starts(self) -> list[Start]:
        """The start of each member, before any step."""

    def plan(self, start: int, end: int, done: int, active: Mask) -> None:
        """Prepares the steps `start + 1` to `end`, of which those up to `done` were carried out before."""

    def carry_out(self, first: int, batches: Sequence[DrawnBatches], active: Mask) -> Floats:
        """Carries out the steps from `first` on, one per batch; returns their losses `[steps, members]`.

        batches: of all seeds, in each step. active: members that train; the others keep their state. A
        loss that is not finite ends its member: it takes no further update.
        """

    def finite(self) -> Mask:
        """Whether all parameters of a member that its loss depends on are finite, `[members]`."""

    def measure(self, split: Source, step: int, *, loss: bool = False) -> Scores:
        """The scores of the members on a split, after `step`, with losses if `loss`."""

    @property
    def replays(self) -> bool:
        """Whether a member is evaluated by its weights alone, not by Python state that has changed in training."""

    def metric_of(self, weights: Sequence[Weights], seeds: Sequence[int], split: Source, step: int) -> Sequence[float]:
        """The metric of each of these weights, from `copies`."""

    def copies(self, members: Sequence[int]) -> list[dict[str, Tensor]]:
        """The parameters and buffers by which each of these members held is evaluated, copied."""

    def keep(self, index: NDArray[np.int64]) -> None:
        """Holds only the members at `index`, and frees the others' memory."""

    def maskable(self, member: int) -> dict[str, Maskable]:
        """The parameters of a member held whose steps are masked, with their masks, by name; written in place."""

    def bytes_of(self, member: int) -> int:
        """Bytes of the parameters, gradients and optimizer state of one of all members."""

    def state(self) -> Snapshot | None:
        """Parameters, buffers and optimizer state; `None` if some of it is out of a checkpoint's reach."""

    def restore(self, state: Snapshot) -> None:
        """Continues from a `state` of the same members."""
