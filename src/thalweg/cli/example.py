"""`thalweg example [NAME]`."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.completion import one_of
from thalweg.cli.opening import load_torch_to_compare
from thalweg.options.comparison import COMPARISON


def _names() -> Iterable[str]:
    from thalweg.studies.examples import EXAMPLES

    return EXAMPLES


@session.studying(of for of in COMPARISON.values() if not of.textbook)
def example(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One of those that are listed without a name.", metavar="NAME", autocompletion=one_of(_names)
        ),
    ] = None,
    **options: Any,
) -> None:
    """Repeat a textbook's comparison at its own settings, with seeds and intervals; without a name, list them."""
    from thalweg.studies.examples import EXAMPLES
    from thalweg.studies.examples import example as find

    if name is None:
        for known, of in EXAMPLES.items():
            print(f"{known}\n    {of.summary}.\n    {of.workload}: {', '.join(of.optimizers)}")
        return
    chosen = find(name)
    load_torch_to_compare(name, chosen.optimizers, quiet=options["quiet"])
    import thalweg

    own: dict[str, Any] = {"optimizers": chosen.optimizers, "convention": chosen.convention}
    lengths = options.keys() & {"epochs", "steps"}
    if all(options[name] is None for name in lengths):
        options["epochs"] = chosen.epochs
    options["batch_size"] = options["batch_size"] or chosen.batch_size
    session.run_new_study(lambda **asked: thalweg.compare(chosen.workload, **own, **asked), **options)
