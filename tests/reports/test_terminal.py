"""The leaderboard on a terminal, and where output goes elsewhere."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from handmade import finals, rates, study
from pairs import Made, known, never_ran, sensitive_first
from rich.console import Console

from thalweg.analysis.leaderboard import leaderboard
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.terminal import lines, table


def plain(made: Made) -> list[str]:
    record, runs = made
    return lines(record, leaderboard(record, runs))


def drawn(made: Made) -> str:
    record, runs = made
    return at(record, runs, 200)


def at(record: StudyRecord, runs: Sequence[RunRecord], width: int) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(table(record, leaderboard(record, runs), width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_one_line_an_optimizer() -> None:
    heads, adam, sgd = plain(known())
    assert heads.split("  ")[1].strip() == "optimizer"
    assert heads.split()[:2] == ["rank", "optimizer"]
    assert adam.split()[:3] == ["1", "adam", "0.1"]
    assert sgd.split()[:2] == ["2", "sgd"]
    assert adam.split()[-3:] == ["95.0%", "20", "1/10"]


def test_a_recommendation_that_is_not_the_first_is_marked() -> None:
    _, adam, sgd, legend = plain(sensitive_first())
    assert legend == "= not separated from the first; * recommended"
    assert (adam.split()[0], sgd.split()[0]) == ("1", "2=*")
    assert "* recommended" in drawn(sensitive_first())


@pytest.mark.parametrize("make", [known, never_ran])
def test_a_recommended_first_needs_no_mark(make: object) -> None:
    assert "*" not in drawn(make())  # type: ignore[operator]


def test_long_names_are_not_cut() -> None:
    name = f"[bold]adam({'x' * 150})"
    record = study((name,), learning_rates={name: (0.1,)})
    runs = [*rates({0.1: (0.9, 0.9)}, contender=name), *finals((0.9, 0.9), 0.1, contender=name)]
    assert len(plain((record, runs))) == 2
    assert name in plain((record, runs))[1]


def test_a_contender_without_any_run() -> None:
    assert plain(never_ran())[2].split() == ["2", "ghost", "-", "-", "-", "-", "-", "-", "0/0"]


ELEVEN = (
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "adadelta",
    "rmsprop",
    "adam",
    "adamw",
    "adamax",
    "nadam",
    "adabound",
)


def eleven(**changes: Any) -> tuple[StudyRecord, list[RunRecord]]:
    record = study(ELEVEN, learning_rates=dict.fromkeys(ELEVEN, (0.00316,)), **changes)
    runs: list[RunRecord] = []
    for i, name in enumerate(ELEVEN):
        metrics = (0.9 + i / 200, 0.91 + i / 200)
        runs += [*rates({0.00316: metrics}, contender=name), *finals(metrics, 0.00316, contender=name)]
    return record, runs


@pytest.mark.parametrize("width", [60, 80, 140])
def test_names_and_rates_are_whole_at_any_width(width: int) -> None:
    shown = at(*eleven(), width)
    assert all(len(line) <= width for line in shown.splitlines())
    for name in ELEVEN:
        (line,) = [line for line in shown.splitlines() if line.split()[1:2] == [name]]
        assert "3.16e-3" in line.split()
        assert "%" in line
    assert "…" not in shown


def test_columns_leave_by_priority() -> None:
    heads = {width: at(*eleven(), width).split("adabound")[0].split() for width in (60, 80, 140)}
    assert {"rank", "learning", "test", "validation", "train", "diverged"} <= set(heads[140])
    assert {"rank", "learning", "test", "validation", "diverged"} <= set(heads[80])
    assert "train" not in heads[80]
    assert {"rank", "learning", "test"} <= set(heads[60])
    assert not {"train", "validation"} & set(heads[60])


def test_columns_that_say_nothing_leave_first() -> None:
    """None of the eleven has a second rate, or reached a target."""
    assert not {"good", "steps"} & set(at(*eleven(), 140).split("adabound")[0].split())


def test_what_ranks_stays() -> None:
    record, runs = eleven(samples={"train": 80, "validation": 20}, confirmation_seeds=())
    shown = at(record, [replace(run, test_metric=None) for run in runs if run.role == "tuning"], 44)
    assert "validation" in shown
    assert "test" not in shown


def test_a_name_wider_than_the_terminal_is_folded_and_whole() -> None:
    name = f"adam({'x' * 90})"
    record = study((name,), learning_rates={name: (0.1,)})
    runs = [*rates({0.1: (0.9, 0.9)}, contender=name), *finals((0.9, 0.9), 0.1, contender=name)]
    of_it = [line for line in at(record, runs, 60).splitlines() if "xxx" in line]
    assert len(of_it) > 1
    assert sum(line.count("x") for line in of_it) == 90


@pytest.mark.parametrize("width", [60, 80, 100])
def test_wide_letters_cut_no_number(width: int) -> None:
    """Letters of two cells: the width of a name is not its length, and rich would cut `± 1.2%` to `± 1.2`."""
    name = "日本語の名前日本語の名前"
    record = study((name,), samples={})
    runs = [*rates({0.01: (0.9, 0.91), 0.1: (0.9, 0.91)}, contender=name), *finals((0.9, 0.91), 0.1, contender=name)]
    shown = at(record, runs, width)
    assert "90.0, 91.0%" in shown
    assert "1e-2–0.1" in shown or "range" not in shown
