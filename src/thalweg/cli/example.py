"""`thalweg example [NAME]`."""

from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.reading import option
from thalweg.options import declared


@session.studying
def example(
    name: Annotated[str | None, typer.Argument(help="One of those that are listed without a name.")] = None,
    epochs: Annotated[int | None, option(declared.EPOCHS, more=" In place of the textbook's.")] = None,
    **shared: Any,
) -> None:
    """Repeat a textbook's comparison at its own settings, with seeds and intervals; without a name, list them."""
    from thalweg.studies.examples import EXAMPLES
    from thalweg.studies.examples import example as find

    if name is None:
        for known, of in EXAMPLES.items():
            print(f"{known}\n    {of.summary}.\n    {of.workload}: {', '.join(of.optimizers)}")
        return
    chosen = find(name)
    import thalweg

    own: dict[str, Any] = {"convention": chosen.convention, "epochs": epochs}
    session.run_new_study(lambda **given: thalweg.compare(chosen.workload, chosen.optimizers, **own, **given), **shared)
