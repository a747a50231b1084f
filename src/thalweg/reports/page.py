"""Renders a study as one self-contained HTML page."""

import base64
import hashlib
import uuid
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from thalweg.analysis.leaderboard import Row
from thalweg.errors import InputError
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import also, cost, schedule_matrix, sections, stars, trust
from thalweg.reports.drawing.frame import Plain, as_json
from thalweg.reports.drawing.lines import loss_figure, metric_figure
from thalweg.reports.drawing.panels import panel_figure
from thalweg.reports.factor_matrices import MATRICES
from thalweg.reports.figures.curves import curves
from thalweg.reports.figures.sweep import sweep
from thalweg.reports.markup import Markup, element, join
from thalweg.reports.standings import standings


def render(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord], verdict: str) -> str:
    """The page as HTML. rows: the leaderboard of `runs`, best first. verdict: its conclusion in words."""
    rates, epochs = sweep(study, rows, runs), curves(study, rows, runs)
    figures: dict[str, Plain] = {f"rates-{i}": panel_figure(study, rates, p) for i, p in enumerate(rates.panels)}
    if epochs.series:
        figures |= {"curve-metric": metric_figure(study, epochs), "curve-loss": loss_figure(epochs)}
    body = join(
        sections.header(study, rows, verdict),
        sections.facts(study, runs),
        sections.leaderboard(study, standings(study, rows)),
        also.section(study, rows),
        stars.section(study, rows),
        sections.rates(study, rates),
        sections.curves(study, rows, epochs),
        schedule_matrix.section(study, rows, runs),
        *(of.section(study, rows, runs) for of in MATRICES),
        trust.section(study, rows),
        cost.section(study, rows),
        sections.method(study, rows, runs),
    )
    return document(f"{study.workload}: which optimizer?", verdict, body, figures)


def write(path: Path, content: str | bytes) -> None:
    """Writes a file atomically, text as UTF-8: an existing file is replaced only once the new one is complete.

    Raises `InputError` where it cannot be written.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}; choose another place.") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def document(title: str, verdict: str, body: Markup, figures: dict[str, Plain]) -> str:
    """The whole page, without a script where there is no figure. verdict: its description for search engines."""
    scripts = [_plotly(), _asset("page.js")] if figures else []
    data = element("script", Markup(as_json(figures)), type="application/json", id="figures")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="description", content=verdict),
        element("title", f"{title} · Thalweg"),
        element("link", rel="icon", href=sections.ICON),
        element("style", Markup(_asset("page.css"))),
    )
    ends = [element("script", Markup(script)) for script in scripts]
    page = element("html", head, element("body", body, data, *ends), lang="en")
    return f"<!doctype html>\n{page}\n"


def _policy(scripts: Sequence[str]) -> str:
    """A Content-Security-Policy that blocks all loading and allows only these scripts, by hash."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _asset(name: str) -> str:
    return (files("thalweg.reports") / name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
