"""Building blocks of the page's sections: headings with a lead, and horizontally scrolling tables."""

from collections.abc import Sequence

from thalweg.reports.markup import Child, Markup, element

Line = tuple[str, Sequence[Markup]]  # (optimizer's name, its cells)


def titled(name: str, title: str, lead: str, *content: Child) -> Markup:
    """A section with heading and lead; `name` is its anchor."""
    first = element("p", lead, class_="lead") if lead else None
    return element("section", element("h2", title), first, *content, id=name)


def remark(*text: Child) -> Markup:
    """A section's note in small print."""
    return element("p", *text, class_="axes")


def scroller(label: str, content: Markup) -> Markup:
    """Wraps content that may be wider than the page in a scrollable, focusable region."""
    return element("div", content, class_="scroller", tabindex=0, role="region", aria_label=label)


def board(label: str, heads: Sequence[Markup], lines: Sequence[Line], picked: str | None) -> Markup:
    """A table with one row per optimizer, in a scroller. heads: columns after the name. picked: the recommended one."""
    names = element("th", "optimizer", class_="name", scope="col")
    head = element("tr", names, *heads)
    body = [_row(name, cells, picked=name == picked) for name, cells in lines]
    caption = element("caption", label, class_="unseen")
    table = element("table", caption, element("thead", head), element("tbody", *body), class_="board plain")
    return scroller(label, table)


def heading(text: str, kind: str = "number") -> Markup:
    """A column's heading, with the same class as its cells."""
    return element("th", text, class_=kind, scope="col")


def _row(name: str, cells: Sequence[Markup], *, picked: bool) -> Markup:
    mark = element("span", "recommended", class_="under") if picked else None
    first = element("th", element("span", name, class_="contender"), mark, class_="name", scope="row")
    return element("tr", first, *cells, class_="picked" if picked else None)


def stacked(main: Child, under: str = "", kind: str = "number") -> Markup:
    """A cell with an optional second, smaller line. kind: its class; `words` is left-aligned and may wrap."""
    return element("td", main, element("span", under, class_="under") if under else None, class_=kind)
