"""`thalweg`: the commands, and their exit on invalid input."""

import io
import logging
import sys
import traceback
from typing import Annotated

import typer

import thalweg
from thalweg.cli import check, compare, example, find_lr, new, optimizers, resume, schedules, studies, watch
from thalweg.errors import InputError

app = typer.Typer(
    name="thalweg",
    help="Which optimizer, at which learning rate, should I use? Compares optimizers fairly, with error bars.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("new")(new.new)
app.command("compare")(compare.compare)
app.command("check")(check.check)
app.command("find-lr")(find_lr.find_lr)
app.command("example")(example.example)
app.command("resume")(resume.resume)
app.command("studies")(studies.studies)
app.command("show")(studies.show)
app.command("watch")(watch.watch)
app.command("report")(studies.report)
app.command("export")(studies.export)
app.command("diff")(studies.diff)
app.command("delete")(studies.delete)
app.command("optimizers")(optimizers.optimizers)
app.command("schedules")(schedules.schedules)


def _version(asked: bool) -> None:
    if asked:
        print(f"thalweg {thalweg.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
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
