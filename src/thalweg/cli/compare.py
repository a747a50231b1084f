"""`thalweg compare WORKLOAD`."""

import sys
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.completion import one_of
from thalweg.cli.opening import load_torch_to_compare
from thalweg.options.comparison import COMPARISON
from thalweg.workloads.catalogue import load, workload_names
from thalweg.workloads.user_files import is_place


@session.studying(COMPARISON.values())
def compare(
    workload: Annotated[
        str,
        typer.Argument(
            help=f"One of {', '.join(workload_names())}; or my_file.py, my_file.py:name, package.module:name.",
            metavar="WORKLOAD",
            autocompletion=one_of(workload_names),
        ),
    ],
    **options: Any,
) -> None:
    """Compare optimizers on a workload: tune each, confirm on fresh seeds, rank, report."""
    if any(":" in name for name in options["optimizers"] or ()):
        sys.path.append("")  # for an optimizer in the working directory; last, so that it shadows no other module
    if workload not in workload_names() and not is_place(workload):
        load(workload)
    crossed = {"schedule": options["schedules"], "regularizer": options["regularizers"]}
    load_torch_to_compare(
        workload, options["optimizers"], crossed, varied=bool(options["vary"]), quiet=options["quiet"]
    )
    import thalweg

    session.run_new_study(lambda **asked: thalweg.compare(workload, **asked), **options)
