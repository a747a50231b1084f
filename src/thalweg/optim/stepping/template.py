"""The step by which torch makes a state dict's template: rate 0, gradients of 0, no state yet."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def undecayed_groups(groups: Iterable[dict[str, Any]]) -> Iterator[None]:
    """Sets `weight_decay` of all groups to 0, and restores it on exit."""
    before = [(group, group["weight_decay"]) for group in groups]
    try:
        for group, _ in before:
            group["weight_decay"] = 0.0
        yield
    finally:
        for group, decay in before:
            group["weight_decay"] = decay
