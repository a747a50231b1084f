"""What `thalweg watch` shows of a study that is running, at three widths."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from screens import screen, terminal

from records_fixture import RUN, STEPS, STUDY
from thalweg.records.store import Store
from thalweg.records.types import Leader, Measurement, Progress, RunRecord, StudyRecord
from thalweg.reports.watching import Watched, best_so_far, frame

LONG = "最適化" * 20  # 60 letters of two columns each
NOW = "running in tuning, fine, 25% (process 7)"


def run(contender: str, rate: float, seed: int, metric: float | None, **changed: Any) -> RunRecord:
    curve = (Measurement(STEPS, 0.5, 0.5, metric, {"f1": 0.1}),)
    return replace(RUN, contender=contender, hyperparameters={"lr": rate}, seed=seed, curve=curve, **changed)


RUNS = (
    *(run("adam", 10**-2.5, seed, 0.97 + seed / 100) for seed in range(3)),
    *(run("momentum", 0.1, seed, 0.99, round="fine") for seed in range(2)),
    run("schedule_free_adamw", 0.01, 0, 0.992, round="fine"),
    run("sgd", 0.01, 0, None, round="fine"),  # its metric was NaN
    run("sgd", 0.1, 0, 0.5, round="fine", diverged_at=50),
    run("rmsprop", 0.1, 0, None, round="fine", failure="ValueError: no"),
)


def watched(directory: Path, record: StudyRecord, runs: tuple[RunRecord, ...], progress: Progress) -> Watched:
    """A study of these runs, which was looked at once."""
    store, number = Store.begin(directory, record)
    store.add(number, dict(enumerate(runs)))
    store.advance(number, progress)
    study = Watched(number)
    study.look(store, 100.0)
    store.close()
    return study


@pytest.fixture
def study(tmp_path: Path) -> Watched:
    progress = Progress("tuning, fine", 24, 0.25, 60.0, first=3, study_done=9.0, study_runs=40.0, left=125.0)
    return watched(tmp_path, STUDY, RUNS, progress)


BOARD = """\
so far (provisional)

 optimizer             learning rate   validation accuracy   seeds
 ─────────────────────────────────────────────────────────────────
 schedule_free_adamw   1e-2                          99.2%       1
 momentum              1e-1                   99.0%, 99.0%       2
 adam                  3e-3                    98.0 ± 2.5%       3
""".splitlines()


@pytest.mark.parametrize(
    ("width", "bar"),
    [(80, "━" * 32), (140, "━" * 32), (67, "━" * 31)],
)
def test_a_frame(width: int, bar: str, study: Watched) -> None:
    lines = screen(console := terminal(width), frame(study, NOW, console, 100.0))
    names = [line.replace("━", "").replace("╺", "").replace("╸", "").split() for line in lines[1:3]]
    assert lines[0] == f"study 1, toy: {NOW}"
    assert names == [
        ["tuning,", "coarse", "100%", "3", "of", "3", "runs"],
        ["tuning,", "fine", "25%", "6", "of", "24", "runs"],
    ]
    assert lines[1].startswith(f"tuning, coarse    {bar} 100%")
    assert lines[3] == "whole study: 9 of about 40 runs, about 2 min left"
    assert lines[4:11] == BOARD


def test_a_narrow_terminal_keeps_names_and_rates_whole(study: Watched) -> None:
    lines = screen(console := terminal(60), frame(study, NOW, console, 100.0))
    text = "\n".join(lines)
    assert all(len(line) <= 60 for line in lines)
    for whole in ("schedule_free_adamw", "momentum", "1e-2", "3e-3", "99.0%, 99.0%", "98.0 ± 2.5%"):
        assert whole in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_names_of_60_wide_letters(width: int, tmp_path: Path) -> None:
    runs = tuple(run(LONG, 10**-2.5, seed, 0.9) for seed in range(2))
    study = watched(tmp_path, STUDY, runs, Progress("tuning, coarse", 3, 0.5))
    lines = screen(console := terminal(width), frame(study, NOW, console, 100.0))
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).count("最") == 20, "folded, not cut"
    assert "90.0%, 90.0%" in "\n".join(lines)
    assert "3e-3" in "\n".join(lines)


def test_nothing_is_ranked_or_recommended(study: Watched) -> None:
    text = "\n".join(screen(console := terminal(140), frame(study, NOW, console, 100.0)))
    assert "rank" not in text
    assert "recommended" not in text
    assert "± 0.0" not in text


def test_a_loss_leads_where_it_is_low(tmp_path: Path) -> None:
    record = replace(STUDY, metric="mse", higher_is_better=False)
    study = watched(
        tmp_path, record, (run("a", 0.1, 0, 0.5), run("b", 0.1, 0, 0.25)), Progress("tuning, coarse", 3, 0.5)
    )
    lines = screen(console := terminal(80), frame(study, NOW, console, 100.0))
    cells = [line.split() for line in lines if line.strip().startswith(("a ", "b "))]
    assert cells == [["b", "1e-1", "0.25", "1"], ["a", "1e-1", "0.5", "1"]]


def test_before_a_run_has_ended_those_in_training_lead(tmp_path: Path) -> None:
    leaders = (Leader("adam", 0.1, (0.5,), "training"),)
    study = watched(tmp_path, STUDY, (), Progress("tuning, coarse", 3, 0.5, leaders=leaders))
    lines = screen(console := terminal(80), frame(study, NOW, console, 100.0))
    assert "so far (provisional, in training)" in lines
    assert any(line.split() == ["adam", "1e-1", "50.0%", "1"] for line in lines)


def test_runs_that_all_broke_off_are_said(tmp_path: Path) -> None:
    study = watched(tmp_path, STUDY, RUNS[-3:], Progress("tuning, coarse", 3, 0.5))
    lines = screen(console := terminal(80), frame(study, NOW, console, 100.0))
    assert lines[-1] == "No run has ended with a validation metric so far."


def test_a_study_that_has_not_begun_a_stage(tmp_path: Path) -> None:
    study = watched(tmp_path, STUDY, (), Progress())
    console = terminal(80)
    assert screen(console, frame(study, "beginning", console, 100.0)) == ["study 1, toy: beginning"]


def test_a_low_terminal_shows_the_first_leaders(tmp_path: Path) -> None:
    runs = tuple(run(f"name{i:02}", 0.1, 0, i / 100) for i in range(40))
    study = watched(tmp_path, STUDY, runs, Progress("tuning, coarse", 3, 0.5))
    lines = screen(console := terminal(80, height=24), frame(study, NOW, console, 100.0))
    assert len(lines) < 24
    assert lines[-1].strip() == "and 28 more"


def test_time_runs_on_between_two_words_of_the_study(study: Watched) -> None:
    assert study.left(100.0) == 125.0
    assert study.left(160.0) == 65.0
    assert study.left(1e6) == pytest.approx(125.0 / 4), "never negative, whatever happens"


def test_new_runs_are_read_once(tmp_path: Path) -> None:
    store, number = Store.begin(tmp_path, STUDY)
    other = Store.begin(tmp_path, STUDY)[1]
    study = Watched(number)
    for position in range(3):
        store.add(other, {position: run("other", 0.1, position, 0.1)})
        store.add(number, {position: run("adam", 0.1, position, 0.5 + position / 10)})
        study.look(store, float(position))
        assert [r.seed for r in study.runs] == list(range(position + 1))
    assert study.course == pytest.approx([0.5, 0.6, 0.7]), "the best run at each look"
    assert best_so_far(study, 80) == "best run so far: 50.0% ▁▅█ 70.0%"
    assert best_so_far(study, 30) == "", "no room"
    store.close()


def test_many_looks_are_thinned(study: Watched) -> None:
    study.course = [i / 5000 for i in range(5000)]
    assert study.summary is not None
    study._note_best(study.summary.record)
    assert len(study.course) < 2600
    assert (study.course[0], study.course[-1]) == (0.0, 0.9998)
