"""`thalweg schedules [SCHEDULE]`."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli.completion import one_of, schedule_names
from thalweg.cli.tables import print_list


def schedules(
    schedule: Annotated[
        str | None,
        typer.Argument(
            help='Print the values of this one: 1cycle, "cosine(1e-3, warmup=5%)".',
            metavar="SCHEDULE",
            autocompletion=one_of(schedule_names),
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the run.", metavar="N")] = 1000,
    plot: Annotated[
        Path | None, typer.Option(help="Draw value against step into this SVG file.", metavar="FILE")
    ] = None,
) -> None:
    """List the schedules of rates; or print values of one, a share of the rate that is tuned unless it has its own."""
    from thalweg.errors import InputError
    from thalweg.reports.schedules import in_run, rows, table

    if schedule is None:
        if plot is not None:
            raise InputError("--plot needs a schedule to draw: thalweg schedules 1cycle --plot out.svg")
        print_list(*rows())
        return
    found = in_run(schedule, steps)
    print(found)
    for line in table(found, steps):
        print(line)
    if plot is not None:
        from thalweg.reports.drawing.schedule_svg import svg
        from thalweg.reports.figures.schedule_curve import schedule_figure

        try:
            plot.write_text(svg(schedule_figure(found, steps)), encoding="utf-8")
        except OSError as error:
            raise InputError(f"The picture cannot be written to {plot}: {error.strerror}.") from error
        print(f"Picture: {plot}")
