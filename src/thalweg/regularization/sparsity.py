"""How many weights are zero after which step: constant and cubic schedules of sparsity."""

from dataclasses import dataclass

from thalweg.errors import InputError, shown
from thalweg.options.ranges import Range, whole

SCHEDULES = ("cubic", "constant")
SPARSITY = Range(0.0, 1.0, open_low=True, open_high=True)
"""Of a pruned model: at 0 nothing is pruned, and at 1 nothing is left to train."""


@dataclass(frozen=True)
class SparsitySchedule:
    """The sparsity after each update of a mask: at `begin`, every `frequency` steps from there, and at `end`.

    `"cubic"`: s_t = s·(1 - (1 - (t - begin)/(end - begin))³) (Zhu & Gupta 2017, arXiv:1710.01878, with s_0 = 0), as in
    TF-MOT and torch.ao; jaxpruner's is one update ahead. `"constant"`: s from `begin` on, chosen anew at each update.

    Args:
        final: s, in (0, 1): the share of the prunable weights that are zero at the end.
        begin, end: steps after which masks are first and last updated; begin ≤ end, and less where it is cubic.
        frequency: steps between two updates, at least 1.
        kind: `"cubic"` or `"constant"`.

    Raises:
        InputError: a value is out of range.
    """

    final: float
    begin: int = 0
    end: int = 0
    frequency: int = 1
    kind: str = "cubic"

    def __post_init__(self) -> None:
        steps = {"begin": whole(0), "end": whole(0), "frequency": whole(1)}
        object.__setattr__(self, "final", SPARSITY.check("sparsity", self.final))
        for name, kind in steps.items():
            object.__setattr__(self, name, kind.check(name, getattr(self, name)))
        if self.kind not in SCHEDULES:
            raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, got {shown(self.kind)}.")
        if self.end < self.begin or (self.kind == "cubic" and self.end == self.begin):
            least = f"above begin, {self.begin}" if self.kind == "cubic" else f"at least begin, {self.begin}"
            raise InputError(f"end must be {least}, got {self.end}.")

    def updates(self, step: int) -> bool:
        """Whether the mask is updated after this step; 0 is before the first."""
        inside = self.begin <= step <= self.end
        return inside and ((step - self.begin) % self.frequency == 0 or step == self.end)

    @property
    def steps(self) -> list[int]:
        """The steps after which the mask is updated, ascending."""
        return sorted({*range(self.begin, self.end + 1, self.frequency), self.end})

    def at(self, step: int) -> float:
        """The sparsity that an update after this step, from `begin` to `end`, sets."""
        if self.kind == "constant" or step >= self.end:
            return self.final
        left = 1 - (step - self.begin) / (self.end - self.begin)
        return self.final * (1 - left**3)
