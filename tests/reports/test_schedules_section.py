"""The report of a comparison of schedules: the matrix, the sketches, the rates under the loss."""

import re
from dataclasses import replace
from itertools import pairwise

import handmade
import pytest

from thalweg.analysis.leaderboard import leaderboard
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import schedule_matrix
from thalweg.reports.page import render
from thalweg.reports.rates import path, rates

NAMES = {
    "adam": "constant",
    "adam + linear": "linear",
    "adam + <b>f</b>()": "<b>f</b>()",
    "adam + performance": "performance",
}


def made() -> tuple[StudyRecord, list[RunRecord]]:
    own = {n: {"optimizer": "adam", **({} if s == "constant" else {"schedule": s})} for n, s in NAMES.items()}
    record = handmade.study(tuple(NAMES), factors=own)
    runs = []
    for i, name in enumerate(NAMES):
        each = handmade.rates({0.1: (0.8, 0.9)}) + handmade.finals((0.8 + i / 100, 0.9 + i / 100), 0.1)
        runs += [replace(run, contender=name, factors=own[name]) for run in each]
    return record, runs


def test_the_rate_is_that_of_the_run() -> None:
    record, _ = made()
    assert rates(record, "linear", 20) == pytest.approx([1 - t / 20 for t in range(20)])  # of 20 steps
    assert rates(record, "performance", 20) is None
    assert rates(record, "<b>f</b>()", 20) is None
    assert path([0, 1, 0.5], 100, 50, 2, 10) == "M10.0 52.0L60.0 2.0L110.0 27.0"


def test_the_page_shows_the_matrix_and_the_rates() -> None:
    record, runs = made()
    page = render(record, leaderboard(record, runs), runs, "Use adam.")
    section = page.partition('id="schedules"')[2].partition("</section>")[0]
    assert section.count('class="sketch"') == 2  # of what is known beforehand
    assert "<b>f</b>" not in page
    assert "&lt;b&gt;f&lt;/b&gt;()" in section
    assert "+1.0 (+1.0 to +1.0)" in section
    drawn = re.findall(r'class="rate series-\d" ', page) or re.findall(r'class="rate series-\d"', page)
    assert len(drawn) == 2
    assert "Learning rate by epoch" in page


def test_a_page_without_schedules_has_neither() -> None:
    record, runs = handmade.study(), handmade.rates({0.1: (0.8, 0.9)}) + handmade.finals((0.8, 0.9), 0.1)
    page = render(record, leaderboard(record, runs), runs, "Use adam.")
    assert 'id="schedules"' not in page
    assert "Learning rate by epoch" not in page
    assert schedule_matrix.lines(record, leaderboard(record, runs), runs) == []


def test_lines_and_facts() -> None:
    record, runs = made()
    rows = leaderboard(record, runs)
    found = schedule_matrix.lines(record, rows, runs)
    assert found[0] == "By schedule, test accuracy:"
    assert [a < b for a, b in pairwise(map(found[1].index, NAMES.values()))] == [True] * 3
    facts = schedule_matrix.facts(record, rows, runs)
    assert facts is not None
    gains = {cell["schedule"]: cell["gain"] and cell["gain"]["mean"] for cell in facts["cells"]}
    assert gains == pytest.approx({"constant": None, "linear": 0.01, "<b>f</b>()": 0.02, "performance": 0.03})
