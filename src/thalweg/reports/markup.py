"""Builds HTML as nested elements. Everything that is not `Markup` is escaped, so no text can inject markup."""

import html
from typing import Any

EMPTY = frozenset({"circle", "img", "line", "link", "meta", "path", "rect"})  # void elements, without children


class Markup(str):
    """A string of HTML, not escaped again."""


Child = str | int | None  # `Markup` is not escaped; `None` is omitted


def element(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """`<name attributes>children</name>`. `class_` becomes `class`, `_` becomes `-`; `None` omits an attribute."""
    written = "".join(f' {_spelt(key)}="{escape(value)}"' for key, value in attributes.items() if value is not None)
    if name in EMPTY:
        assert not children
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Concatenates children, escaping those that are not `Markup`."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children if c is not None))


def escape(value: object) -> str:
    return html.escape(str(value), quote=True)


def _spelt(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
