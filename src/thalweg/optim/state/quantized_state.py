"""Quantized states, in 8 bits: codes under the state's own name, scales under that name plus `SCALES`."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution import quantization
from thalweg.execution.storage.codebook import blocks_of

SCALES = "_scales"
"""Suffix of a state's name in the name of its scales."""


def scales(state: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Tensor, ...]:
    """The scales of those states that are quantized."""
    return tuple(state[name + SCALES] for name in held(state, names))


def held(states: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of those states that are quantized."""
    return tuple(name for name in names if name + SCALES in states)


def filled(name: str, p: Tensor, value: float) -> dict[str, Tensor]:
    """A quantized state filled with one number, and its scales."""
    codes, scale = quantization.encode(torch.full((1,), value, dtype=torch.float32, device="cpu"))
    return {
        name: torch.full_like(p, int(codes), dtype=torch.uint8, memory_format=torch.preserve_format),
        name + SCALES: scale.repeat(blocks_of(p.numel())).to(p.device),
    }


def lay(state: MutableMapping[str, Any], names: tuple[str, ...], p: Tensor) -> None:
    """Requantizes states in the parameter's layout, where that has changed: blocks follow the order of memory.

    Raises `InputError` where the parameter now has gaps in memory.
    """
    for name in held(state, names):
        codes = state[name]
        if codes.stride() == p.stride():
            continue
        if torch.empty_like(p).stride() != p.stride():
            raise InputError("States in 8 bits need a parameter that fills its memory; give it p.contiguous().")
        state[name] = torch.empty_like(p, dtype=torch.uint8)
        quantization.replace(state[name], state[name + SCALES], quantization.decoded(codes, state[name + SCALES]))
