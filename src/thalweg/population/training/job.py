"""What every run of a study shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from thalweg.workloads.workload import Workload

LARGE, LARGE_BYTES = 3e9, 64 << 20  # of a step's operations and of a model, beyond which runs have nothing to share


@dataclass(frozen=True)
class Job:
    """What to train members on.

    trained: names of the parameters that the loss of a batch reaches, as a population trains them; the loop trains all
    that require a gradient, each at the steps that reach it. test: whether the test split is evaluated. keep_weights:
    whether the final parameters and buffers are returned. clip_norm: what the norm of all gradients together may be
    before the update. random: whether the model draws random numbers, in training or evaluation; outside: whether it
    draws any from Python's or NumPy's generators.

    only_loop: why the model has to be called at every step; empty where it may be traced. shared_state: what all runs
    change that lies outside of the model. asks_for_parameters: whether the user's code does so in a step.
    whole_outputs: whether the model returns anything but tensors `[samples, …]`, so that outputs of parts of a split
    cannot be joined. notes: sentences on the model for the record.

    operations: of one step's products and convolutions. model_bytes: of parameters and buffers. activation_bytes: of
    what a step of the loop makes on its way forward. output_bytes: of what the model returns for one sample.

    built: fingerprints of the first seed's model, as it was built, which those of other seeds must have.
    starts: seed → where its training starts, once that is measured.
    """

    workload: Workload
    device: torch.device
    trained: frozenset[str]
    random: bool = False
    test: bool = False
    keep_weights: bool = False
    clip_norm: float | None = None
    outside: bool = False
    only_loop: str = ""
    shared_state: str = ""
    asks_for_parameters: bool = False
    whole_outputs: bool = False
    notes: tuple[str, ...] = ()
    operations: int = 0
    model_bytes: int = 0
    activation_bytes: int = 0
    output_bytes: int = 0
    built: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    starts: dict[int, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def large(self) -> str:
        """Why a population has nothing to gain on a CPU, where the arithmetic of one run is all that counts."""
        if self.device.type != "cpu":
            return ""
        if self.operations > LARGE:
            return f"a step of {self.operations / 1e9:.1f} billion operations leaves runs nothing to share"
        megabytes = self.model_bytes / 1e6
        return f"a model of {megabytes:,.0f} MB leaves runs nothing to share" if self.model_bytes > LARGE_BYTES else ""
