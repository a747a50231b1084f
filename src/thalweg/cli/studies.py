"""`thalweg studies`, `show`, `report`, `export`, `diff` and `delete`: the stored studies of a directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli.reading import checked, option
from thalweg.cli.session import OUT, Json, check_writable, show_result, write_json
from thalweg.errors import InputError, counted
from thalweg.options import declared

if TYPE_CHECKING:
    from thalweg.records.store import Store
    from thalweg.records.types import RunRecord, StudyRecord

Study = Annotated[
    int | None,
    typer.Argument(metavar="[ID]", help=declared.STUDY.help + ".", callback=lambda v: checked(declared.STUDY, v)),
]
Out = Annotated[Path, option(declared.STORE)]


def studies(out: Out = Path(OUT)) -> None:
    """List the studies of a directory, the oldest first."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from thalweg.reports.studies import HEADS, rows

    store = _open(out)
    body = rows(store.summaries(), out)
    store.close()
    console = Console()
    if not console.is_terminal:
        print("\n".join("\t".join(line) for line in body))
        return
    table = Table(*HEADS, box=box.SIMPLE_HEAD, pad_edge=False)
    for line in body:
        table.add_row(*(Text(cell) for cell in line))
    console.print(table)


def show(study: Study = None, out: Out = Path(OUT), json: Json = None) -> None:
    """Show the leaderboard of a study, finished or not."""
    import thalweg

    result = thalweg.stored(out, study)
    if json is not None:
        write_json(json, result.facts())
    show_result(result, None)


def report(study: Study = None, out: Out = Path(OUT)) -> None:
    """Write the report of a study, finished or not, as report-ID.html."""
    import thalweg

    store = _open(out)
    number = store.latest() if study is None else study
    store.close()
    path = out / f"report-{number}.html"
    try:
        thalweg.stored(out, number).save_report(path)
    except OSError as error:
        raise InputError(f"The report cannot be written to {path}: {error.strerror}.") from None
    print(f"Report: {path}")


def export(
    study: Study = None,
    format: Annotated[str, typer.Option(help="csv, parquet or json.")] = "csv",
    to: Annotated[
        Path | None, typer.Option(help="The file; study-ID in the directory of studies if not given.")
    ] = None,
    out: Out = Path(OUT),
) -> None:
    """Write every run of a study, with its curve, for other programs."""
    from thalweg.reports.export import export as write

    store = _open(out)
    number = store.latest() if study is None else study
    record, runs = store.study(number), store.runs(number)
    store.close()
    path = out / f"study-{number}.{format}" if to is None else to
    check_writable(path, "--to")
    for written in write(record, runs, format, path):
        print(written)


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A study: its ID, or DIRECTORY:ID.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another, to compare with it.")],
    out: Out = Path(OUT),
    json: Json = None,
) -> None:
    """Say what changed from study A to B, and whether it is significant: exit code 1 where it is, else 0."""
    from rich.console import Console

    from thalweg.analysis.difference import difference
    from thalweg.reports import difference as told

    found = difference(_read(before, out), _read(after, out))
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
    import shutil

    from thalweg.records.lock import Lock, folder

    store, own = _open(out), folder(out, study)
    runs = len(store.runs(study))
    lock = Lock(own, study)
    store.delete(study)
    store.close()
    lock.close()
    shutil.rmtree(own, ignore_errors=True)
    (out / f"report-{study}.html").unlink(missing_ok=True)
    print(f"Study {study} is gone, and its {counted(runs, 'run')}.")


def _read(text: str, out: Path) -> "tuple[StudyRecord, list[RunRecord]]":
    """The study `3` of the directory `out`, or `DIRECTORY:3` of another one."""
    directory, _, number = text.rpartition(":")
    if not number.isdecimal():
        raise InputError(f"A study is given by its ID or as DIRECTORY:ID, got {text!r}; thalweg studies lists them.")
    store = _open(Path(directory) if directory else out)
    try:
        return store.study(int(number)), store.runs(int(number))
    finally:
        store.close()


def _open(out: Path) -> "Store":
    from thalweg.records.store import Store

    return Store(out)
