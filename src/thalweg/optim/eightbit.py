"""Steps of parameters whose states are held in 8 bits: decoded, stepped and encoded a stretch at a time."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.recipes.execution import blocks
from thalweg.recipes.execution.reference import Elements
from thalweg.recipes.execution.rounding import WORD

STRETCH = 1 << 17  # elements that are decoded at once: they stay in the cache, and cost little memory

SCALES = "_scales"
"""What follows a state's name in that of its scales."""


def held(states: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the states that are held in 8 bits."""
    return tuple(name for name in names if name + SCALES in states)


def filled(name: str, p: Tensor, value: float) -> dict[str, Tensor]:
    """A state that begins as one number, and its scales."""
    codes, scale = blocks.encode(torch.full((1,), value, dtype=torch.float32, device=p.device))
    many = -(-p.numel() // blocks.BLOCK)
    return {
        name: torch.full_like(p, int(codes), dtype=torch.uint8, memory_format=torch.preserve_format),
        name + SCALES: scale.repeat(many),
    }


def lay(state: MutableMapping[str, Any], names: tuple[str, ...], p: Tensor) -> None:
    """Puts states held in 8 bits into the parameter's layout, where that has changed: a block is of what lies together.

    Raises `InputError` where the parameter has come to have gaps in memory.
    """
    for name in held(state, names):
        codes = state[name]
        if codes.stride() == p.stride():
            continue
        if torch.empty_like(p).stride() != p.stride():
            raise InputError("States in 8 bits need a parameter that fills its memory; give it p.contiguous().")
        flat = blocks.decode(codes.as_strided((codes.numel(),), (1,)), state[name + SCALES])
        moved = torch.empty_like(p, dtype=torch.float32).copy_(flat.as_strided(codes.shape, codes.stride()))
        found, state[name + SCALES] = blocks.encode(moved.as_strided((moved.numel(),), (1,)))
        state[name] = found.as_strided(p.shape, p.stride())


def stretches(
    elements: Elements, states: Mapping[str, Any], names: tuple[str, ...], *, whole: bool
) -> Iterator[tuple[Elements, Callable[[], None]]]:
    """Parts of a parameter with their states decoded, and what encodes these again after the step.

    whole: in one part, for a step that measures the parameter while it is made.
    """
    flat = [tensor.as_strided((tensor.numel(),), (1,)) for tensor in elements.tensors]
    n, eight = len(flat[1]), held(states, names)
    size = max(1, n) if whole else STRETCH
    for begin in range(0, n, size):
        g, p, *rest = (tensor[begin : begin + size] for tensor in flat)
        scales = {
            name: states[name + SCALES][begin // blocks.BLOCK : -(-(begin + size) // blocks.BLOCK)] for name in eight
        }
        codes = dict(zip(names, rest, strict=False))
        wide = {name: blocks.decode(codes[name], scales[name]) if name in eight else codes[name] for name in names}
        part = replace(
            elements, g=g, p=p, states=tuple(wide.values()), rest=None if elements.rest is None else rest[-1],
            key=None if elements.key is None else elements.key ^ (begin // size & WORD) << 32,
        )  # fmt: skip
        yield part, partial(_encode, eight, codes, scales, wide)


def _encode(
    eight: tuple[str, ...], codes: Mapping[str, Tensor], scales: Mapping[str, Tensor], wide: Mapping[str, Tensor]
) -> None:
    for name in eight:
        codes[name][...], scales[name][...] = blocks.encode(wide[name])
