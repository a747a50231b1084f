"""The global random states of torch, Python and NumPy: read, set, and seeded for a while."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

TURN = threading.RLock()
"""Held while a user's function runs or global random states are set: all threads share them, and its closure."""


def global_states() -> tuple[Any, Any]:
    """The states of Python's and NumPy's global generators, comparable by `==`."""
    name, key, *rest = np.random.get_state()
    return random.getstate(), (name, np.asarray(key).tobytes(), *rest)


def set_global_states(states: tuple[Any, Any]) -> None:
    """Sets both generators to what `global_states` returned."""
    name, key, *rest = states[1]
    random.setstate(states[0])
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))


class RandomUse:
    """Notes whether random numbers are drawn. some: whether any were, in this process."""

    def __init__(self) -> None:
        self.some = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        before = torch.default_generator.get_state(), global_states()
        yield
        self.some |= not torch.equal(before[0], torch.default_generator.get_state()) or before[1] != global_states()


@contextmanager
def seeded_globally(seed: int) -> Iterator[None]:
    """Seeds all three, one thread at a time, and restores them."""
    with TURN:
        before = torch.default_generator.get_state(), global_states()
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            torch.default_generator.set_state(before[0])
            set_global_states(before[1])
