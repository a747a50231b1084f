"""What a terminal of a width shows, in plain text."""

import io
from typing import Any

from rich.console import Console


def terminal(width: int, height: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None, record=True)


def screen(console: Console, shown: Any) -> list[str]:
    """The lines of something that rich renders, without blanks at their ends."""
    console.print(shown)
    return [line.rstrip() for line in console.export_text(styles=False).rstrip().split("\n")]
