"""What the page's sections are built of: a heading with its lead, and tables that scroll sideways."""

from collections.abc import Sequence

from thalweg.reports.markup import Child, Markup, element

Line = tuple[str, Sequence[Markup]]  # an optimizer's name and its cells


def titled(name: str, title: str, lead: str, *content: Child) -> Markup:
    """A section that links can point to by `name`."""
    first = element("p", lead, class_="lead") if lead else None
    return element("section", element("h2", title), first, *content, id=name)


def remark(*text: Child) -> Markup:
    """Small print of a section."""
    return element("p", *text, class_="axes")


def scroller(label: str, content: Markup) -> Markup:
    """What may be wider than the page, and is then moved by hand or by keys."""
    return element("div", content, class_="scroller", tabindex=0, role="region", aria_label=label)


def board(label: str, heads: Sequence[Markup], lines: Sequence[Line], picked: str | None) -> Markup:
    """A table of one row an optimizer, in a scroller. heads: behind the names' own. picked: the recommended one."""
    names = element("th", "optimizer", class_="name", scope="col")
    head = element("tr", names, *heads)
    body = [_row(name, cells, picked=name == picked) for name, cells in lines]
    caption = element("caption", label, class_="unseen")
    table = element("table", caption, element("thead", head), element("tbody", *body), class_="board plain")
    return scroller(label, table)


def heading(text: str, kind: str = "number") -> Markup:
    """A column's heading, of the same kind as its cells."""
    return element("th", text, class_=kind, scope="col")


def _row(name: str, cells: Sequence[Markup], *, picked: bool) -> Markup:
    mark = element("span", "recommended", class_="under") if picked else None
    first = element("th", element("span", name, class_="contender"), mark, class_="name", scope="row")
    return element("tr", first, *cells, class_="picked" if picked else None)


def stacked(main: Child, under: str = "", kind: str = "number") -> Markup:
    """A cell with a second, smaller line. kind: its class, `words` for what stands left and may break."""
    return element("td", main, element("span", under, class_="under") if under else None, class_=kind)
