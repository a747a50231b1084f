"""What is exported can be read back, and nothing in it runs in a spreadsheet."""

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from handmade import run, study
from pairs import Made, known
from synthetic import Shape, study_of

from thalweg.errors import InputError
from thalweg.records.types import Measurement, RunRecord, StudyRecord
from thalweg.reports.export import DERIVED, csv_of, export
from thalweg.reports.frames import curves_columns, frame, runs_columns


def exported(made: Made, kind: str, folder: Path) -> tuple[Path, ...]:
    return export(*made, kind, folder / f"runs.{kind}")


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_study(raw: dict[str, Any]) -> StudyRecord:
    """A study from JSON, where tuples are lists."""
    raw["learning_rates"] = {name: tuple(rates) for name, rates in raw["learning_rates"].items()}
    return StudyRecord(**{name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()})


def as_run(raw: dict[str, Any]) -> RunRecord:
    own = {name: value for name, value in raw.items() if name not in DERIVED}
    run = RunRecord(**{**own, "curve": tuple(Measurement(**m) for m in raw["curve"])})
    assert [getattr(run, name) for name in DERIVED] == [raw[name] for name in DERIVED]
    return run


def parquet(folder: Path) -> list[pd.DataFrame]:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    return [pd.read_parquet(path) for path in exported(study_of(Shape(rates=3)), "parquet", folder)]


@pytest.mark.parametrize("make", [known, lambda: study_of(Shape(rates=3)), lambda: (study(()), [])])
def test_json_holds_everything(make: Any, tmp_path: Path) -> None:
    record, runs = make()
    (path,) = exported((record, runs), "json", tmp_path)
    found = json.loads(path.read_text())
    assert as_study(found["study"]) == record
    assert [as_run(raw) for raw in found["runs"]] == runs


def test_csv_has_one_row_a_run_with_all_digits(tmp_path: Path) -> None:
    record, runs = study_of(Shape(rates=3))
    path, _ = exported((record, runs), "csv", tmp_path)
    rows = cells(path)
    assert len(rows) == len(runs)
    for number, (row, of) in enumerate(zip(rows, runs, strict=True), 1):
        assert (row["run"], row["workload"], row["contender"]) == (str(number), record.workload, of.contender)
        assert (int(row["seed"]), row["role"], int(row["steps"])) == (of.seed, of.role, of.steps)
        assert (row["optimizer"], row["rate"]) == (of.optimizer, "lr")
        assert float(row["hyperparameter_lr"]) == of.learning_rate == float(row["learning_rate"])
        assert row["diverged_at"] == ("" if of.diverged_at is None else str(of.diverged_at))
        assert row["diverged"] == str(of.diverged)
        for name in ("validation_metric", "test_metric", "seconds"):
            assert row[name] == ("" if getattr(of, name) is None else repr(getattr(of, name)))


def test_csv_has_the_curves_beside_it_in_long_form(tmp_path: Path) -> None:
    record, runs = study_of(Shape(rates=3))
    path, curves = exported((record, runs), "csv", tmp_path)
    assert (path.name, curves.name) == ("runs.csv", "runs-curves.csv")
    rows = iter(cells(curves))
    for number, of in enumerate(runs, 1):
        for measured in of.curve:
            row = next(rows)
            assert (row["run"], row["contender"], row["optimizer"]) == (str(number), of.contender, of.optimizer)
            assert (row["role"], int(row["seed"]), float(row["learning_rate"])) == (of.role, of.seed, of.learning_rate)
            assert (int(row["step"]), float(row["train_loss"])) == (measured.step, measured.train_loss)
            assert float(row["validation_metric"]) == measured.validation_metric
    assert list(rows) == []


def test_parquet_keeps_the_types(tmp_path: Path) -> None:
    frame, curves = parquet(tmp_path)
    record, runs = study_of(Shape(rates=3))
    assert list(frame["contender"]) == [of.contender for of in runs]
    assert list(frame["hyperparameter_lr"]) == [of.learning_rate for of in runs]
    assert [None if pd.isna(v) else v for v in frame["test_metric"]] == [of.test_metric for of in runs]
    assert [None if pd.isna(v) else v for v in frame["diverged_at"]] == [of.diverged_at for of in runs]
    assert pd.api.types.is_integer_dtype(frame["diverged_at"])
    assert pd.api.types.is_bool_dtype(frame["diverged"])
    assert len(curves) == sum(len(of.curve) for of in runs)
    assert set(curves["run"]) == {number for number, of in enumerate(runs, 1) if of.curve}
    assert list(frame.columns) == list(cells(exported((record, runs), "csv", tmp_path)[0])[0])


def test_hyperparameters_have_a_type_a_column(tmp_path: Path) -> None:
    given = [
        {"lr": 0.1, "nesterov": True, "betas": [0.9, 0.999], "period": 3, "mode": "slow", "bound": math.inf},
        {"lr": 1, "nesterov": False, "mode": 2},
        {"lr": 0.1, "period": None, "momentum": -0.5},
    ]
    runs = [run(0.1, seed, 0.5, hyperparameters=values) for seed, values in enumerate(given)]
    path, _ = exported((study(), runs), "csv", tmp_path)
    found = [{k[15:]: v for k, v in row.items() if k.startswith("hyperparameter_")} for row in cells(path)]
    assert found == [
        {"betas": "[0.9, 0.999]", "bound": "inf", "lr": "0.1", "mode": '"slow"', "momentum": "", "nesterov": "True",
         "period": "3"},
        {"betas": "", "bound": "", "lr": "1.0", "mode": "2", "momentum": "", "nesterov": "False", "period": ""},
        {"betas": "", "bound": "", "lr": "0.1", "mode": "", "momentum": "-0.5", "nesterov": "", "period": ""},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n-1", " =1", "＝1", "'=1", "'quoted", '=cmd|"x",y']
)
def test_no_name_is_a_formula(name: str, tmp_path: Path) -> None:
    """One apostrophe before it, which can be taken off again."""
    runs = [run(0.1, 0, 0.5, contender=name, failure=name)]
    for path in exported((study((name,), workload=name), runs), "csv", tmp_path):
        (row, *_) = cells(path)
        assert row["contender"] == f"'{name}"
    (row,) = cells(tmp_path / "runs.csv")
    assert row["workload"] == row["failure"] == f"'{name}"


@pytest.mark.parametrize("name", ["adam", "adam(eps=1e-4, x=-1)", "it's", "Größe", "a,b", 'say "x"', "two\nlines"])
def test_other_names_are_as_they_are(name: str, tmp_path: Path) -> None:
    path, _ = exported((study((name,)), [run(0.1, 0, 0.5, contender=name)]), "csv", tmp_path)
    assert cells(path)[0]["contender"] == name


def test_negative_numbers_are_numbers(tmp_path: Path) -> None:
    path, _ = exported((study(), [run(0.1, 0, -0.5, train_metric=-0.5)]), "csv", tmp_path)
    (row,) = cells(path)
    assert (row["validation_metric"], row["train_metric"]) == ("-0.5", "-0.5")


def test_a_study_without_runs_has_headings(tmp_path: Path) -> None:
    path, curves = exported((study(), []), "csv", tmp_path)
    assert path.read_text().startswith("run,workload,contender,optimizer,learning_rate,")
    assert curves.read_text() == (
        "run,contender,optimizer,role,seed,learning_rate,step,train_loss,validation_loss,validation_metric\n"
    )


def test_every_factor_is_a_column_of_its_name(tmp_path: Path) -> None:
    """Of runs and of curves; texts as they are, what is neither number nor text as JSON, empty where a run has none."""
    others = [{"convention": "keras", "warmup": 100, "decayed": True, "schedule": ["cosine", 0.1]}, {"warmup": 0.5}, {}]
    runs = [run(0.1, seed, 0.5, factors={"optimizer": "adam", **own}) for seed, own in enumerate(others)]
    for path in exported((study(), runs), "csv", tmp_path):
        rows = {row["run"]: row for row in cells(path)}
        names = ("optimizer", "convention", "warmup", "decayed", "schedule")
        assert [tuple(rows[number][name] for name in names) for number in ("1", "2", "3")] == [
            ("adam", "keras", "100.0", "True", '["cosine", 0.1]'),
            ("adam", "", "0.5", "", ""),
            ("adam", "", "", "", ""),
        ]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no format 'cvs' .* Did you mean csv\?"):
        export(*known(), "cvs", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_path_that_cannot_be_written_is_refused(kind: str, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "x"):
        with pytest.raises(InputError, match="cannot be written"):
            export(*known(), kind, path)
    assert list(tmp_path.iterdir()) == []


def test_the_runs_are_written_only_where_their_curves_are(tmp_path: Path) -> None:
    (tmp_path / "runs-curves.csv").mkdir()
    with pytest.raises(InputError, match=r"runs-curves\.csv"):
        exported(known(), "csv", tmp_path)
    assert not (tmp_path / "runs.csv").exists()


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'thalweg\[parquet\]'"):
        exported(known(), "parquet", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    """A text that UTF-8 cannot hold breaks the writing off."""
    path = tmp_path / "runs.csv"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        export(study(), [replace(run(0.1, 0, 0.5), failure="\ud800")], "csv", path)
    assert path.read_text() == "before"
    assert {found.suffix for found in tmp_path.iterdir()} == {".csv"}


@pytest.mark.parametrize("make", [known, lambda: study_of(Shape(rates=3)), lambda: (study(()), [])])
def test_csv_is_what_pandas_writes(make: Any) -> None:
    record, runs = make()
    odd = {"lr": 1e-05, "eps": 3, "flag": True, "text": '=a, "b"\r\n', "nothing": None}
    runs = [
        *runs,
        run(0.1, 0, 0.9, contender="x", hyperparameters=odd, initial_loss=math.nan, failure="a\nb,c"),
        run(0.1, 1, math.inf, contender="'x", hyperparameters={"lr": 1e300, "eps": 0.5}, seconds=0.1 + 0.2),
    ]
    for columns in (runs_columns(record, runs), curves_columns(runs)):
        wanted = frame(columns)
        for name in wanted.columns:
            if wanted[name].dtype == "string":
                wanted[name] = wanted[name].map(
                    lambda text: f"'{text}" if text.lstrip()[:1] in [*"=+-@'"] else text, na_action="ignore"
                )
        assert csv_of(columns) == wanted.to_csv(index=False, lineterminator="\n")
