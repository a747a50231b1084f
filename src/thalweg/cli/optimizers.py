"""`thalweg optimizers [NAME]`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli.tables import print_list
from thalweg.options.declared import Option
from thalweg.options.kinds import OneOf

if TYPE_CHECKING:
    from thalweg.recipes.catalogue import Recipe

FORMAT = Option("format", OneOf(("text", "json")), "text", "Print text, or JSON for scripts")
MORE = "thalweg optimizers NAME prints the card of one; --all lists all details."


def optimizers(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print the card of this one.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="List them with all hyperparameters, classes and papers.")
    ] = False,
    page: Annotated[bool, typer.Option("--page", help="Write all cards as one page of Markdown.")] = False,
    form: Annotated[
        str, typer.Option("--format", metavar="text|json", help=FORMAT.help + ".", callback=FORMAT.check)
    ] = "text",
) -> None:
    """List the optimizers and when to use each; or print one's card: recurrence, defaults, conventions, memory."""
    from thalweg.errors import InputError
    from thalweg.recipes.catalogue import recipe, recipes
    from thalweg.reports.card import as_page, card

    if page and (name is not None or every or form == "json"):
        raise InputError("--page writes all cards as Markdown: give it without a name, --all and --format json.")
    if page:
        print(as_page(map(card, recipes().values())), end="")
    elif name is not None:
        _print_card(recipe(name), form)
    else:
        _print_list(recipes(), form, every=every)


def _print_card(of: "Recipe", form: str) -> None:
    from dataclasses import asdict

    from thalweg.reports.card import WIDEST, as_text, card

    if form == "json":
        _print_json(asdict(card(of)))
    else:
        print(as_text(card(of), _columns() or WIDEST))


def _print_list(recipes: "Mapping[str, Recipe]", form: str, *, every: bool) -> None:
    from thalweg.reports.catalogue import facts, groups, lines, rows
    from thalweg.studies.protocol import TEXTBOOK

    grouped, columns = groups(recipes, TEXTBOOK), _columns()
    if form == "json":
        _print_json(facts(grouped, TEXTBOOK))
    elif every or columns is None:
        print_list(*rows(recipe for members in grouped.values() for recipe in members))
    else:
        _print_lines(lines(grouped, columns))


def _print_lines(lines: list[tuple[str, bool]]) -> None:
    """Prints the list on a terminal, headings in bold after an empty line, and what has more."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for line, heading in lines:
        console.print(Text(f"\n{line}" if heading else line, style="bold" if heading else ""), soft_wrap=True)
    console.print(Text(f"\n{MORE}", style="dim"))


def _columns() -> int | None:
    """The width of the terminal; `None` where the output is none."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else None


def _print_json(data: Any) -> None:
    import json

    print(json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False))
