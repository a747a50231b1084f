"""A study of sparse models as one self-contained HTML page."""

import base64
from collections.abc import Sequence
from importlib.resources import files

from thalweg.analysis.sparsity import SparsityRow
from thalweg.records.sparsity import SparseRun, SparsityRecord
from thalweg.reports.drawing.sparsity_svg import sparsity_svg
from thalweg.reports.figures.sparsity_curves import sparsity_figure
from thalweg.reports.markup import Markup, element, join
from thalweg.reports.sparsity_table import cells, heads, sentences

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

METHODS = {
    "threshold": "the smallest weights of the dense models were set to zero after their training",
    "prune": "the smallest weights were set to zero in training, where masks hold them, and the others trained on",
    "random": "random weights were, in the place of the smallest: a control",
    "l1": "proximal steps of an L1 penalty in training, then the smallest weights that were left; its strength was"
    " chosen by the validation metric",
    "ticket": "the dense models' largest weights trained again from their initial values, the others at zero: twice the"
    " training",
}


def sparsity_page(record: SparsityRecord, rows: Sequence[SparsityRow], runs: Sequence[SparseRun]) -> str:
    """The page as HTML: what was found, the picture, the table, and how it was measured."""
    figure, told = sparsity_figure(record, rows), sentences(record, rows)
    files_of = [_size(row) for row in rows]
    top, *body = [
        [*line, size] for line, size in zip([heads(record), *cells(record, rows)], ["on disk", *files_of], strict=True)
    ]
    table = element(
        "table",
        element("thead", element("tr", *(element("th", text, scope="col") for text in top))),
        element("tbody", *(element("tr", *(element("td", text) for text in line)) for line in body)),
    )
    content = join(
        element("h1", figure.title),
        element("ul", *(element("li", text) for text in told), class_="found"),
        element("figure", element("img", src=_embedded(sparsity_svg(figure)), alt=figure.title)),
        element("div", table, class_="scroll"),
        element("h2", "How it was measured"),
        *(element("p", text) for text in _method(record, runs)),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{figure.title} · Thalweg"),
        element("style", Markup((files("thalweg.reports") / "page.css").read_text(encoding="utf-8") + EXTRA)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', content), lang='en')}\n"


EXTRA = """
.found { max-width: 46rem; padding-left: 1.2rem; } .scroll { overflow-x: auto; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; height: auto; }
.scroll table { border-collapse: collapse; }
.scroll th, .scroll td { padding: .35rem .8rem; text-align: right; white-space: nowrap; }
.scroll td { border-top: 1px solid var(--line); }
.scroll th:first-child, .scroll td:first-child { text-align: left; }
h2 { margin-top: 2.5rem; font-size: 1.125rem; } body > p { max-width: 46rem; margin-top: .6rem; }
"""


def _size(row: SparsityRow) -> str:
    """The bytes of a model's tensors, and their share of the dense ones'."""
    if row.bytes is None or not row.dense_bytes:
        return "-"
    return f"{row.bytes / 1e3:,.1f} kB ({row.bytes / row.dense_bytes:.0%})"


def _embedded(picture: str) -> str:
    """The picture as an address of its own, so that the page's style does not reach into it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"


def _method(record: SparsityRecord, runs: Sequence[SparseRun]) -> list[str]:
    request, seeds = record.request, len(record.seeds)
    settings = ", ".join(f"{name} {value}" for name, value in request.get("configuration", {}).items())
    text = [
        f"Every model trained {record.steps:,} steps with {record.optimizer}{f' ({settings})' if settings else ''}; the"
        f" {seeds} models of a row have seeds {record.seeds[0]} to {record.seeds[-1]}, and all rows share initial"
        " weights and batches by seed. Differences are paired by seed; intervals cover the mean at 95%.",
        *(f"{method}: {METHODS[method]}." for method in record.methods),
    ]
    if {"prune", "random"} & set(record.methods):
        text.append(f"The {request.get('schedule')} schedule, scope {request.get('scope')}.")
    how = sorted({run.execution for run in runs if run.execution})
    return [*text, f"Trained as {', '.join(how)}."] if how else text
