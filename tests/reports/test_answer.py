"""The answer as it is printed: first sentence, lines to paste, the rest; with names that look like something else."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from handmade import finals, rates, study
from reading import Reader
from rich.console import Console

from thalweg.analysis.code import code
from thalweg.analysis.formatting import metric_name
from thalweg.analysis.leaderboard import Row, leaderboard
from thalweg.analysis.recommendation import pick
from thalweg.analysis.verdict import verdict
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import page, sections
from thalweg.reports.facts import facts
from thalweg.reports.terminal import answer, lines, table

ODD = (
    "a. b", "v1.0. the \"best\" (of 'all')", "Use x. y", "adam(eps=1e-08). ", "e", "Use", "…", "a: b", "–", "100.0%",
    "x (unreliable)", "[bold]x[/bold]", "<em>x</em>", "{x}", "%s", "\\", "is not separated from it",
)  # fmt: skip
METRICS = ("accuracy", "acc. of top", "loss", "F1 (macro). weighted", "mse", "top5", "100%", "± 1", "<b>m</b>")
CALL = {
    "name": "thalweg.optim.Adam", "torch": None, "defaults": {}, "values": {}, "tuples": {}, "rate": "lr",
    "grouped": False, "follows": False,
}  # fmt: skip
SCORES = {1: (0.9,), 2: (0.9, 0.91), 5: (0.9, 0.91, 0.92, 0.93, 0.9)}


def made(names: Sequence[str], seeds: int = 2, **more: Any) -> tuple[StudyRecord, list[RunRecord]]:
    """Contenders of equal scores but for the last seed, which ranks them as listed."""
    fresh = tuple(range(1000, 1000 + seeds))
    calls = dict.fromkeys(names, CALL)
    record = study(names, tuning_seeds=(0, 1), confirmation_seeds=fresh, calls=calls, **more)
    runs: list[RunRecord] = []
    for i, name in enumerate(names):
        scores = (*SCORES[seeds][:-1], SCORES[seeds][-1] - i / 1000)
        runs += [*rates({0.1: (0.9, 0.9)}, contender=name), *finals(scores, 0.1, contender=name)]
    return record, runs


def shown(record: StudyRecord, rows: Sequence[Row], width: int) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(table(record, rows, width))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "metric"), [(name, metric) for name, metric in itertools.product(ODD, METRICS)])
def test_the_first_sentence_is_whole_whatever_stands_in_it(name: str, metric: str) -> None:
    record, runs = made((name, "other"), metric=metric, higher_is_better=True)
    rows = leaderboard(record, runs)
    text = verdict(record, rows)
    first, made_by, rest = answer(record, rows, text)
    assert first.startswith(f"Use {name} at learning rate 0.1: test {metric_name(metric)} ")
    assert first.endswith(" over 2 fresh seeds.")
    assert f"{first} {rest}" == text
    assert rest.startswith("other is not separated from it")
    assert made_by == ["thalweg.optim.Adam(model.parameters(), lr=0.1)"]


@pytest.mark.parametrize("name", ODD)
def test_the_page_emphasizes_the_name_and_no_other_letters(name: str) -> None:
    record, runs = made((name, "other"))
    rows = leaderboard(record, runs)
    reader = Reader(sections.header(record, rows, verdict(record, rows)))
    at = [tag for tag, _ in reader.elements].index("em")
    assert at > 0
    place = reader.visible.index("Use ")
    assert reader.visible[place + 1] == name
    assert reader.visible[place + 2].startswith(" at learning rate 0.1: test accuracy ")
    assert "thalweg.optim.Adam(model.parameters(), lr=0.1)" in reader.visible


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_every_report_of_odd_names_is_whole(name: str, seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_plotly", lambda: "var Plotly;")
    for names in ((name,), (name, "other"), ("other", name)):
        record, runs = made(names, seeds)
        rows = leaderboard(record, runs)
        text = verdict(record, rows)
        assert json.dumps(facts(record, rows, text), allow_nan=False)
        assert Reader(page.render(record, rows, runs, text)).open == []
        assert any(line.split("  ", 1)[1].strip().startswith(name.strip()) for line in lines(record, rows)[1:])
        for width in (40, 60, 80, 140):
            assert all(len(line) <= width for line in shown(record, rows, width).splitlines())


def test_nothing_to_paste_where_the_text_is_not_the_answer() -> None:
    """Of a study that is not finished, or that answered something else."""
    record, runs = made(("a. b", "other"))
    rows = leaderboard(record, runs)
    interim = "Study 3 is not finished: 12 runs so far."
    assert answer(record, rows, interim) == (interim, [], "")
    assert answer(record, rows, "Use other at 0.1. It is fine.") == ("Use other at 0.1.", [], "It is fine.")
    assert "paste" not in Reader(sections.header(record, rows, interim)).values("class")
    assert "paste" in Reader(sections.header(record, rows, verdict(record, rows))).values("class")


def test_nothing_to_paste_where_nothing_finished_or_nothing_was_recorded() -> None:
    record, _ = made(("a",), metric="x. y")
    for runs in ([], rates({0.1: (None, None)}, contender="a")):
        rows = leaderboard(record, runs)
        text = verdict(record, rows)
        assert pick(rows) is None
        first, made_by, rest = answer(record, rows, text)
        assert made_by == []
        assert first == "No optimizer finished a run: lower the learning rates, or check the model and the data."
        assert f"{first} {rest}".strip() == text
    old, runs = made(("a",))
    rows = leaderboard(replace(old, calls={}), runs)
    first, made_by, _ = answer(replace(old, calls={}), rows, verdict(replace(old, calls={}), rows))
    assert first.startswith("Use a at learning rate 0.1")
    assert made_by == []
    assert code(replace(old, calls={}), rows[0]) is None


def test_a_metric_without_a_finite_value_is_said_whole() -> None:
    record, _ = made(("a",), metric="x. y")
    silent = [
        replace(run, curve=(replace(run.curve[-1], validation_metric=None),))
        for run in rates({0.1: (0.9, 0.9)}, contender="a")
    ]
    rows = leaderboard(record, silent)
    first, _, _ = answer(record, rows, verdict(record, rows))
    assert first == "No run has a x. y that is a finite number, though all were trained: check the metric."
