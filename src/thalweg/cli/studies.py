"""`thalweg studies`, `show`, `report`, `export`, `diff` and `delete`: the stored studies of a directory."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli import no_runs
from thalweg.cli.completion import one_of, study_formats
from thalweg.cli.opening import say_report
from thalweg.cli.reading import checked, option
from thalweg.cli.session import OUT, Json, Open, as_json, check_writable, say, show_result, write_json
from thalweg.cli.tables import print_list
from thalweg.errors import InputError, counted, shown, suggest
from thalweg.options import declared

if TYPE_CHECKING:
    from thalweg.analysis.difference import Difference
    from thalweg.api.studies import Studies

if TYPE_CHECKING:
    Study = int | None
    RequiredStudy = int
else:  # Typer reads a text, of which the callback makes a number: its sentence for another is ours
    _ID = {"callback": lambda value: checked(declared.STUDY, value)}
    Study = Annotated[str | None, typer.Argument(metavar="ID", help=declared.STUDY.help + ".", **_ID)]
    RequiredStudy = Annotated[str, typer.Argument(metavar="ID", help="The study's ID.", **_ID)]
Out = Annotated[Path, option(declared.STORE)]


def studies(out: Out = Path(OUT)) -> None:
    """List the studies of a directory, the oldest first."""
    from thalweg.reports.studies import HEADS, rows

    print_list(HEADS, rows(_in(out).list(), out))


SHOWN = ("text", "md", "json")
DIFFERENCES = ("text", "md", "json", "junit", "github")


def _format(formats: Sequence[str]) -> Any:
    """The option `--format`, of these."""
    listed = f"{', '.join(formats[:-1])} or {formats[-1]}"
    return typer.Option(help=f"{listed}.", metavar="FORMAT", autocompletion=one_of(formats))


def _require_known(format: str, formats: Sequence[str]) -> None:
    if format not in formats:
        raise InputError(f"There is no format {shown(format)} to show. {suggest(format, formats)}")


def show(
    study: Study = None, format: Annotated[str, _format(SHOWN)] = "text", out: Out = Path(OUT), json: Json = None
) -> None:
    """Show the leaderboard of a study, finished or not; as "md" for a pull request, as "json" for programs."""
    _require_known(format, SHOWN)
    result = _in(out).open(study)
    if json is not None:
        write_json(json, result.facts())
    if not hasattr(result, "leaderboard"):  # a study that is no comparison
        if format == "text":
            show_result(result, None)
        else:
            print(as_json(result.facts()) if format == "json" else result.markdown())
    elif format == "md":
        from thalweg.reports.markdown import summary

        print(summary(result.study, result.rows, result.verdict))
    elif format == "json":
        print(as_json(result.facts()))
    elif not no_runs.told(result, out, study):
        show_result(result, None)


def report(study: Study = None, out: Out = Path(OUT), open: Open = False) -> None:
    """Write the report of a study, finished or not, as report-ID.html."""
    say_report(_in(out).report(study), open=open)


def export(
    study: Study = None,
    format: Annotated[
        str, typer.Option(help="csv, parquet or json.", metavar="FORMAT", autocompletion=one_of(study_formats))
    ] = "csv",
    to: Annotated[
        Path | None,
        typer.Option(help="The file to write.", metavar="FILE", show_default="study-ID in the directory of studies"),
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
    format: Annotated[str, _format(DIFFERENCES)] = "text",
    out: Out = Path(OUT),
    json: Json = None,
) -> None:
    """Say what changed from study A to B, and whether it is significant: exit code 1 where it is, else 0."""
    _require_known(format, DIFFERENCES)
    found = _in(out).diff(before, after)
    from thalweg.reports import difference, difference_formats

    if json is not None:
        write_json(json, difference.facts(found))
    if format == "text":
        _print_difference(found)
    elif format == "json":
        print(as_json(difference.facts(found)))
    else:
        print(difference_formats.FORMATS[format](found, f"{before} → {after}"))
    raise typer.Exit(int(found.significant))


def _print_difference(found: "Difference") -> None:
    from rich.console import Console

    from thalweg.reports.difference import closing, lines, table, told

    console = Console()
    if console.is_terminal:
        console.print(table(found))
    else:
        print("\n".join(lines(found)), end="\n\n")
    say(console, *told(found), closing(found))


def delete(study: RequiredStudy, out: Out = Path(OUT)) -> None:
    """Delete a study with its runs, checkpoints and report."""
    runs = _in(out).delete(study)
    print(f"Deleted study {study} with its {counted(runs, 'run')}.")


def _in(out: Path) -> "Studies":
    """The studies of a directory. NumPy and SciPy begin with one thread: starting more takes longer than reading."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from thalweg.api.studies import Studies

    return Studies(out)
