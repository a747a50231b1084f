"""Settings and facts that every run of a workload shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from thalweg.regularization.stopping import EarlyStopping
from thalweg.workloads.workload import Workload

LARGE, LARGE_BYTES = 3e9, 64 << 20  # operations of a step and bytes of a model beyond which runs have nothing to share


@dataclass(frozen=True)
class JobCache:
    """starts: seed → its `Start`, once measured. drawing: names of optimizers that draw random numbers."""

    starts: dict[int, Any] = field(default_factory=dict)
    drawing: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Job:
    """Workload, device, options and findings of `inspect`.

    trained: names of the parameters that the loss of a batch depends on, which a population trains; the loop trains
    all that require a gradient, each at the steps whose loss depends on it. test: whether the test split is evaluated.
    keep_weights: whether the final parameters and buffers are returned; snapshots: the steps, ascending, after which
    copies of them are kept as well; keep_losses: whether the loss of every step is,
    in place of the metric on the training split.
    early_stopping: when a run ends before its last step. copies: tensors of the parameters' size that a run may need;
    0 if that is not known. random: whether the model draws random numbers, in training or evaluation; outside: whether
    it draws any from Python's or NumPy's generators; late: whether a run drew without either, so that whole steps are
    seeded.

    only_loop: why the model must be called at every step; empty if it may be traced. shared_state: name of state
    outside of the model that all runs change. asks_for_parameters: whether the user's code reads parameters itself in
    a step. whole_outputs: whether the model returns anything but tensors `[samples, …]`, so that outputs of chunks
    cannot be concatenated. notes: sentences on the model for the record.

    operations: additions and multiplications of one step's matrix products and convolutions. model_bytes: of
    parameters and buffers. activation_bytes: of tensors made in the loop's forward pass. output_bytes: of the outputs
    for one sample.

    built: fingerprints of the first seed's newly built model, which models of other seeds must share.
    parameters: numbers in that model's parameters. content: its hash. building: seconds of a call of `model()`.
    cache: what this process has found out since; it does not travel to another.
    """

    workload: Workload
    device: torch.device
    trained: frozenset[str]
    random: bool = False
    test: bool = False
    keep_weights: bool = False
    keep_losses: bool = False
    snapshots: tuple[int, ...] = ()
    early_stopping: EarlyStopping | None = None
    copies: int = 0
    outside: bool = False
    late: bool = False
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
    parameters: int = 0
    content: str = ""
    building: float = field(default=0.0, compare=False)
    cache: JobCache = field(default_factory=JobCache, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "cache": JobCache()}

    @property
    def large(self) -> str:
        """Why a population gains nothing on a CPU, where a large model's arithmetic dominates; empty if it may."""
        if self.device.type != "cpu":
            return ""
        if self.operations > LARGE:
            return f"a step of {self.operations / 1e9:.1f} billion operations leaves runs nothing to share"
        megabytes = self.model_bytes / 1e6
        return f"a model of {megabytes:,.0f} MB leaves runs nothing to share" if self.model_bytes > LARGE_BYTES else ""
