"""The models of a study: their weights, in files where it is stored, else in memory."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from thalweg.errors import InputError, first_line
from thalweg.population.program.models import build, state
from thalweg.population.training.job import Job
from thalweg.population.updates.members import Trained
from thalweg.population.updates.snapshot import Snapshot, copied

Weights = dict[str, Tensor]


class KeptModels:
    """Weights by position of the run in its study and by step; `None` is the end of training.

    folder: where each is a safetensors file of its own, `3.safetensors` or `3-at-120.safetensors`.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._held: dict[tuple[int, int | None], Weights] = {}

    def keep(self, position: int, trained: Trained) -> None:
        """Keeps what a run returned, unless it broke off. Raises `InputError` where it cannot be written."""
        if trained.failure or trained.diverged_at is not None:
            return
        several: list[tuple[int | None, Mapping[str, Tensor]]] = [(None, trained.weights), *trained.snapshots.items()]
        for step, weights in several:
            if weights:
                self._keep(position, step, {name: t.detach().cpu().contiguous() for name, t in weights.items()})

    def _keep(self, position: int, step: int | None, weights: Weights) -> None:
        if self.folder is None:
            self._held[position, step] = weights
        else:
            write_weights(self.folder / _name(position, step), weights, {"file": _name(position, step)})

    def weights(self, position: int, step: int | None = None) -> Weights:
        """Raises `InputError` where a file is missing or damaged."""
        if self.folder is None:
            return self._held[position, step]
        return read_weights(self.folder / _name(position, step), named=True)


def _name(position: int, step: int | None) -> str:
    return f"{position}.safetensors" if step is None else f"{position}-at-{step}.safetensors"


def write_weights(path: Path, weights: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Writes tensors to a safetensors file, atomically; makes its folder. Raises `InputError` where that fails."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".thalweg-", dir=path.parent) as folder:
            made = Path(folder) / path.name
            save_file({name: t.clone() for name, t in weights.items()}, made, dict(facts or {}))
            made.replace(path)
    except (OSError, SafetensorError) as error:  # the latter of a full disk
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"The model cannot be written to {path}: {reason}.") from None


def read_weights(path: Path, *, named: bool = False) -> Weights:
    """The tensors of a safetensors file by name. Raises `InputError` where it is missing or damaged.

    named: whether it has to have been written under this name.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise InputError(f"The model {path} is missing: begin the study anew, or put the file back.")
    try:
        with safe_open(path, "pt") as file:
            was = (file.metadata() or {}).get("file", path.name)
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except Exception as error:  # whatever a damaged file brings about
        raise InputError(f"The model {path} cannot be read: {first_line(error)}.") from None
    if named and was != path.name:
        raise InputError(f"The model {path} is that of {was}: put the file back, or begin the study anew.")
    return found


def model_with(job: Job, seed: int, weights: Mapping[str, Tensor]) -> nn.Module:
    """The seed's model with these parameters and buffers, in evaluation mode, on the job's device.

    Raises `InputError` where the weights are another model's.
    """
    model = build(job.workload, seed, job.device)
    own = state(model)
    odd = next((n for n in (*own, *weights) if n not in weights or n not in own), None)
    odd = odd or next((n for n in own if own[n].shape != weights[n].shape), None)
    if odd is not None:
        raise InputError(f"The weights are of another model than that of {job.workload.name!r}: {odd!r} does not fit.")
    copied(own, Snapshot(dict(weights)))
    return model.eval()
