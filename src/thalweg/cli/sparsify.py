"""`thalweg sparsify WORKLOAD`."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.completion import one_of
from thalweg.cli.opening import load_torch_for, say_report
from thalweg.options import declared
from thalweg.options.kinds import File
from thalweg.options.sparsify import SPARSIFY
from thalweg.workloads.catalogue import load, workload_names
from thalweg.workloads.user_files import is_place

PLOT = replace(declared.JSON, name="plot", kind=File(), help="Draw accuracy against sparsity into this SVG file")


@session.taking([*SPARSIFY.values(), PLOT, declared.JSON, declared.OPEN, declared.QUIET, declared.VERBOSE])
def sparsify(
    workload: Annotated[
        str,
        typer.Argument(
            help="As compare takes it: a name, my_file.py, package.module:name.",
            metavar="WORKLOAD",
            autocompletion=one_of(workload_names),
        ),
    ],
    *,
    plot: Path | None,
    json: Path | None,
    verbose: bool,
    quiet: bool,
    open: bool,
    **options: Any,
) -> None:
    """Measure accuracy against sparsity: pruned in training, cut afterwards, by L1, at random, tickets."""
    session.heed_verbosity(verbose=verbose, quiet=quiet)
    options["progress"] = options["progress"] and not quiet
    if workload not in workload_names() and not is_place(workload):
        load(workload)
    load_torch_for(f"{workload}: sparse models", quiet=quiet)
    import thalweg

    try:
        result = thalweg.sparsify(workload, **options)
    except KeyboardInterrupt:
        print(
            f"thalweg: interrupted; finished models are kept in {options['out']}. The same command goes on.",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    print("\n".join(result.lines(shutil.get_terminal_size().columns)))
    if json is not None:
        session.write_json(json, result.facts())
    if plot is not None:
        result.save_picture(plot)
        print(f"\nPicture: {plot}")
    if result.folder is not None:
        print()
        say_report(result.folder / "report.html", open=open)
    if any(row.broken for row in result.rows):
        raise typer.Exit(1)
