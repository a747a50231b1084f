"""`thalweg studies`, `show`, `report`, `export`, `diff` and `delete`: the stored studies of a directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli import no_runs
from thalweg.cli.reading import checked, option
from thalweg.cli.session import OUT, Json, check_writable, show_result, write_json
from thalweg.cli.tables import print_list
from thalweg.errors import counted
from thalweg.options import declared

if TYPE_CHECKING:
    from thalweg.api.studies import Studies

Study = Annotated[
    int | None,
    typer.Argument(metavar="[ID]", help=declared.STUDY.help + ".", callback=lambda v: checked(declared.STUDY, v)),
]
Out = Annotated[Path, option(declared.STORE)]


def studies(out: Out = Path(OUT)) -> None:
    """List the studies of a directory, the oldest first."""
    from thalweg.reports.studies import HEADS, rows

    print_list(HEADS, rows(_in(out).list(), out))


def show(study: Study = None, out: Out = Path(OUT), json: Json = None) -> None:
    """Show the leaderboard of a study, finished or not."""
    result = _in(out).open(study)
    if json is not None:
        write_json(json, result.facts())
    if not no_runs.told(result, out, study):
        show_result(result, None)


def report(study: Study = None, out: Out = Path(OUT)) -> None:
    """Write the report of a study, finished or not, as report-ID.html."""
    print(f"Report: {_in(out).report(study)}")


def export(
    study: Study = None,
    format: Annotated[str, typer.Option(help="csv, parquet or json.")] = "csv",
    to: Annotated[
        Path | None, typer.Option(help="The file; study-ID in the directory of studies if not given.")
    ] = None,
    out: Out = Path(OUT),
) -> None:
    """Write every run of a study, with its curve, for other programs."""
    if to is not None:
        check_writable(to, "--to")
    for written in _in(out).export(study, format, to):
        print(written)


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A study: its ID, or DIRECTORY:ID.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another, to compare with it.")],
    out: Out = Path(OUT),
    json: Json = None,
) -> None:
    """Say what changed from study A to B, and whether it is significant: exit code 1 where it is, else 0."""
    from rich.console import Console

    from thalweg.reports import difference as told

    found = _in(out).diff(before, after)
    if json is not None:
        write_json(json, told.facts(found))
    console = Console()
    if console.is_terminal:
        console.print(told.table(found))
    else:
        print("\n".join(told.lines(found)), end="\n\n")
    print("\n".join([*told.told(found), told.closing(found)]))
    raise typer.Exit(int(found.significant))


def delete(study: Annotated[int, typer.Argument(metavar="ID", help="The study.")], out: Out = Path(OUT)) -> None:
    """Remove a study with its runs, checkpoints and report."""
    runs = _in(out).delete(study)
    print(f"Study {study} is gone, and its {counted(runs, 'run')}.")


def _in(out: Path) -> "Studies":
    from thalweg.api.studies import Studies

    return Studies(out)
