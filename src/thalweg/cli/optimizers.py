"""`thalweg optimizers [NAME]`."""

from typing import Annotated

import typer

from thalweg.cli.tables import print_list


def optimizers(
    name: Annotated[str | None, typer.Argument(help="Print the card of this one.")] = None,
    page: Annotated[bool, typer.Option("--page", help="Write all cards as one page of Markdown.")] = False,
) -> None:
    """List the optimizers; or print one's card: recurrence, hyperparameters, conventions, memory, when to use it."""
    from thalweg.recipes.catalogue import recipe, recipes
    from thalweg.reports.card import as_page, as_text, card
    from thalweg.reports.catalogue import rows

    if name is not None:
        print(as_text(card(recipe(name))))
    elif page:
        print(as_page(map(card, recipes().values())), end="")
    else:
        print_list(*rows(recipes().values()))
