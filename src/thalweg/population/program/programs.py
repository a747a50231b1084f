"""The programs of a workload's gradients that one process makes."""

from dataclasses import dataclass

from thalweg.population.program.gradients import GradientProgram


@dataclass(frozen=True)
class Programs:
    """shared, mixed: for one batch of all members, and for a batch of each member's own."""

    shared: GradientProgram
    mixed: GradientProgram

    @property
    def distrusted(self) -> str:
        """Why they must not be used any longer, after a `Disagreement`; else empty."""
        return self.shared.distrusted or self.mixed.distrusted

    def distrust(self, reason: str) -> None:
        """Ends every population that trains by them, and lets none begin."""
        self.shared.distrusted = self.mixed.distrusted = reason
