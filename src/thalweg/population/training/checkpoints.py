"""Checkpoints of training between two steps, on disk; resumed runs are bit-identical."""

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.population.updates.members import Member
from thalweg.population.updates.snapshot import Snapshot

FORMAT = 2
logger = logging.getLogger(__name__)


class Checkpoint:
    """The checkpoint file of some members in training.

    path: a file for these members only; `None` saves nothing. every: seconds between two saves, above 0.
    """

    def __init__(self, path: Path | None = None, every: float = 60.0, members: Sequence[Member] = ()) -> None:
        self._path, self._every, self._whose = path, every, _described(members)
        self._last, self._failed = time.monotonic(), False

    @property
    def kept(self) -> bool:
        """Whether checkpoints are saved."""
        return self._path is not None

    def due(self) -> bool:
        """Whether the last save was at least `every` seconds ago."""
        return self._path is not None and time.monotonic() - self._last >= self._every

    def save(self, state: Snapshot) -> None:
        """Replaces the file atomically. A failure is logged, and training goes on without it."""
        if self._path is None:
            return
        from safetensors import SafetensorError

        try:
            _write(self._path, state, self._whose)
            logger.debug("checkpoint after step %s: %s", state.facts.get("step"), self._path.name)
        except (OSError, SafetensorError, RuntimeError, MemoryError) as error:
            level = logging.DEBUG if self._failed else logging.WARNING
            logger.log(level, "A checkpoint could not be written: %s; training goes on without it.", error)
            self._failed = True
        self._last = time.monotonic()

    def load(self) -> Snapshot | None:
        """The last saved state; `None` if there is none, it cannot be read, or members or format differ."""
        if self._path is None or not self._path.exists():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            logger.warning("The checkpoint %s cannot be read: %s; its runs begin again.", self._path, error)
            return None
        same = facts.pop("format") == FORMAT and facts.pop("members") == self._whose
        return Snapshot(tensors, facts) if same else None

    def discard(self) -> None:
        """Deletes the file, once the results are stored elsewhere, or its members train anew.

        Raises `InputError` where it cannot be deleted: members that train anew would go on from it.
        """
        try:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"The checkpoint {self._path} cannot be deleted: {error.strerror}; delete it.") from None


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a stage. folder: their directory; `None` for none. first: index of the stage's first run.

    chosen: the indices of the stage's members that train together, where those are only some.
    """

    folder: Path | None = None
    every: float = 60.0
    first: int = 0
    chosen: tuple[int, ...] | None = None

    def of(self, part: Iterable[int], members: Sequence[Member]) -> Checkpoint:
        """The checkpoint of the members at these indices, of the stage or of those chosen."""
        if self.folder is None:
            return Checkpoint()
        indices = sorted(part if self.chosen is None else (self.chosen[i] for i in part))
        places = ",".join(str(self.first + i) for i in indices)
        name = hashlib.blake2b(places.encode(), digest_size=8).hexdigest()
        return Checkpoint(self.folder / f"{name}.safetensors", self.every, members)


def _described(members: Sequence[Member]) -> str:
    runs = [(m.recipe.name, sorted(m.values.items()), m.seed) for m in members]
    text = repr(runs) + "".join(f"{i}: {m.pruning.described}" for i, m in enumerate(members) if m.pruning is not None)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _write(path: Path, state: Snapshot, whose: str) -> None:
    from safetensors.torch import save_file

    facts = json.dumps({**state.facts, "format": FORMAT, "members": whose})
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "rb+") as file:
            save_file({name: _plain(t) for name, t in state.tensors.items()}, temporary, {"facts": facts})
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _plain(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU, as safetensors requires."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
