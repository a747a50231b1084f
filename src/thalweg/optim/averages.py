"""Training weights and their averages, changing places."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.recipes.options import EMA


@contextmanager
def swapped(owner: str, parameters: Iterable[Tensor], all_states: Mapping[Any, Any]) -> Iterator[None]:
    """Parameters hold their moving averages until it ends. Raises `InputError` where none is kept.

    They stay the tensors they are, in their place in memory. One that was not stepped yet is its own average.
    """
    averaged = [p for p in parameters if EMA.name in all_states.get(p, {})]
    if not averaged:
        raise InputError(f"{owner} keeps no average yet; give ema_decay, such as 0.999, and take a step.")
    trained = [p.detach().clone(memory_format=torch.preserve_format) for p in averaged]
    _put(averaged, [all_states[p][EMA.name] for p in averaged])
    try:
        yield
    finally:
        _put(averaged, trained)


@torch.no_grad()
def _put(parameters: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for p, value in zip(parameters, values, strict=True):
        p.copy_(value)
