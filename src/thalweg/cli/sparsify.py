"""`thalweg sparsify WORKLOAD`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.cli import session
from thalweg.cli.ensemble import ASKED, WorkloadName, prepare
from thalweg.options import declared
from thalweg.options.kinds import File
from thalweg.options.sparsify import SPARSIFY

PLOT = replace(declared.JSON, name="plot", kind=File(), help="Draw accuracy against sparsity into this SVG file")


@session.taking([*SPARSIFY.values(), PLOT, *ASKED])
def sparsify(workload: WorkloadName, *, plot: Path | None, **options: Any) -> None:
    """Measure accuracy against sparsity: pruned in training, cut afterwards, by L1, at random, tickets."""
    prepare(workload, "sparse models", options)
    import thalweg

    def study(**asked: Any) -> Any:
        result = thalweg.sparsify(workload, **asked)
        if plot is not None:
            result.save_picture(plot)
        return result

    try:
        session.run_new_study(study, **options)
    finally:
        if plot is not None and plot.exists():
            print(f"Picture: {plot}")
