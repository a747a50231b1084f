"""`find_lr`, and comparisons whose grids begin with what it finds."""

import json
import xml.etree.ElementTree as ET
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import thalweg
from problems import tiny
from scope import THOROUGH
from thalweg.analysis.formatting import rate_text
from thalweg.errors import InputError
from thalweg.options.comparison import settings


@cache
def found() -> thalweg.RangeTest:
    """Of a small workload: one of our own, one whose rate is fixed, and one of torch's own."""
    names = ["adam", "sgd(lr=0.1)", "torch.optim:RAdam"]
    return thalweg.find_lr(tiny(steps=120), names, seeds=2, progress=False)


def test_a_result() -> None:
    result = found()
    assert [f.optimizer for f in result.findings] == ["adam", "sgd(lr=0.1)", "torch.optim:RAdam"]
    assert (result.steps, result.swept, result.seeds, result.coverage) == (120, 300, (0, 1), 0.9)
    adam, fixed, other = result.findings
    for each in (adam, other):
        assert each.interval is not None
        assert each.interval[0] <= each.suggestion <= each.interval[1]
        assert [len(trial.losses) for trial in each.trials] == [2, 2, 2]
        assert each.verified or "wrong" in each.sentence
    assert fixed.suggestion is None
    assert fixed.sentence == "sgd(lr=0.1): its learning rate is fixed at 0.1."
    assert result["adam"] is adam


def test_the_table_fits_a_terminal() -> None:
    lines = found().lines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["optimizer", "suggestion", "from", "to", "steepest", "diverges", "verified"]
    assert rate_text(found()["adam"].suggestion or 0.0) in lines[1].split()
    assert any("its learning rate is fixed" in line for line in lines)
    assert str(found()) == "\n".join(lines)


def test_json() -> None:
    facts = json.loads(json.dumps(found().facts(), allow_nan=False))
    assert [of["optimizer"] for of in facts["optimizers"]] == [f.optimizer for f in found().findings]
    assert facts["calibration"]["command"].startswith("benchmarks/range_test.py")
    assert facts["optimizers"][1]["interval"] is None


def test_the_picture(tmp_path: Path) -> None:
    file = tmp_path / "out.svg"
    found().save_picture(file)
    tree = ET.parse(file).getroot()
    of = "{http://www.w3.org/2000/svg}"
    panels = [g.find(f"{of}title").text for g in tree.iter(f"{of}g")]  # type: ignore[union-attr]
    assert [text.rsplit(": ", 1)[0] for text in panels if text] == ["adam", "torch.optim:RAdam"], "each that was swept"
    assert "prefers-color-scheme: dark" in file.read_text()
    assert sum(line.get("class") == "interval" for line in tree.iter(f"{of}rect")) == 2
    with pytest.raises(InputError, match="cannot be written"):
        found().save_picture(tmp_path / "nowhere" / "out.svg")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"optimizers": ["adam(lr=0.1)"]}, "No optimizer given has a learning rate to find: name one that has a rate"),
        ({"seeds": 0}, "seeds must be a whole number from 1 to 1,000, got 0."),
        ({"verify": "no"}, "verify must be True or False, got 'no'."),
        ({"optimizers": ["adma"]}, "Unknown optimizer 'adma'. Did you mean"),
        ({"learning_rates": [1.0]}, "find_lr has no argument 'learning_rates'."),
        ({"epochs": 1, "steps": 1}, "epochs and steps both say how long a run trains"),
    ],
)
def test_bad_arguments(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        thalweg.find_lr(tiny(), progress=False, **given)  # type: ignore[arg-type]
    assert str(error.value).startswith(sentence)


def test_a_loss_that_never_falls() -> None:
    """A model without influence on its loss: no number is made of nothing."""
    workload = tiny(steps=20, loss=lambda outputs, targets: 0 * outputs.sum() + 1, metric="loss")
    result = thalweg.find_lr(workload, ["adam"], seeds=1, progress=False)
    assert result["adam"].suggestion is None
    assert result.lines() == ["adam: no rate from 1e-06 to 1 made the loss fall."]


def test_a_comparison_begins_with_what_is_found(tmp_path: Path) -> None:
    names = ["adam", "sgd(lr=0.1)"]
    result = thalweg.compare(
        tiny(steps=40), names, learning_rates="found", seeds=1, confirm_seeds=0, out=tmp_path, progress=False
    )
    ((label, low, high),) = result.study.request["design"]["found"]
    grid = result.study.learning_rates["adam"]
    assert label == "adam"
    assert grid[0] < low < high < grid[-1]
    assert grid[2] > low, "one more rate on each side, and no two"
    assert grid[-3] < high
    assert [b / a for a, b in pairwise(grid)] == pytest.approx([10**0.5] * (len(grid) - 1), rel=0.02)
    assert {run.learning_rate for run in result.runs if run.contender == "adam" and run.round == "coarse"} == {*grid}
    assert settings(result.study.request)["learning_rates"] == "found"
    assert "The coarse grids cover intervals of a range test of 300 steps" in result.study.notes[0]


def test_a_resumed_study_keeps_the_rates_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workload, stop = tiny(steps=40), KeyboardInterrupt()

    def interrupted(*_: object, **__: object) -> None:
        raise stop

    with monkeypatch.context() as at_first:
        at_first.setattr("thalweg.studies.study.Study._confirm", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thalweg.compare(
                workload, "adam", learning_rates="found", seeds=1, confirm_seeds=2, out=tmp_path, progress=False
            )
    before = thalweg.stored(tmp_path)
    monkeypatch.setattr("thalweg.studies.range_test.sweep", interrupted)  # nothing is swept again
    after = thalweg.resume(tmp_path, workload=workload, progress=False)
    assert after.study.learning_rates == before.study.learning_rates
    assert after.study.request["design"]["found"] == before.study.request["design"]["found"]
    tuned = [(r.hyperparameters, r.seed) for r in before.runs if r.role == "tuning"]
    assert [(r.hyperparameters, r.seed) for r in after.runs if r.role == "tuning"] == tuned


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"learning_rates": "fond"}, 'learning_rates must be a list of positive finite numbers, at least one and at'
         ' most 1,000, or "found", got \'fond\'.'),
        ({"learning_rates": "found", "tune": ["lr"]}, "learning_rates='found' begins a grid and tune searches: give"),
        ({"learning_rates": "found", "optimizers": ["adam(lr=1)"]}, "No optimizer given has a learning rate to find"),
    ],
)  # fmt: skip
def test_bad_arguments_of_a_comparison(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        thalweg.compare(tiny(), progress=False, **given)  # type: ignore[arg-type]
    assert str(error.value).startswith(sentence)


@pytest.mark.skipif(not THOROUGH, reason="trains a dense grid")
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_an_interval_holds_the_best_rate_of_a_dense_grid(name: str) -> None:
    result = thalweg.find_lr("digits", [name], steps=200, progress=False)
    low, high = result[name].interval or (0.0, 0.0)
    rates = torch.logspace(-5, 1, 31, dtype=torch.float64).tolist()
    dense = thalweg.compare("digits", [name], learning_rates=rates, steps=200, seeds=3, confirm_seeds=0, progress=False)
    (row,) = dense.rows
    best = max(p.metric.mean for p in row.tried if p.eligible)
    good = [p.learning_rate for p in row.tried if p.eligible and p.metric.mean >= best - 0.01]
    assert any(low <= rate <= high for rate in good if rate is not None)
