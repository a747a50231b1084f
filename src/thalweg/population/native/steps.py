"""Whole steps of a run in one call: batches gathered, evaluated and followed by the optimizer's passes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, empty, empty_like

from thalweg.population.native.code import Code, Workspace
from thalweg.population.native.program import OUT_OF_RANGE, named
from thalweg.population.native.source import FLUSH, FRAME
from thalweg.population.program.failures import Disagreement

Integers = NDArray[np.int64]


class Steps:
    """Steps of members with batches of one size.

    stacks: parameters and buffers, `[members, …]`, by the names of their blocks. gradients: `[1, …]`, which all members
    share. given: a batch of that size. data: the samples, contiguous, from which batches are gathered.
    """

    def __init__(
        self,
        code: Code,
        workspace: Workspace,
        stacks: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        given: Sequence[Tensor],
        data: Sequence[Tensor],
    ) -> None:
        self._code, self._workspace, self._stacks, self.sites = code, workspace, stacks, code.sites
        self._bases = code.bases(workspace)
        own = {**named("g", dict(gradients)), "loss": empty(1, 1, dtype=code.dtype)}
        own |= {new: empty_like(stacks[old][:1]) for new, old in code.names.after.items()}
        own |= {f"given {i}": empty_like(x)[None] for i, x in enumerate(given)}
        code.aim(self._bases, own, 0)
        self._held = own, data  # its memory is in use
        self._sources = np.array([x.data_ptr() for x in data], np.int64)

    def carry_out(
        self,
        member: int,
        indices: Tensor,
        passes: tuple[Integers, Integers, Integers, Integers],
        keys: Integers,
        *,
        flush: bool,
    ) -> tuple[NDArray[np.float64], int]:
        """Trains a member; returns (losses `[steps]`, NaN after its end; the steps before a loss that was not finite).

        indices: of samples, contiguous, `[steps, batch]`. passes: from `MemberPasses.of`. keys: of
        the random operations, `[steps, sites]`. flush: whether they may take
        subnormal numbers for 0. Raises `Disagreement` where an index that the model or the loss computes is out of
        range.
        """
        self._code.aim(self._bases, self._stacks, member)
        losses = np.full(len(indices), np.nan)
        arrays = dict(zip(("frames", "functions", "tables", "widths"), passes, strict=True))
        arrays |= {"bases": self._bases, "losses": losses, "sources": self._sources}
        values = {name: array.ctypes.data for name, array in arrays.items()}
        values |= {
            "steps": len(indices),
            "indices": indices.data_ptr(),
            "updates": len(passes[0]),
            "flush": FLUSH * flush,
            "keys": keys.ctypes.data,
        }
        frame = np.array([values[name] for name in FRAME], np.int64)
        done = int(self._code.interval(frame.ctypes.data))
        if self._workspace.errors[0]:
            raise Disagreement(OUT_OF_RANGE)
        return losses, done
