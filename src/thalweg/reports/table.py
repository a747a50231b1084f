"""The leaderboard as an HTML table with intervals drawn on a common axis."""

from collections.abc import Sequence

from thalweg.analysis.formatting import metric_name
from thalweg.records.types import StudyRecord
from thalweg.reports.figures.formatting import MISSING, target
from thalweg.reports.figures.scales import Scale
from thalweg.reports.layout import stacked
from thalweg.reports.markup import Markup, element, join
from thalweg.reports.standings import Line, Standings, Whisker

BRACKET = "not separated from the best mean"
TUNED, DEFAULT = 12, 26  # vertical positions of the two intervals in a cell's drawing, in pixels


def table(study: StudyRecord, board: Standings) -> Markup:
    """The table, one row per optimizer, best first."""
    below = (*board.lines[1:], board.lines[-1])
    body = [_row(board, line, last=line.group != next_.group) for line, next_ in zip(board.lines, below, strict=True)]
    caption = element(
        "caption", f"{len(board.lines)} optimizers by {board.split} {metric_name(study.metric)}", class_="unseen"
    )
    return element("table", caption, _head(study, board), element("tbody", *body), class_="board")


def _head(study: StudyRecord, board: Standings) -> Markup:
    cells = [
        _heading("rank", "narrow"),
        element("th", "optimizer", class_="name", scope="col", style=f"width:{_name_width(board)}ch"),
        _heading("learning rate", "number"),
        _heading(f"{board.split} {metric_name(study.metric)}", "number"),
        element("th", _axis(board.axis), class_="plot", scope="col"),
        *([_heading("published defaults", "number")] if board.has_defaults else []),
        *([_heading("validation", "number")] if board.split == "test" else []),
        _heading("training", "number"),
        *([_heading(f"steps to {target(study)}", "number")] if board.has_target else []),
        _heading("diverged", "number"),
    ]
    return element("thead", element("tr", *cells))


def _name_width(board: Standings) -> int:
    """Width of the name column in characters, at most 26, so that notes and names fit on one line in a wide window."""
    return min(26, max(23, 4 + max(len(line.contender) for line in board.lines)))


def _heading(text: str, kind: str) -> Markup:
    return element("th", text, class_=kind, scope="col")


def _row(board: Standings, line: Line, *, last: bool) -> Markup:
    """last: whether the line below belongs to another group."""
    cells = [
        element("td", line.rank, class_="narrow rank", title=BRACKET if line.tied else None),
        _name(line),
        stacked(line.learning_rate, " ".join(filter(None, (line.good, f"{line.edge} tried" if line.edge else "")))),
        stacked(*line.score, kind="number score"),
        element("td", _drawing(line, board.reference), class_="plot"),
        *([stacked(line.defaults[0], _default_note(line))] if board.has_defaults else []),
        *([stacked(*line.validation)] if board.split == "test" else []),
        stacked(*line.train),
        *([stacked(line.steps, line.reached)] if board.has_target else []),
        stacked(line.diverged),
    ]
    kinds = ["picked" if line.picked else "tied" if line.tied else "behind", *(["last"] if last else [])]
    return element("tr", *cells, class_=" ".join(kinds))


def _name(line: Line) -> Markup:
    setting = element("span", f"chosen {line.setting}", class_="under") if line.setting else None
    said = "under level" if line.tied and not line.failed else "under"
    notes = [line.note, "recommended" if line.picked else ""]
    note = element("span", ", ".join(filter(None, notes)), class_=said) if any(notes) else None
    return element("th", element("span", line.contender, class_="contender"), note, setting, class_="name", scope="row")


def _joined(pair: tuple[str, str]) -> str:
    return " ".join(pair).strip()


def _default_note(line: Line) -> str:
    at = "" if line.default_rate == MISSING else f"at {line.default_rate}"
    return " ".join(part for part in (line.defaults[1], at) if part)


def _axis(scale: Scale) -> Markup:
    """The plot column's heading: the first and last tick at their positions."""
    ticks = [(scale.fraction(t), text) for t, text in zip(scale.ticks, scale.labels, strict=True)]
    shown = [ticks[0], ticks[-1]] if len(ticks) > 1 else ticks
    marks = [element("span", text, class_="tick", style=f"left:{at:.2%}") for at, text in shown]
    return element("span", *marks, class_="axis")


def _drawing(line: Line, reference: float | None) -> Markup | None:
    """Both intervals, in front of a line through all rows at the first contender's mean."""
    lanes = [(line.whisker, TUNED, "tuned"), (line.default_whisker, DEFAULT, "default")]
    drawn = [_lane(whisker, height, kind) for whisker, height, kind in lanes if whisker]
    if not drawn:
        return None
    said = [f"tuned {_joined(line.score)}"] if line.whisker else []
    said += [f"published defaults {_joined(line.defaults)}"] if line.default_whisker else []
    if reference is not None:
        place = f"{reference:.2%}"
        drawn.insert(0, element("line", x1=place, x2=place, y1=-400, y2=400, class_="through"))
    return element("svg", *drawn, class_="whiskers", role="img", aria_label=", ".join(said))


def _lane(whisker: Whisker, y: int, kind: str) -> Markup:
    """A dot on its interval, or an arrowhead at the end of the axis where the mean lies beyond it."""
    if whisker.beyond:
        return _arrow(whisker.beyond, y, kind)
    bar = None
    if whisker.low is not None and whisker.high is not None:
        bar = element("line", x1=f"{whisker.low:.2%}", x2=f"{whisker.high:.2%}", y1=y, y2=y)
    return element("g", bar, element("circle", cx=f"{whisker.at:.2%}", cy=y, r=4), class_=kind)


def _arrow(side: str, y: int, kind: str) -> Markup:
    shape = f"M8 {y - 4} L1 {y} L8 {y + 4}" if side == "low" else f"M-8 {y - 4} L-1 {y} L-8 {y + 4}"
    inner = element("svg", element("path", d=shape), x="0" if side == "low" else "100%", overflow="visible")
    return element("g", inner, class_=f"{kind} beyond")


def key(board: Standings) -> Markup:
    """The legend of the intervals."""

    whiskers = [w for line in board.lines for w in (line.whisker, line.default_whisker) if w]

    def sample(kind: str, text: str) -> Markup:
        dot = element("g", element("line", x1=0, x2=22, y1=7, y2=7), element("circle", cx=11, cy=7, r=4), class_=kind)
        drawing = element("svg", dot, class_="whiskers sample", aria_hidden="true")
        return element("span", drawing, text, class_="sample-of")

    interval = " with 95% interval" if any(w.low is not None for w in whiskers) else ""
    tuned: Sequence[Markup] = [sample("tuned", f"tuned, {board.split} mean{interval}")]
    default = [sample("default", "published defaults")] if board.has_defaults else []
    off = element("span", "‹ › beyond the axis", class_="sample-of") if any(w.beyond for w in whiskers) else None
    return element("p", join(*tuned, *default, off), class_="key")
