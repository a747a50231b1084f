"""`thalweg show`, `report` and the JSON of studies that are unfinished, empty, tiny, or of an earlier protocol."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import thalweg
from old_stores import written
from records_fixture import RUN, STUDY
from thalweg.analysis.verdict import verdict
from thalweg.cli.main import app
from thalweg.errors import InputError
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.studies.calls import calls
from thalweg.studies.contenders import Contender

NAMES = ("adam", "sgd", 'v1. "odd" (it\'s)')
FRESH = (1000, 1001, 1002)
WITHOUT_CALLS = "UPDATE studies SET record = json_remove(record, '$.calls')"


def record_of(names: Sequence[str], **more: Any) -> StudyRecord:
    optimizers = {name: Contender(name) if name in NAMES[:2] else Contender("adam", title=name) for name in names}
    record = replace(STUDY, contenders=tuple(names), learning_rates=dict.fromkeys(names, (0.1,)), protocol=6)
    record = replace(record, confirmation_seeds=FRESH, calls=calls(optimizers, grouped=False), samples={"test": 1000})
    return replace(record, **more)


def runs_of(names: Sequence[str], seeds: Sequence[int] = FRESH, tuning: Sequence[int] = (0, 1, 2)) -> list[RunRecord]:
    """Tuning runs of all, then final runs; those named earlier are a little better, and the last has a failed run."""
    found = []
    for i, name in enumerate(names):
        own = replace(RUN, contender=name, hyperparameters={"lr": 0.1})
        found += [replace(own, seed=seed) for seed in tuning]
        for seed in seeds:
            score = 0.1 if len(names) > 2 and name == names[-1] and seed == 1001 else 0.9 - i / 100 + (seed % 3) / 200
            found.append(replace(own, seed=seed, role="confirmation", test_metric=score))
    return found


def stored(folder: Path, record: StudyRecord, runs: Sequence[RunRecord], answer: str | None) -> int:
    store, number = Store.begin(folder, record)
    with closing(store):
        store.add(number, dict(enumerate(runs)))
        if answer is not None:
            store.finish(number, record, answer)
    return number


def shown(folder: Path, command: str = "show", *arguments: str) -> str:
    result = CliRunner().invoke(app, [command, *arguments, "--out", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def told(folder: Path) -> dict[str, Any]:
    shown(folder, "show", "--json", str(folder / "facts.json"))
    shown(folder, "report")
    found = json.loads((folder / "facts.json").read_text())
    assert "NaN" not in (folder / "facts.json").read_text()
    return dict(found)


@pytest.mark.parametrize("names", [NAMES, NAMES[:1], NAMES[2:]])
def test_a_finished_study_begins_with_the_answer_and_its_line(names: Sequence[str], tmp_path: Path) -> None:
    stored(tmp_path, record_of(names), runs_of(names), "Use what was said then.")
    first, line, empty, *table = shown(tmp_path).splitlines()
    assert first.startswith(f"Use {names[0]} at learning rate 0.1: test accuracy ")
    assert first.endswith(" over 3 fresh seeds.")
    assert line == "    thalweg.optim.Adam(model.parameters(), lr=0.1)"
    assert empty == ""
    assert table[0].split()[:2] == ["rank", "optimizer"]
    facts = told(tmp_path)
    assert (facts["pick"], facts["code"]) == (names[0], line.strip())
    best = thalweg.stored(tmp_path).best
    assert best is not None
    assert best.code() == line.strip()


def test_what_is_said_goes_by_the_rows_of_today(tmp_path: Path) -> None:
    """A verdict stored by earlier rules, which recommended another, is not shown above a table that marks another."""
    stored(tmp_path, record_of(NAMES), runs_of(NAMES), "Use sgd at learning rate 7: by earlier rules.")
    result = thalweg.stored(tmp_path)
    assert result.verdict == verdict(result.study, result.rows)
    assert "earlier rules" not in shown(tmp_path)
    assert "is unreliable: 1 of 3 final runs failed to train (10.0% against a median of " in shown(tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_study_of_an_earlier_protocol_has_no_line_and_says_why(protocol: int, tmp_path: Path) -> None:
    stored(tmp_path, record_of(NAMES, protocol=protocol), runs_of(NAMES), "Use it.")
    written(tmp_path, WITHOUT_CALLS)
    text = shown(tmp_path)
    assert text.startswith("Use adam at learning rate 0.1: test accuracy ")
    assert "model.parameters()" not in text
    facts = told(tmp_path)
    assert (facts["pick"], facts["code"]) == ("adam", None)
    best = thalweg.stored(tmp_path).best
    assert best is not None
    for ask in (best.code, lambda: best.build([])):
        with pytest.raises(InputError, match="did not record how its optimizers are made: run it again"):
            ask()


@pytest.mark.parametrize("count", [1, 4, 10])
@pytest.mark.parametrize("with_calls", [True, False])
def test_an_unfinished_study_says_so_and_recommends_nothing(count: int, with_calls: bool, tmp_path: Path) -> None:
    number = stored(tmp_path, record_of(NAMES), runs_of(NAMES)[:count], None)
    if not with_calls:
        written(tmp_path, WITHOUT_CALLS)
    first, *rest = shown(tmp_path).splitlines()
    assert first == f"Study {number} is not finished: {count} run{'' if count == 1 else 's'} so far."
    assert "model.parameters()" not in "\n".join(rest)
    assert len(told(tmp_path)["leaderboard"]) == 3


@pytest.mark.parametrize("seeds", [(), (1000,)])
@pytest.mark.parametrize("tuning", [(0,), (0, 1, 2)])
def test_one_seed_of_one_contender(seeds: Sequence[int], tuning: Sequence[int], tmp_path: Path) -> None:
    record = record_of(("sgd",), confirmation_seeds=tuple(seeds), tuning_seeds=tuple(tuning))
    stored(tmp_path, record, runs_of(("sgd",), seeds, tuning), "Use it.")
    text = shown(tmp_path)
    assert text.startswith("Use sgd at learning rate 0.1: ")
    assert "    thalweg.optim.SGD(model.parameters(), lr=0.1)\n" in text
    assert "not separated" not in text
    assert "nan" not in text.lower()
    assert told(tmp_path)["resolution"] is None


def test_a_study_without_any_run_that_was_concluded(tmp_path: Path) -> None:
    stored(tmp_path, record_of(NAMES), [], "No optimizer finished a run.")
    assert shown(tmp_path).startswith("No optimizer finished a run: ")
    assert told(tmp_path)["pick"] is None
    assert thalweg.stored(tmp_path).best is None
