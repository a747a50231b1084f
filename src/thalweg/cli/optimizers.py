"""`thalweg optimizers [NAME]`."""

from typing import Annotated

import typer


def optimizers(
    name: Annotated[str | None, typer.Argument(help="Print the card of this one.")] = None,
    page: Annotated[bool, typer.Option("--page", help="Write all cards as one page of Markdown.")] = False,
) -> None:
    """List the optimizers; or print one's card: recurrence, hyperparameters, conventions, memory, when to use it."""
    from thalweg.recipes.catalogue import recipe, recipes
    from thalweg.reports.card import as_page, as_text, card

    if name is not None:
        print(as_text(card(recipe(name))))
    elif page:
        print(as_page(map(card, recipes().values())), end="")
    else:
        _list()


def _list() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from thalweg.recipes.catalogue import recipes
    from thalweg.reports.catalogue import rows

    console = Console()
    heads, body = rows(recipes().values())
    if not console.is_terminal:
        for line in body:
            print("\t".join(line))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for line in body:
        table.add_row(*(Text(cell) for cell in line))
    console.print(table)
