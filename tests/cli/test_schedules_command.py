"""`thalweg schedules`: the list, the values of one, and its picture."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from cli_process import Ended, Program
from thalweg.reports.drawing.schedule_svg import svg
from thalweg.reports.figures.schedule_curve import schedule_figure
from thalweg.reports.schedules import in_run
from thalweg.schedules.parsing import names


def call(*arguments: str, cwd: Path) -> Ended:
    return Program(*arguments, cwd=cwd).end()


def test_the_list(tmp_path: Path) -> None:
    done = call("schedules", cwd=tmp_path)
    assert done.status == 0, done.errors
    lines = [line.split("\t") for line in done.output.splitlines()]
    assert [line[0] for line in lines] == [*names()]
    assert all(len(line) == 4 and line[1].endswith(".") for line in lines)
    assert {line[0]: line[3] for line in lines}["inverse-time"] == "keras"


def test_the_values_and_the_picture_of_one(tmp_path: Path) -> None:
    done = call("schedules", "1cycle(0.1, momentum=True)", "--steps", "1000", "--plot", "out.svg", cwd=tmp_path)
    assert done.status == 0, done.errors
    lines = done.output.splitlines()
    assert lines[0] == "1cycle(0.1, steps=1000, momentum=True)"
    assert lines[1].split() == ["step", "value", "momentum"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:-1]}
    assert rows["0"] == ["0.004", "0.95"]
    assert rows["300"] == ["0.1", "0.85"]
    assert rows["1,000"] == rows["2,000"] == ["4e-07", "0.95"]
    assert lines[-1] == "Picture: out.svg"
    root = ET.fromstring((tmp_path / "out.svg").read_text(encoding="utf-8"))
    assert len([e for e in root.iter() if e.get("class") == "curve"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sine"], "'sine' is no schedule: write one of 1cycle, "),
        (["performance"], "performance() follows the metric and has no values by step"),
        (["cosine(warmup=2000)"], "The 'warmup' of cosine must be a whole number in [0, 999], got 2000."),
        (["cosine", "--plot", "no/such/out.svg"], "The picture cannot be written to no/such/out.svg: No such file"),
        (["--plot", "out.svg"], "--plot needs a schedule to draw"),
    ],
)
def test_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = call("schedules", *arguments, cwd=tmp_path)
    assert done.status == 2
    assert done.errors.startswith(f"thalweg: {message}")
    assert len(done.errors.splitlines()) == 1
    assert not (tmp_path / "out.svg").exists()


def curve(text: str, steps: int) -> list[tuple[float, float]]:
    """The corners of the drawn curve."""
    path = re.search(r'class="curve" d="M([^"]*)"', svg(schedule_figure(in_run(text, steps), steps)))
    assert path is not None
    return [(float(x), float(y)) for x, y in (point.split() for point in path[1].split("L"))]


def test_the_curve_stands_where_the_values_are() -> None:
    corners = curve("linear", 100)
    assert len(corners) == 101
    assert [corners[0][0], corners[-1][0]] == [68, 702]
    widths = {round(b[0] - a[0], 1) for a, b in pairwise(corners)}
    assert widths == {6.3}
    heights = [y for _, y in corners]
    assert heights == sorted(heights), "down the page"
    middle = (heights[0] + heights[-1]) / 2
    assert heights[50] == pytest.approx(middle, abs=0.02)


def test_a_stair_is_drawn_as_one_and_a_long_run_is_sampled() -> None:
    corners = curve("piecewise(0.1, boundaries=[5])", 10)
    assert len({y for _, y in corners}) == 2
    falls = [a[0] for a, b in pairwise(corners) if b[1] != a[1]]
    assert falls == [385], "at once, at step 5"
    assert len(curve("cosine", 10**6)) == 1501


def test_a_title_is_escaped_and_cut() -> None:
    text = "join(cosine(0.1), linear(0.2), cosine(0.1), linear(0.2), boundaries=[10%, 20%, 30%])"
    drawn = svg(schedule_figure(in_run(text, 1000), 1000))
    root = ET.fromstring(drawn)
    title = next(e.text for e in root.iter() if e.get("class") == "title")
    assert title is not None
    assert title.endswith("…")
    assert len(title) == 84
    assert root.get("aria-label") == str(in_run(text, 1000))
