"""HTML as nested elements. Whatever is not markup already is escaped, so no name or reason can break out."""

import html
from typing import Any

EMPTY = frozenset({"circle", "line", "link", "meta", "path", "rect"})  # elements that hold nothing


class Markup(str):
    """Text that is HTML already."""


Child = str | int | None  # a `Markup` stands as it is; `None` is nothing


def element(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """`<name attributes>children</name>`. `class_` writes `class`, `_` writes `-`; `None` leaves an attribute out."""
    written = "".join(f' {_spelt(key)}="{escape(value)}"' for key, value in attributes.items() if value is not None)
    if name in EMPTY:
        assert not children
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """One after the other, escaped where they are not markup."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children if c is not None))


def escape(value: object) -> str:
    return html.escape(str(value), quote=True)


def _spelt(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
