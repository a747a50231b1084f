"""`thalweg`: the commands, and their exit on invalid input."""

import io
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

import thalweg
from thalweg.cli import (
    check,
    compare,
    distill,
    ensemble,
    example,
    find_lr,
    new,
    optimizers,
    resume,
    schedules,
    sparsify,
    studies,
    watch,
)
from thalweg.errors import InputError

app = typer.Typer(
    name="thalweg",
    help="Which optimizer, at which learning rate, should I use? Compares optimizers fairly, with error bars.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Compare": {
        "compare": compare.compare, "resume": resume.resume, "find-lr": find_lr.find_lr, "check": check.check,
        "sparsify": sparsify.sparsify, "ensemble": ensemble.ensemble, "distill": distill.distill,
        "new": new.new, "example": example.example,
    },
    "Stored studies": {
        "studies": studies.studies, "show": studies.show, "watch": watch.watch, "report": studies.report,
        "diff": studies.diff, "export": studies.export, "delete": studies.delete,
    },
    "Look up": {"optimizers": optimizers.optimizers, "schedules": schedules.schedules},
}  # fmt: skip
"""The commands in the groups of the help, by name."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "compare": (
        "thalweg compare digits",
        'thalweg compare my_file.py --optimizers "adamw,sgd(momentum=0.9)" --budget 10min --open',
        "thalweg compare digits --schedules constant,cosine,1cycle --seeds 5",
    ),
    "resume": ("thalweg resume", "thalweg resume 3 --out my-studies"),
    "find-lr": ("thalweg find-lr digits --optimizers adamw,sgd --plot rates.svg", "thalweg find-lr my_file.py"),
    "ensemble": (
        "thalweg ensemble digits --members 10 --optimizer adam --learning-rate 1e-3",
        "thalweg ensemble my_file.py --members 5 --snapshots --save models",
    ),
    "distill": ("thalweg distill digits --student hidden=20 --temperature 20 --weight 0.9",),
    "sparsify": ("thalweg sparsify digits --method prune,random --sparsity 0.8,0.9 --plot sparsity.svg",),
    "check": ("thalweg check my_file.py",),
    "new": ("thalweg new my_problem.py", "thalweg new my_problem.py --kind regression"),
    "example": ("thalweg example", "thalweg example schedules-on-fashion-mnist --open"),
    "show": ("thalweg show", "thalweg show 3 --format md | gh pr comment --body-file -"),
    "report": ("thalweg report 3 --open",),
    "diff": ("thalweg diff 1 2", "thalweg diff main-studies:4 7 --format github"),
    "export": ("thalweg export 3 --format parquet --to runs.parquet",),
    "schedules": ('thalweg schedules "cosine(1e-3, warmup=5%)" --plot cosine.svg',),
}

for group, commands in COMMANDS.items():
    for name, command in commands.items():
        lines = "\n\n".join(("Examples:", *EXAMPLES[name])) if name in EXAMPLES else None
        app.command(name, rich_help_panel=group, epilog=lines)(command)


def _version(asked: bool) -> None:
    if asked:
        print(f"thalweg {thalweg.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar="", help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def run() -> None:
    """The console script: on a user error it prints one sentence and exits with code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an undecodable path, or a terminal without "±", must not crash it
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except InputError as error:
        if error.__cause__ is not None and logging.getLogger("thalweg").isEnabledFor(logging.DEBUG):  # --verbose
            traceback.print_exception(error.__cause__)
        print(f"thalweg: {error}", file=sys.stderr)
        sys.exit(2)
