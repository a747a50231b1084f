"""Lists that commands print: a table on a terminal, else a line of cells with tabs between them."""

from collections.abc import Iterable, Sequence


def print_list(heads: Sequence[str], body: Iterable[Sequence[str]]) -> None:
    """Prints rows of cells; on a terminal under headings, with long cells folded."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
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
