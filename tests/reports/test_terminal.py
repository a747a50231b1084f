"""The leaderboard on a terminal, and where output goes elsewhere."""

from io import StringIO

import pytest
from handmade import finals, rates, study
from pairs import Made, known, never_ran, sensitive_first
from rich.console import Console

from thalweg.analysis.leaderboard import leaderboard
from thalweg.reports.terminal import lines, table


def plain(made: Made) -> list[str]:
    record, runs = made
    return lines(record, leaderboard(record, runs))


def drawn(made: Made) -> str:
    record, runs = made
    console = Console(file=StringIO(), width=200)
    console.print(table(record, leaderboard(record, runs)))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_one_line_an_optimizer() -> None:
    heads, adam, sgd = plain(known())
    assert heads.split()[:2] == ["rank", "optimizer"]
    assert adam.split()[:3] == ["1", "adam", "0.1"]
    assert sgd.split()[:2] == ["2", "sgd"]
    assert adam.split()[-3:] == ["20", "1/10", "2.00"]


def test_a_recommendation_that_is_not_the_first_is_marked() -> None:
    _, adam, sgd = plain(sensitive_first())
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
    assert plain(never_ran())[2].split() == ["2", "ghost", "-", "-", "-", "-", "-", "0/0", "0.00"]
