"""`thalweg compare WORKLOAD`."""

import sys
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.options.comparison import COMPARISON
from thalweg.workloads.catalogue import load, workload_names
from thalweg.workloads.user_files import is_place


@session.studying(COMPARISON.values())
def compare(
    workload: Annotated[
        str,
        typer.Argument(
            help=f"One of {', '.join(workload_names())}; or my_file.py, my_file.py:name, package.module:name."
        ),
    ],
    **options: Any,
) -> None:
    """Compare optimizers on a workload: tune each, confirm on fresh seeds, rank, report."""
    if any(":" in name for name in options["optimizers"] or ()):
        sys.path.append("")  # for an optimizer in the working directory; last, so that it shadows no other module
    if workload not in workload_names() and not is_place(workload):
        load(workload)
    import thalweg

    session.run_new_study(lambda **asked: thalweg.compare(workload, **asked), **options)
