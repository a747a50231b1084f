"""The whole page: complete, closed to the network, safe, and written whole."""

import base64
import hashlib
import html
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handmade import finals, rates, study
from pairs import never_ran, sensitive_first
from reading import Reader
from synthetic import TEXTBOOK, Parts, Shape, complete, crowd, parts, study_of

from thalweg.analysis.chosen import range_text
from thalweg.analysis.formatting import number, rate_text, size
from thalweg.analysis.intervals import Interval
from thalweg.errors import InputError
from thalweg.records.types import StudyRecord
from thalweg.reports import page
from thalweg.reports.page import render, write
from thalweg.reports.standings import standings

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def main() -> Parts:
    return parts()


@pytest.fixture(scope="module")
def main_page(main: Parts) -> str:
    return render(*main)


@pytest.fixture
def light_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without the five megabytes, for tests that read many."""
    monkeypatch.setattr(page, "_plotly", lambda: "var Plotly;")


def one_seed_one_rate_one_epoch() -> Parts:
    return parts(Shape(contenders=TEXTBOOK[:1], rates=1, seeds=1, fresh=0, epochs=1, target=None))


def all_runs_diverged() -> Parts:
    record = study(("adam", "sgd"))
    runs = [*rates({0.1: (0.9, 0.9)}), *finals((0.9, 0.9), 0.1)]
    dead = {"contender": "sgd", "factors": {"optimizer": "sgd"}}
    return complete(
        record, [*runs, *rates({0.1: (None, None)}, **dead), *finals((None, None), 0.1, "defaults", **dead)]
    )


def nothing_ever_finished() -> Parts:
    return complete(study(), [*rates({0.1: (None, None), 1.0: (None, None)}), *finals((None, None), 0.1, "defaults")])


def no_epoch_was_finished() -> Parts:
    record, _, runs, _ = nothing_ever_finished()
    return complete(record, [replace(run, curve=()) for run in runs])


def no_learning_rate() -> Parts:
    record = study(learning_rates={"adam": ()})
    fixed: dict[str, Any] = {"hyperparameters": {}, "rate": None}
    return complete(record, [*rates({0.1: (0.9, 0.8)}, **fixed), *finals((0.9, 0.8), 0.1, **fixed)])


def a_final_run_diverged() -> Parts:
    return complete(study(), [*rates({0.1: (0.9, 0.9)}), *finals((0.9, None), 0.1)])


def infinite_metric() -> Parts:
    record = study(metric="perplexity", higher_is_better=False, tuning_seeds=(0,), confirmation_seeds=())
    return complete(record, rates({0.1: (math.inf,)}))


EDGES = {
    "one of everything": one_seed_one_rate_one_epoch,
    "one contender diverged": all_runs_diverged,
    "nothing finished": nothing_ever_finished,
    "not one epoch": no_epoch_was_finished,
    "no learning rate": no_learning_rate,
    "a final run diverged": a_final_run_diverged,
    "infinite": infinite_metric,
    "lower is better": lambda: parts(Shape(metric="mean squared error", higher_is_better=False, target=0.02)),
    "no test split": lambda: parts(Shape(test=False)),
    "no confirmation": lambda: parts(Shape(fresh=0)),
    "one fresh seed": lambda: parts(Shape(fresh=1, seeds=1)),
    "one epoch": lambda: parts(Shape(epochs=1)),
    "forty with long names": lambda: parts(Shape(contenders=tuple(crowd(40)), rates=3, epochs=2)),
    "a contender without runs": lambda: complete(*never_ran()),
    "the recommended is not the first": lambda: complete(*sensitive_first()),
    "unreached target": lambda: parts(Shape(target=0.9999)),
}


@pytest.mark.parametrize("make", EDGES.values(), ids=EDGES.keys())
@pytest.mark.usefixtures("light_plotly")
def test_edge_cases_render(make: Any) -> None:
    record, rows, runs, verdict = make()
    read = Reader(render(record, rows, runs, verdict))
    text = " ".join(read.visible)
    assert all(row.contender in text for row in rows)
    assert "nan" not in text.replace("nadam", "").lower().split()
    assert "None" not in text
    assert set(read.values("data-figure")) == set(read.figures)
    board = [cells for cells in read.rows if cells[0].strip() == str(len(rows))]
    assert board, "the last contender's row"
    assert len({len(cells) for cells in read.rows if cells[0].strip().isdigit() or "rank" in cells[0]}) == 1


def test_the_page_is_balanced_and_draws_every_figure(main: Parts, main_page: str) -> None:
    read = Reader(main_page)
    names = [f"rates-{i}" for i in range(11)] + ["curve-metric", "curve-loss"]
    assert read.values("data-figure") == names
    assert list(read.figures) == names
    charts = [attributes for _, attributes in read.elements if "data-figure" in attributes]
    assert all(chart["role"] == "img" and len(chart["aria-label"]) > 20 for chart in charts)
    pressed = [a["data-series"] for tag, a in read.elements if tag == "button" and a["aria-pressed"] == "true"]
    assert len(pressed) == sum(row.tied for row in main[1])
    sections = [attributes["id"] for tag, attributes in read.elements if tag == "section"]
    assert sections == ["leaderboard", "stars", "rates", "curves", "trust", "cost", "method"]
    assert main_page.count("plotly.js v") == 1


def test_verdict_and_facts_are_said(main: Parts, main_page: str) -> None:
    record, _, runs, verdict = main
    read = Reader(main_page)
    assert verdict in read.values("content")
    text = "".join(read.visible).replace("\u00a0", " ").replace("\u2060", "")
    assert all(sentence.strip(".") in text for sentence in verdict.split(". "))
    assert "101,770 parameters" in text
    assert f"{len(runs)} trained, {sum(r.diverged for r in runs)} diverged" in text
    assert "1 min 34 s" in text, "the wall time of the study, not the sum over runs trained at once"
    assert f"{record.samples['train']:,} train" in text


def shown(record: StudyRecord, interval: Interval) -> str:
    """As the table writes it: the unit at the mean."""
    mean, margin = number(record, interval).removesuffix("%").split(" ± ")
    return f"{mean}% ± {margin}"


def test_table_numbers_are_the_analysis(main: Parts, main_page: str) -> None:
    record, rows, _, _ = main
    table = {cells[1].split()[0]: cells for cells in Reader(main_page).rows if cells[0].strip().isdigit()}
    for row in rows:
        cells = [" ".join(cell.split()) for cell in table[row.contender]]
        assert row.test is not None
        assert row.defaults is not None
        assert cells[0] == str(row.rank)
        assert cells[2] == f"{rate_text(row.learning_rate or 0.0)} {range_text(row)}".strip()
        defaults = f"{shown(record, row.defaults)} at {rate_text(row.default_learning_rate or 0.0)}"
        assert [cells[3], *cells[5:8]] == [
            shown(record, row.test), defaults, shown(record, row.validation), shown(record, row.train),
        ]  # fmt: skip
        assert cells[8] == f"{row.steps_to_target:,.0f}"
        assert cells[9:] == [f"{row.diverged}/{row.trained}"]
        if row.rank > 1:
            assert row.behind is not None
            behind = f"{size(record, row.behind.mean)} behind, group {row.group}"
            said = cells[1].removesuffix("recommended").removesuffix(", ").strip()
            assert said == row.contender if row.tied else said.endswith(behind)


def test_whiskers_stand_where_the_intervals_are(main: Parts, main_page: str) -> None:
    board = standings(main[0], main[1])
    bars = re.findall(r'<g class="tuned"><line x1="([\d.]+)%" x2="([\d.]+)%"[^>]*><circle cx="([\d.]+)%"', main_page)
    assert len(bars) == len(board.lines)
    for bar, line in zip(bars, board.lines, strict=True):
        assert line.whisker is not None
        expected = (line.whisker.low, line.whisker.high, line.whisker.at)
        assert [float(place) / 100 for place in bar] == pytest.approx(expected, abs=1e-4)


def test_nothing_is_loaded_from_anywhere(main_page: str) -> None:
    read = Reader(main_page)
    for name in ("src", "href", "action", "poster", "data", "srcset", "formaction", "background"):
        assert all(value.startswith("data:") for value in read.values(name)), name
    style = re.search(r"<style>(.*?)</style>", main_page, re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "http" not in style[1] + read.scripts[0] + read.scripts[-1]


def test_the_browser_runs_these_scripts_and_no_other(main_page: str) -> None:
    read = Reader(main_page)
    (policy,) = [a["content"] for _, a in read.elements if a.get("http-equiv") == "Content-Security-Policy"]
    _, plotly, own = read.scripts
    for script in (plotly, own):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert not [name for _, attributes in read.elements for name in attributes if name.startswith("on")]


@pytest.mark.usefixtures("light_plotly")
def test_names_and_reasons_cannot_break_out() -> None:
    """One evil string in every place a user can write to."""
    shape = Shape(contenders=(replace(TEXTBOOK[6], name=EVIL), replace(TEXTBOOK[7], name="</script><!--")))
    record, runs = study_of(replace(shape, workload=EVIL, metric="'\"><img src=x onerror=alert(1)>", target=0.9))
    record = replace(record, environment={EVIL: EVIL}, plan={"reason": {EVIL: f"</style>{EVIL}"}}, notes=(EVIL,))
    runs = [replace(run, failure=EVIL) if run.seed == 2 else run for run in runs]
    text = render(*complete(record, runs))
    read = Reader(text)
    assert len(read.scripts) == 3
    assert text.count("<script") == 3
    assert "<img" not in text
    assert "<!--" not in text
    assert EVIL not in text
    assert html.escape(EVIL) in text
    assert not [name for _, attributes in read.elements for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in read.elements if tag == "h1"] == ["h1"]
    hover = [t["hovertext"][0] for t in read.figures["curve-metric"]["data"] if "hovertext" in t]
    assert any("&lt;script&gt;alert(1)&lt;/script&gt;" in text for text in hover)
    assert not any("<script" in text for text in hover)


@pytest.mark.usefixtures("light_plotly")
def test_reading_of_the_test_split_is_told_truly() -> None:
    said = {name: " ".join(Reader(render(*EDGES[name]())).visible) for name in ("no confirmation", "no test split")}
    assert "no test split was read" in said["no confirmation"]
    assert "has no test split" in said["no test split"]
    fresh = " ".join(Reader(render(*parts())).visible)
    assert "The test split was read in these runs only" in fresh
    assert "1000 to 1004" in fresh


def test_writing_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write(target, "first")
    write(target, "second ± ⁻³")
    assert target.read_text(encoding="utf-8") == "second ± ⁻³"
    assert list(tmp_path.iterdir()) == [target]
    beside = tmp_path / "beside"
    beside.touch()
    assert target.stat().st_mode == beside.stat().st_mode


@pytest.mark.parametrize("broken", ["write_bytes", "replace"])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    original = Path.write_text

    def fail(self: Path, *args: Any, **kwargs: Any) -> None:
        if broken == "write_bytes":
            original(self, "half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, broken, fail)
    with pytest.raises(InputError, match="cannot be written: No space left"):
        write(target, "new")
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_report_imports_neither_torch_nor_what_lies_above_it() -> None:
    code = (
        "import sys, thalweg.reports.page; "
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'plotly')"
        " or m.startswith(('thalweg.api', 'thalweg.studies', 'thalweg.population'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
