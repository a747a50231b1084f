"""Studies that are no comparisons, shown: lines of a terminal, JSON, one HTML page, a picture; by their kind."""

import base64
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from thalweg.errors import InputError
from thalweg.options.comparison import settings
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import distillation_text, ensemble_text, sections, sparsity_text
from thalweg.reports import markdown as md
from thalweg.reports.captions import wall_time
from thalweg.reports.facts import plain
from thalweg.reports.layout import remark, scroller, titled
from thalweg.reports.markup import Markup, element, join
from thalweg.reports.methods_text import environment
from thalweg.reports.page import document
from thalweg.reports.terminal import aligned

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


class Text(Protocol):
    """What is said of the findings of one kind of study."""

    def title(self) -> str: ...

    def table(self, study: StudyRecord) -> Table:
        """(headings, rows), the first column of names."""

    def svg(self, study: StudyRecord) -> str:
        """The picture."""

    def caption(self, study: StudyRecord) -> str:
        """The picture in words."""

    def method(self, study: StudyRecord) -> list[tuple[str, str]]:
        """How it was measured, as (name, sentences)."""


KINDS: dict[str, Any] = {"ensemble": ensemble_text, "distillation": distillation_text, "sparsity": sparsity_text}


def _text(study: StudyRecord) -> Text:
    found: Text = KINDS[study.request["kind"]]
    return found


def lines(study: StudyRecord, verdict: str, width: int = 80) -> list[str]:
    """The verdict, the table and the notes, in so many columns."""
    told = textwrap.wrap(verdict, width)
    table = _fitting(*_text(study).table(study), width) if study.findings else []
    notes = [line for note in study.notes for line in textwrap.wrap(note, width, subsequent_indent="  ")]
    took = [f"Took {time}."] if (time := wall_time(study)) else []
    return [*told, *([""] if table else []), *table, *([""] if notes or took else []), *notes, *took]


def markdown(study: StudyRecord, verdict: str) -> str:
    """A heading, the verdict, the table and the notes, for a comment on a pull request."""
    text = _text(study)
    table = md.table(*text.table(study), 1) if study.findings else ""
    notes = "\n".join(f"- {md.escaped(note)}" for note in study.notes)
    heading = f"### {md.escaped(study.workload)}: {text.title()}"
    return "\n\n".join(filter(None, [heading, md.escaped(verdict), table, notes]))


def _fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The table without its last columns, as far as it is wider; two columns stay."""
    lines = aligned(heads, rows, 1)
    while max(map(len, lines)) > width and len(heads) > 2:
        heads, rows = heads[:-1], [row[:-1] for row in rows]
        lines = aligned(heads, rows, 1)
    return lines


def facts(study: StudyRecord, runs: Sequence[RunRecord], verdict: str) -> dict[str, Any]:
    """The contents of `--json`."""
    found: dict[str, Any] = {
        "kind": study.request["kind"],
        "workload": study.workload,
        "metric": study.metric,
        "higher_is_better": study.higher_is_better,
        "optimizer": study.request.get("optimizer", study.contenders[0]),
        "steps": study.steps,
        "seconds": study.seconds,
        "verdict": verdict,
        "notes": study.notes,
        "findings": study.findings,
        "runs": [_run(run) for run in runs],
        "environment": study.environment,
        "plan": study.plan,
        "settings": settings(study.request),
    }
    return {name: plain(value) for name, value in found.items()}


def _run(run: RunRecord) -> dict[str, Any]:
    names = ("contender", "hyperparameters", "seed", "steps", "ending", "validation_metric", "test_metric", "execution")
    return {**{name: getattr(run, name) for name in names}, "curve": [asdict(point) for point in run.curve]}


def picture(study: StudyRecord) -> str:
    """The picture as SVG. Raises `InputError` where nothing was found yet."""
    if not study.findings:
        raise InputError("The study has found nothing yet, of which there could be a picture: resume it first.")
    return _text(study).svg(study)


def page(study: StudyRecord, runs: Sequence[RunRecord], verdict: str) -> str:
    """The page as HTML."""
    text = _text(study)
    found = (_picture(text, study), _table(text, study)) if study.findings else ()
    title = f"{study.workload}: {text.title()}"
    body = join(
        sections.plain_header(study, text.title(), verdict), sections.facts(study, runs), *found, _method(text, study)
    )
    return document(title, verdict, body, {})


def _picture(text: Text, study: StudyRecord) -> Markup:
    data = base64.b64encode(text.svg(study).encode()).decode()
    caption = text.caption(study)
    image = element(
        "figure", Markup(f'<img src="data:image/svg+xml;base64,{data}" alt="{caption}" style="max-width:100%">')
    )
    return titled("picture", "Scores", caption, image)


def _table(text: Text, study: StudyRecord) -> Markup:
    heads, rows = text.table(study)
    first, *others = heads
    head = element(
        "tr", element("th", first, class_="name", scope="col"), *(element("th", h, scope="col") for h in others)
    )
    body = [_table_row(row) for row in rows]
    table = element("table", element("thead", head), element("tbody", *body), class_="board plain")
    return titled("table", "In numbers", "", scroller("Scores", table))


def _table_row(row: Sequence[str]) -> Markup:
    name, *cells = row
    return element("tr", element("th", name, class_="name", scope="row"), *(element("td", cell) for cell in cells))


def _method(text: Text, study: StudyRecord) -> Markup:
    entries = [element("div", element("dt", name), element("dd", said)) for name, said in text.method(study)]
    rows = [element("tr", element("th", k, scope="row"), element("td", v)) for k, v in environment(study)]
    place = element("table", element("tbody", *rows), class_="environment")
    details = element("details", element("summary", "Environment and plan of execution"), place)
    seeds = ", ".join(map(str, study.tuning_seeds))
    return titled(
        "method",
        "How this was measured",
        "",
        element("dl", *entries, class_="method"),
        remark(f"Seeds: {seeds}."),
        details,
    )
