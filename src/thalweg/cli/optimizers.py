"""`thalweg optimizers`."""


def optimizers() -> None:
    """List the optimizers: name, hyperparameters with defaults, paper."""
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
