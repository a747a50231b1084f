"""The stored studies of a directory, from Python."""

import json
from pathlib import Path

import pytest

import thalweg
from problems import tiny
from thalweg.errors import InputError


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies: of SGD, and of SGD and Adam."""
    folder = tmp_path_factory.mktemp("studies")
    for names in (["sgd"], ["sgd", "adam"]):
        thalweg.compare(tiny(epochs=1), names, [0.1], seeds=1, confirm_seeds=2, out=folder, progress=False)
    return folder


def test_what_there_is(directory: Path) -> None:
    studies = thalweg.Studies(directory)
    assert (len(studies), [*studies]) == (2, [1, 2])
    assert [summary.record.contenders for summary in studies.list()] == [("sgd",), ("sgd", "adam")]
    assert (studies.summary().id, studies.summary(1).id) == (2, 1)
    assert [row.contender for row in studies.open(1).rows] == ["sgd"]
    assert studies.open().study == studies.open(2).study
    assert repr(studies) == f"Studies('{directory}')"


def test_report_and_export(directory: Path, tmp_path: Path) -> None:
    studies = thalweg.Studies(directory)
    assert studies.report() == directory / "report-2.html"
    assert studies.report(1, tmp_path / "one.html").read_text().startswith("<!doctype html>")
    (written,) = studies.export(1, "json", tmp_path / "one.json")
    assert len(json.loads(written.read_text())["runs"]) == len(studies.open(1).runs)
    assert [path.name for path in studies.export(2)] == ["study-2.csv", "study-2-curves.csv"]


def test_a_difference(directory: Path) -> None:
    studies = thalweg.Studies(directory)
    assert [change.contender for change in studies.diff(1, 2).changes] == ["sgd"]
    assert studies.diff(1, f"{directory}:2") == studies.diff(1, 2)
    assert not studies.diff(1, 1).significant


def test_deletion(tmp_path: Path) -> None:
    result = thalweg.compare(tiny(epochs=1), ["sgd"], [0.1], seeds=1, confirm_seeds=1, out=tmp_path, progress=False)
    studies = thalweg.Studies(tmp_path)
    report = studies.report()
    assert studies.delete(1) == len(result.runs)
    assert (len(studies), report.exists()) == (0, False)
    with pytest.raises(InputError, match="has no study 1"):
        studies.delete(1)


@pytest.mark.parametrize("call", ["open", "summary", "report", "export", "delete"])
def test_unknown_studies(directory: Path, call: str) -> None:
    with pytest.raises(InputError, match="has no study 7"):
        getattr(thalweg.Studies(directory), call)(7)


def test_bad_requests(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No study in .* yet"):
        thalweg.Studies(tmp_path).list()
    with pytest.raises(InputError, match="as DIRECTORY:ID, got 'last'"):
        thalweg.Studies(directory).diff("last", 1)
    with pytest.raises(InputError, match="cannot be written"):
        thalweg.Studies(directory).report(1, tmp_path / "none" / "report.html")
    with pytest.raises(InputError, match="no format 'xls'"):
        thalweg.Studies(directory).export(1, "xls")
