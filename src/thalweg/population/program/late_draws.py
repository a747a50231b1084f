"""Runs that draw random numbers, though nothing drew any before training."""

from typing import Any

import torch

from thalweg.population.program.randomness import GENERATOR
from thalweg.workloads.random_states import global_states, set_global_states


class DrawsLate(Exception):  # noqa: N818 - not an error: the run begins again, seeded
    """Raised when a run draws random numbers, or may have, though nothing drew any before training."""


class Exposure:
    """Detects unseeded draws of other runs, which may have fallen between seeding and drawing of this one."""

    def __init__(self) -> None:
        self._known = Undrawn.found

    def require_none(self) -> None:
        """Raises `DrawsLate` if there were any since construction."""
        if self._known != Undrawn.found:
            raise DrawsLate


class Undrawn:
    """Context that detects draws from the global generators of torch, Python and NumPy while a run trains.

    All runs of the process compare with, and restore, the states at the start of the first.

    seeded: whether each step of this run is seeded, which leaves the generators as they were. A draw is then another
    run's, while one is not seeded; and of the latter each counts as drawing, since a seeded one restores what it drew.
    exposed: whether this run seeds draws of its own. found: draws of unseeded runs, of the whole process.
    """

    found = 0
    _runs, _unseeded = 0, 0  # of the process; guarded by `GENERATOR`, whose holders restore the generators
    _before: Any = None

    def __init__(self, *, seeded: bool, exposed: bool = False) -> None:
        self._seeded, self._exposure = seeded, Exposure() if exposed or seeded else None

    def __enter__(self) -> "Undrawn":
        with GENERATOR:
            if not Undrawn._runs:
                Undrawn._before = torch.default_generator.get_state(), global_states()
            Undrawn._runs += 1
            Undrawn._unseeded += not self._seeded
        return self

    def __exit__(self, *error: object) -> None:
        with GENERATOR:
            Undrawn.found += _restored()
            Undrawn._runs -= 1
            Undrawn._unseeded -= not self._seeded

    def require(self, *, quickly: bool) -> None:
        """Restores the generators, and raises `DrawsLate`, or `RuntimeError` if seeded, if one was drawn from.

        quickly: check torch's only.
        """
        if not self._seeded and Undrawn._runs > Undrawn._unseeded:
            raise DrawsLate
        if self._exposure is not None:
            self._exposure.require_none()
        if _as_before(quickly=quickly):
            return
        with GENERATOR:
            drew, alone = _restored(), not Undrawn._unseeded
            Undrawn.found += drew and not alone
        if drew and not self._seeded:
            raise DrawsLate
        if drew and alone:
            raise RuntimeError("it draws random numbers that cannot be seeded")


def _as_before(*, quickly: bool) -> bool:
    here, others = Undrawn._before
    return torch.equal(torch.default_generator.get_state(), here) and (quickly or global_states() == others)


def _restored() -> bool:
    """Whether a generator was drawn from; restores all. Requires `GENERATOR`."""
    if _as_before(quickly=False):
        return False
    torch.default_generator.set_state(Undrawn._before[0])
    set_global_states(Undrawn._before[1])
    return True
