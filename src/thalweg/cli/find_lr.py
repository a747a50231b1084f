"""`thalweg find-lr WORKLOAD`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.completion import one_of
from thalweg.cli.opening import load_torch_to_compare
from thalweg.errors import InputError
from thalweg.options import declared
from thalweg.options.range_test import PLOT, RANGE_TEST
from thalweg.workloads.catalogue import load, workload_names
from thalweg.workloads.user_files import is_place


@session.taking([*RANGE_TEST.values(), PLOT, declared.JSON, declared.QUIET, declared.VERBOSE])
def find_lr(
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
    **options: Any,
) -> None:
    """Find learning rates: sweep each optimizer's rate, read an interval off the losses, verify it by short runs."""
    session.heed_verbosity(verbose=verbose, quiet=quiet)
    options["progress"] = options["progress"] and not quiet
    if any(":" in name for name in options["optimizers"] or ()):
        sys.path.append("")  # for an optimizer in the working directory; last, so that it shadows no other module
    if workload not in workload_names() and not is_place(workload):
        load(workload)
    load_torch_to_compare(workload, options["optimizers"], quiet=quiet)
    import thalweg

    try:
        result = thalweg.find_lr(workload, **options)
    except KeyboardInterrupt:
        print("thalweg: interrupted; nothing was kept.", file=sys.stderr)
        raise typer.Exit(130) from None
    print("\n".join(result.lines()))
    if json is not None:
        session.write_json(json, result.facts())
    if plot is not None:
        result.save_picture(plot)
        print(f"\nPicture: {plot}")
    if not any(f.suggestion is not None for f in result.findings):
        raise InputError(f"The range test on {result.workload} found no learning rate for any optimizer.")
