"""The result of a study of sparse models."""

from dataclasses import dataclass
from functools import cached_property

from thalweg.analysis.sparsity import SparsityRow, sparsity_rows
from thalweg.api.findings import OfFindings
from thalweg.errors import InputError, shown
from thalweg.records.sparsity import SparseRun, SparsityRecord, runs_of


@dataclass(frozen=True)
class SparsityStudy(OfFindings):
    """Accuracy against sparsity. `rows`: the dense models first, then each method at each sparsity."""

    @cached_property
    def models(self) -> tuple[SparseRun, ...]:
        """What became of every model at every sparsity."""
        return tuple(runs_of(self.study.findings))

    @cached_property
    def rows(self) -> tuple[SparsityRow, ...]:
        """The dense models first, then each method at each sparsity."""
        return tuple(sparsity_rows(SparsityRecord.of(self.study), self.models))

    def row(self, method: str, sparsity: float = 0.0) -> SparsityRow:
        """One row; `"dense"` has sparsity 0. Raises `InputError` where it was not trained."""
        found = next((row for row in self.rows if (row.method, row.sparsity) == (method, sparsity)), None)
        if found is None:
            raise InputError(f"The study has no method {shown(method)} at the sparsity {sparsity:g}.")
        return found
