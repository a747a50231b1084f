"""Sections of the page: header, facts, leaderboard, rates, curves, method."""

import re
from collections.abc import Sequence

from thalweg.analysis.code import code
from thalweg.analysis.formatting import metric_name, several
from thalweg.analysis.leaderboard import Row
from thalweg.analysis.recommendation import pick
from thalweg.analysis.verdict import opening
from thalweg.errors import listed
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import captions
from thalweg.reports.drawing.lines import look
from thalweg.reports.figures.curves import Curves
from thalweg.reports.figures.sweep import Panel, Sweep
from thalweg.reports.layout import scroller, titled
from thalweg.reports.markup import Markup, element, join
from thalweg.reports.methods_text import environment, measured
from thalweg.reports.rates import figure as rates_figure
from thalweg.reports.standings import Standings
from thalweg.reports.table import key, table

GROUPS = 2  # with more tie groups than this, the text explains groups
NOTES = 4  # number of notes shown; further ones are collapsed
FEW = 6  # maximum ties named above the leaderboard
LONG = 280  # characters above which the verdict after its first sentence is set smaller
VALLEY = "M2 5 C7 5 8 18 13 18 S20 9 26 7"  # a valley; the dot marks its lowest point
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 28 24' fill='%231668a0'%3E"
    f"%3Cpath fill='none' stroke='%231668a0' stroke-width='2.5' d='{VALLEY}'/%3E"
    "%3Ccircle cx='13' cy='18' r='3.5'/%3E%3C/svg%3E"
)


POWER = re.compile(r"(\de-)(?=\d)")


def header(study: StudyRecord, rows: Sequence[Row], verdict: str) -> Markup:
    """Workload, the verdict's first sentence in large type, its other sentences below, then the notes."""
    chosen = pick(rows)
    answer, rest, answers = opening(study, rows, verdict)
    return element(
        "header",
        _brand("which optimizer?"),
        element("h1", study.workload),
        element("p", _emphasized(answer, chosen.contender if chosen else ""), class_="verdict"),
        _to_paste(study, chosen if answers else None),
        element("p", _unbroken(rest), class_="rest long" if len(rest) > LONG else "rest") if rest else None,
        _notes(study.notes),
    )


def _unbroken(text: str) -> str:
    """The text, in which no line ends within `96.2 ± 0.3` or `3e-3`."""
    return POWER.sub("\\1\u2060", text.replace(" ± ", "\u00a0±\u00a0"))


def plain_header(study: StudyRecord, question: str, verdict: str) -> Markup:
    """As `header`, of a study without a leaderboard. question: what the page is about."""
    answer, _, rest = verdict.partition(". ")
    return element(
        "header",
        _brand(question),
        element("h1", study.workload),
        element("p", f"{answer}." if rest else answer, class_="verdict"),
        element("p", rest, class_="rest") if rest else None,
        _notes(study.notes),
    )


def _brand(question: str) -> Markup:
    valley = element("path", d=VALLEY, class_="valley")
    mark = element("svg", valley, element("circle", cx=13, cy=18, r=3), viewBox="0 0 28 24", aria_hidden="true")
    return element("p", mark, f"Thalweg · {question}", class_="brand")


def _to_paste(study: StudyRecord, chosen: Row | None) -> Markup | None:
    """The recommended optimizer in Python, with a button that copies it."""
    made = code(study, chosen) if chosen is not None else None
    if made is None:
        return None
    button = element("button", "Copy", type="button", class_="copy", hidden="")
    return element("div", element("pre", element("code", made)), button, class_="paste")


def _notes(notes: Sequence[str]) -> Markup | None:
    """Notes on what the study dropped, shortened or extended."""
    if not notes:
        return None
    more = notes[NOTES:]
    folded = element("details", element("summary", several(len(more), "more note")), _list(more)) if more else None
    return element("aside", _list(notes[:NOTES]), folded, class_="notes", aria_label="Notes on the study")


def _list(sentences: Sequence[str]) -> Markup:
    return element("ul", *(element("li", sentence) for sentence in sentences))


def _emphasized(sentence: str, name: str) -> Markup:
    """The sentence with `name` emphasized: after "Use", or where it stands first."""
    begun = f"Use {name}"
    if name and sentence.startswith(begun):
        return join("Use ", element("em", name), _unbroken(sentence.removeprefix(begun)))
    before, found, after = sentence.partition(name) if name else (sentence, "", "")
    return join(_unbroken(before), element("em", found) if found else None, _unbroken(after))


def facts(study: StudyRecord, runs: Sequence[RunRecord]) -> Markup:
    entries = [element("div", element("dt", k), element("dd", v)) for k, v in captions.key_facts(study, runs)]
    return element("dl", *entries, class_="facts", aria_label="Key facts")


def leaderboard(study: StudyRecord, board: Standings) -> Markup:
    moved = scroller("Leaderboard", table(study, board))
    return titled("leaderboard", "Leaderboard", _ranking(study, board), key(board), moved)


def _ranking(study: StudyRecord, board: Standings) -> str:
    """Lead of the leaderboard: the sort order, and the ties with the first."""
    ties = [line.contender for line in board.lines if line.tied and line.rank > 1]
    direction = "higher" if study.higher_is_better else "lower"
    tied = f" The bar joins what is not separated from the best: {listed(ties, FEW)}." if ties else ""
    many = max(line.group for line in board.lines) > GROUPS
    groups = " Within a group nothing is separated." if many else ""
    return f"By mean {board.split} {metric_name(study.metric)}, {direction} is better.{tied}{groups}"


def rates(study: StudyRecord, whole: Sweep) -> Markup:
    if not whole.panels:
        return titled("rates", captions.metric_heading(study), "No contender has a learning rate to tune.")
    metric = metric_name(study.metric)
    axes = f"Vertical: validation {metric} {captions.final(study)}. Horizontal: learning rate, logarithmic."
    fixed = f" {listed(whole.fixed)}: no learning rate to tune." if whole.fixed else ""
    panels = element("div", *(_panel(study, i, p) for i, p in enumerate(whole.panels)), class_="panels")
    note = element("p", axes + fixed, class_="axes")
    still = element(
        "noscript", element("p", "The charts are drawn by JavaScript; the table needs none.", class_="axes")
    )
    return titled(
        "rates", captions.metric_heading(study), captions.sweep_title(whole), note, still, _rates_key(whole), panels
    )


def _panel(study: StudyRecord, index: int, panel: Panel) -> Markup:
    label = captions.panel_label(study, panel)
    said = (
        f"{panel.contender}, validation {metric_name(study.metric)} by learning rate: {label}."
        f" {captions.spots(study, panel)}"
    )
    return element(
        "figure",
        element("figcaption", element("strong", panel.contender), element("span", label)),
        _chart(f"rates-{index}", said),
        class_="panel",
    )


def _chart(name: str, said: str) -> Markup:
    return element("div", class_="chart", role="img", data_figure=name, aria_label=said)


def _rates_key(whole: Sweep) -> Markup:
    several = any(spot.low is not None for panel in whole.panels for spot in panel.spots)
    entries = [
        *(
            [("mean", "mean over tuning seeds, 95% interval"), ("seed", "one seed")]
            if several
            else [("mean", "one seed")]
        ),
        ("chosen", "chosen, in its good range" if any(p.good for p in whole.panels) else "chosen"),
        *([("published", "published default")] if any(p.default for p in whole.panels) else []),
        *([("crossed", "diverged")] if any(s.diverged for p in whole.panels for s in p.spots) else []),
        *([("reference", f"{whole.panels[0].contender}, for comparison")] if len(whole.panels) > 1 else []),
    ]
    return element("ul", *(element("li", _glyph(kind), text) for kind, text in entries), class_="key")


def _glyph(kind: str) -> Markup:
    shapes: dict[str, list[Markup]] = {
        "mean": [
            element("rect", x=0, y=2, width=26, height=12, class_="band"),
            element("line", x1=0, x2=26, y1=8, y2=8, class_="ink"),
            element("circle", cx=13, cy=8, r=2.5, class_="dot"),
        ],
        "seed": [element("circle", cx=13, cy=8, r=2, class_="faint")],
        "chosen": [
            element("rect", x=2, y=0, width=22, height=16, class_="plateau"),
            element("circle", cx=13, cy=8, r=4.5, class_="leader"),
        ],
        "published": [element("path", d="M13 3 L18 8 L13 13 L8 8 Z", class_="default-mark")],
        "crossed": [element("path", d="M9.5 4.5 L16.5 11.5 M16.5 4.5 L9.5 11.5", class_="cross")],
        "reference": [element("line", x1=0, x2=26, y1=8, y2=8, class_="reference")],
    }
    return element("svg", *shapes[kind], class_="glyph", viewBox="0 0 26 16", aria_hidden="true")


def curves(study: StudyRecord, rows: Sequence[Row], drawn: Curves) -> Markup:
    if not drawn.series:
        return titled("curves", "Learning curves", "No final run was trained.")
    seeds = max(s.metric.seeds for s in drawn.series)
    which = "confirmation" if study.confirmation_seeds else "tuning"
    bands = f"bands from the lowest to the highest of {seeds} seeds" if seeds > 1 else "one seed, so no bands"
    note = f"Mean of the {which} runs at the chosen rate, {bands}."
    if captions.some_stop_early(study):
        note += " A run that stopped early counts with its final weights from then on."
    chips = [_chip(i, s.contender, s.highlighted) for i, s in enumerate(drawn.series)]
    figures = [
        _curve("curve-metric", f"Validation {metric_name(study.metric)} by epoch", captions.curves_title(study, rows)),
        _curve("curve-loss", "Training loss by epoch" + (", logarithmic" if drawn.loss.log else ""), ""),
    ]
    return titled(
        "curves",
        "Learning curves",
        captions.curves_title(study, rows),
        element("p", note, element("span", " Highlight:", class_="ask"), class_="axes"),
        element("div", *chips, class_="chips", role="group", aria_label="Highlighted optimizers"),
        element("div", *figures, class_="curves"),
        rates_figure(study),
    )


def _curve(name: str, title: str, said: str) -> Markup:
    return element("figure", element("figcaption", element("strong", title)), _chart(name, f"{title}. {said}".strip()))


def _chip(index: int, contender: str, pressed: bool) -> Markup:
    colour, dash = look(index)
    line = element("line", x1=1, x2=23, y1=6, y2=6, class_=dash.replace(",", "-"))
    swatch = element("svg", line, viewBox="0 0 24 12", class_=f"swatch {colour}", aria_hidden="true")
    state = {"aria_pressed": "true" if pressed else "false", "data_series": index}
    return element("button", swatch, contender, type="button", class_="chip", **state)


def method(study: StudyRecord, rows: Sequence[Row], runs: Sequence[RunRecord]) -> Markup:
    parts = measured(study, rows, runs)
    entries = [element("div", element("dt", name), element("dd", text)) for name, text in parts]
    lines = [element("tr", element("th", k, scope="row"), element("td", v)) for k, v in environment(study)]
    place = element("table", element("tbody", *lines), class_="environment")
    details = element("details", element("summary", "Environment and plan of execution"), place) if lines else None
    return titled("method", "How this was measured", "", element("dl", *entries, class_="method"), details)
