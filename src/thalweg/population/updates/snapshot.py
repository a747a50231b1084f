"""The state of training between two steps: tensors and facts by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """Tensors by name, and facts as JSON data."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> "Snapshot":
        """The state that `joined` stored under this name."""
        start = f"{name}/"
        return Snapshot(
            {n.removeprefix(start): t for n, t in self.tensors.items() if n.startswith(start)}, self.facts[name]
        )


def joined(parts: Mapping[str, Snapshot], **facts: Any) -> Snapshot:
    """Merges several states into one, with further facts."""
    tensors = {f"{name}/{n}": t for name, part in parts.items() for n, t in part.tensors.items()}
    return Snapshot(tensors, {name: part.facts for name, part in parts.items()} | facts)


def copied(into: Mapping[str, Tensor], state: Snapshot) -> None:
    """Copies a state's tensors, in place, into tensors of the same names, which keep their memory layout."""
    for name, tensor in into.items():
        tensor.copy_(state.tensors[name])
