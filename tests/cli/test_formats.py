"""What `show` and `diff` print for other programs, and the links and the browser of a report."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import thalweg
from records_fixture import RUN, STUDY
from thalweg.analysis.difference import Difference, difference
from thalweg.cli.main import app
from thalweg.records.store import Store
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports import difference as plain
from thalweg.reports.difference_formats import FORMATS
from thalweg.reports.markdown import escaped, summary
from thalweg.reports.terminal import answer

AWKWARD = "a|b: 50%, [x]\n<y>"
SEEDS = (1000, 1001, 1002, 1003, 1004)


def study(shifts: dict[str, float]) -> tuple[StudyRecord, list[RunRecord]]:
    """Contenders whose scores are the same five, shifted."""
    record = replace(STUDY, contenders=tuple(shifts), learning_rates=dict.fromkeys(shifts, (0.1,)))
    runs = [
        replace(RUN, contender=name, seed=seed, role=role, test_metric=None if role == "tuning" else score)
        for name, shift in shifts.items()
        for role, seeds in (("tuning", (0, 1, 2)), ("confirmation", SEEDS))
        for seed in seeds
        for score in (0.9 + shift + 0.001 * (seed % 3),)
    ]
    return replace(record, confirmation_seeds=SEEDS), runs


def found() -> Difference:
    """The first of three is worse, the second better, the third the same."""
    before = study({AWKWARD: 0.0, "better": 0.0, "same": 0.0})
    return difference(before, study({AWKWARD: -0.2, "better": 0.05, "same": 0.0}))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for shifts in ({"adam": 0.0, "sgd": 0.0}, {"adam": -0.2, "sgd": 0.0}):
        record, runs = study(shifts)
        store, number = Store.begin(tmp_path, record)
        store.add(number, dict(enumerate(runs)))
        store.finish(number, record, "Use *adam*.")
        store.close()
    return tmp_path


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    if isinstance(result.exception, thalweg.InputError):
        assert code == 2
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result.output


def test_show_prints_json_and_nothing_else(out: Path, tmp_path: Path) -> None:
    text = said("show", "1", "--out", str(out), "--format", "json", "--json", str(tmp_path / "a.json"))
    assert json.loads(text) == thalweg.stored(out, 1).facts()
    assert text == (tmp_path / "a.json").read_text()


def test_show_prints_markdown(out: Path) -> None:
    lines = said("show", "1", "--out", str(out), "--format", "md").splitlines()
    result = thalweg.stored(out, 1)
    first, made, rest = answer(result.study, result.rows, result.verdict)
    code = ["```python", *made, "```", ""] if made else []
    assert lines[: 6 + len(code)] == ["### Optimizers on toy", "", escaped(first), "", *code, escaped(rest), ""]
    table = lines[6 + len(code) : 10 + len(code)]
    assert {line.count("|") for line in table} == {10}
    assert [line.split(" | ")[1] for line in table[2:]] == ["adam", "sgd"]


def test_an_unknown_format_is_refused(out: Path) -> None:
    assert "There is no format 'xml' to show." in said("show", "--out", str(out), "--format", "xml", code=2)
    assert "Did you mean junit?" in said("diff", "1", "2", "--out", str(out), "--format", "junitt", code=2)


@pytest.mark.parametrize("format", ["text", "md", "json", "junit", "github"])
def test_the_format_does_not_change_the_exit_code(format: str, out: Path) -> None:
    assert said("diff", "1", "2", "--out", str(out), "--format", format, code=1)
    assert said("diff", "1", "1", "--out", str(out), "--format", format, code=0)


def test_diff_prints_json_and_nothing_else(out: Path) -> None:
    text = said("diff", "1", "2", "--out", str(out), "--format", "json", code=1)
    assert json.loads(text)["significant"] is True


def test_junit_fails_what_is_worse_alone() -> None:
    root = ElementTree.fromstring(FORMATS["junit"](found(), "1 → 2"))
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert [*cases] == [AWKWARD, "better", "same"]  # escaped on the way, and as they were after it
    assert {case.get("classname") for case in cases.values()} == {"toy"}
    assert [name for name, case in cases.items() if case.find("failure") is not None] == [AWKWARD]
    failure = cases[AWKWARD].find("failure")
    assert failure is not None
    assert "significantly worse: 90" in str(failure.get("message"))
    for of in (root, *root.iter("testsuite")):
        assert (of.get("tests"), of.get("failures"), of.get("skipped")) == ("3", "1", "0")


def test_junit_skips_what_could_not_be_judged() -> None:
    record, runs = study({"adam": 0.0})
    one = [run for run in runs if run.role == "tuning" or run.seed == SEEDS[0]]
    root = ElementTree.fromstring(FORMATS["junit"](difference((record, one), (record, one)), "1 → 1"))
    assert [case.find("skipped") is not None for case in root.iter("testcase")] == [True]
    assert root.get("failures") == "0"


def test_junit_holds_no_character_that_xml_forbids() -> None:
    before = study({"a\x00\x1b\udc80b": 0.0})
    assert ElementTree.fromstring(FORMATS["junit"](difference(before, before), "1 → 1")).get("tests") == "1"


def test_annotations_are_one_line_each_and_escaped() -> None:
    lines = FORMATS["github"](found(), "1, 2").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::notice", "::notice"]
    assert lines[0].startswith("::error title=a|b%3A 50%25%2C [x]%0A<y>::a|b: 50%25, [x]%0A<y>: significantly worse: 9")
    assert lines[-1].startswith("::notice title=thalweg diff 1%2C 2::")
    assert "%25" in lines[1].split("::")[2]  # accuracies are in percent


def test_markdown_keeps_its_table_whatever_the_names_hold() -> None:
    record, runs = study({AWKWARD: 0.0, "sgd": 0.0})
    rows = thalweg.api.result.leaderboard(record, runs)
    for text in (summary(record, rows, "Use it."), FORMATS["md"](found(), "1 → 2")):
        table = [line for line in text.splitlines() if line.startswith("| ")]
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
        assert any("a\\|b: 50%, \\[x\\] \\<y\\>" in line for line in table)
    assert escaped("a_b\n`c`") == "a\\_b \\`c\\`"
    assert "before" in plain.cells(found())[0][2]


def test_a_report_is_opened_where_asked_to(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)) or True)
    assert said("report", "1", "--out", str(out)) == f"Report: {out / 'report-1.html'}\n"
    assert opened == []
    assert said("report", "1", "--out", str(out), "--open") == f"Report: {out / 'report-1.html'}\n"
    assert opened == [(out / "report-1.html").as_uri()]


def test_where_there_is_no_browser_it_is_said(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    result = CliRunner().invoke(app, ["report", "1", "--out", str(out), "--open"])
    assert result.exit_code == 0
    assert "no browser was found here" in result.stderr
