"""`thalweg check WORKLOAD`."""

from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.completion import one_of, workload_names
from thalweg.cli.opening import load_torch_for
from thalweg.options.comparison import COMPARISON


@session.taking(COMPARISON[name] for name in ("epochs", "steps", "device", "data_dir"))
def check(
    workload: Annotated[
        str,
        typer.Argument(
            help="As compare takes it: a name, my_file.py, package.module:name.",
            metavar="WORKLOAD",
            autocompletion=one_of(workload_names),
        ),
    ],
    **options: Any,
) -> None:
    """Check a workload before anything is compared: model, data, loss at the start, and how it will be trained."""
    load_torch_for(workload)
    import thalweg

    for line in thalweg.check(workload, **options):
        print(f"{line.label:<10}{line.text}")
        if line.doubt:
            print(f"{'':<10}! {line.doubt}")
