"""The memory floor of an update: a pass that reads and writes what a rule must, and computes next to nothing.

It is Thalweg's own compiled pass with a rule that reads gradient, parameter and n states and writes parameter and
states, on torch's threads, without anything of an optimizer around it. What a rule takes beyond it is arithmetic and
Python.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.execution.compiled import prepare
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.row_table import table
from thalweg.recipes.trace import Program, trace
from thalweg.rules.contract import rule
from thalweg.rules.states import Zeros


def floor(gradients: Sequence[Tensor], start: Sequence[Tensor], states: int) -> Callable[[], None]:
    """A pass over gradients, parameters that begin as `start`, and so many states of the same sizes."""
    program = _program(states)
    streams = [gradients, [p.clone() for p in start], *([torch.zeros_like(p) for p in start] for _ in range(states))]
    sizes = np.array([g.numel() for g in gradients])
    first = gradients[0]
    prepared = prepare(program, first.device, (first.dtype,) * len(streams), sizes, 1)
    prepared.pointers[:] = np.array([[t.data_ptr() for t in tensors] for tensors in streams])
    columns = table(program, {"t": np.ones(1)})[0]

    def step(_held: Any = streams) -> None:  # the pass knows addresses only
        prepared(columns)

    return step


@cache
def _program(states: int) -> Program:
    """`s ← s/2 + g` for each state; `p ← p - g/1024`."""

    def streams(g: Any, p: Any, *rest: Any) -> Any:
        return (g * 2.0**-10, *(0.5 * s + g for s in rest[:-1]))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    held = [inspect.Parameter(f"s{i}", kind, annotation=Zeros) for i in range(states)]
    g, p, t = (inspect.Parameter(name, kind) for name in "gpt")
    streams.__name__ = f"streams_{states}"
    streams.__signature__ = inspect.Signature([g, p, *held, t])
    recipe = Recipe(rule(paper="none", rates=(1e-3, 1.0), rate=None)(streams))
    return trace(recipe.structure(recipe.resolve({})))
