"""`thalweg ensemble WORKLOAD`."""

import sys
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.completion import one_of
from thalweg.cli.opening import load_torch_for
from thalweg.errors import counted
from thalweg.options import declared
from thalweg.options.ensembling import ENSEMBLE
from thalweg.workloads.catalogue import load, workload_names
from thalweg.workloads.user_files import is_place

ASKED = (declared.JSON, declared.OPEN, declared.QUIET, declared.VERBOSE)
WorkloadName = Annotated[
    str,
    typer.Argument(
        help="As compare takes it: a name, my_file.py, package.module:name.",
        metavar="WORKLOAD",
        autocompletion=one_of(workload_names),
    ),
]


@session.taking([*ENSEMBLE.values(), *ASKED])
def ensemble(workload: WorkloadName, **options: Any) -> None:
    """Train several models of one setting at once; say what they score alone, on average and together."""
    prepare(workload, counted(options["members"], "model"), options)
    import thalweg

    session.run_new_study(lambda **asked: thalweg.ensemble(workload, **asked), **options)


def prepare(workload: str, what: str, options: dict[str, Any]) -> None:
    """What comes before torch is imported: the workload's name is checked. what: is trained, for a first sign."""
    if ":" in options["optimizer"]:
        sys.path.append("")  # for an optimizer in the working directory; last, so that it shadows no other module
    if workload not in workload_names() and not is_place(workload):
        load(workload)
    load_torch_for(f"{workload}: {what}", quiet=options["quiet"])
