"""The commands over a directory of studies, and studies that share it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import thalweg
from cli_process import Program
from problems import tiny
from scope import conformance_only
from thalweg.cli.main import app
from thalweg.records.lock import Lock, folder
from thalweg.records.store import Store
from thalweg.reports.terminal import answer

COMPARE = ("compare", "digits", "--optimizers", "sgd", "--learning-rates", "0.01,0.1", "--seeds", "1", "--no-progress")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished studies, the second with rates that are far too low."""
    place = tmp_path_factory.mktemp("out") / "studies"
    asked = {"seeds": 1, "confirm_seeds": 5, "progress": False, "out": place}
    thalweg.compare(tiny(), ["sgd", "adam"], [0.1], **asked)  # type: ignore[arg-type]
    thalweg.compare(tiny(), ["sgd", "adam"], [1e-7], tag="far too low", **asked)  # type: ignore[arg-type]
    return place


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    if isinstance(result.exception, thalweg.InputError):
        assert code == 2
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result.output


def test_the_list(out: Path) -> None:
    lines = [line.split("\t") for line in said("studies", "--out", str(out)).splitlines()]
    assert [(line[0], *line[2:]) for line in lines] == [
        (number, "tiny", "sgd, adam", "22", "finished", tag) for number, tag in (("1", ""), ("2", "far too low"))
    ]


def table_of(text: str) -> list[str]:
    """The lines from the leaderboard's headings on."""
    lines = text.splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.startswith("rank")) :]


def assert_says(text: str, result: Any) -> None:
    """The verdict: its first sentence first, the lines to paste below it, its other sentences behind the table."""
    first, made, rest = answer(result.study, result.rows, result.verdict)
    assert text.startswith("\n".join([first, *(f"    {line}" for line in made), ""]))
    assert rest in "\n".join(table_of(text))
    assert f"{first} {rest}".strip() == result.verdict


def test_show_and_its_json(out: Path, tmp_path: Path) -> None:
    text = said("show", "1", "--out", str(out), "--json", str(tmp_path / "a.json"))
    facts = json.loads((tmp_path / "a.json").read_text())
    assert table_of(text)[1].split()[1] == facts["leaderboard"][0]["optimizer"]
    assert_says(text, thalweg.stored(out, 1))
    assert facts["settings"]["tag"] is None
    assert thalweg.stored(out, 2).facts()["settings"]["tag"] == "far too low"
    assert said("show", "--out", str(out)).startswith("Use sgd at learning rate 1e-7: ")  # the newest


def test_a_finished_study_is_not_resumed_but_shown(out: Path, tmp_path: Path) -> None:
    before = (out / "study.sqlite").read_bytes()
    text = said("resume", "1", "--out", str(out), "--json", str(tmp_path / "a.json"), "--no-progress")
    assert_says(text, thalweg.stored(out, 1))
    assert json.loads((tmp_path / "a.json").read_text()) == thalweg.stored(out, 1).facts()
    assert (out / "study.sqlite").read_bytes() == before


def test_the_report(out: Path) -> None:
    assert said("report", "1", "--out", str(out)) == f"Report: {out / 'report-1.html'}\n"
    assert "<html" in (out / "report-1.html").read_text()


@pytest.mark.parametrize("format", ["csv", "json"])
def test_export(format: str, out: Path, tmp_path: Path) -> None:
    said("export", "2", "--out", str(out), "--format", format, "--to", str(tmp_path / f"runs.{format}"))
    assert (tmp_path / f"runs.{format}").read_text().count("confirmation") >= 10
    assert "There is no format 'xml'" in said("export", "--out", str(out), "--format", "xml", code=2)


def test_diff_says_what_is_worse_and_fails(out: Path, tmp_path: Path) -> None:
    text = said("diff", "1", "2", "--out", str(out), "--json", str(tmp_path / "d.json"), code=1)
    assert "worse" in text
    assert json.loads((tmp_path / "d.json").read_text())["significant"] is True
    assert "No single optimizer changed significantly" in said("diff", f"{out}:1", "1", "--out", str(out))
    assert "got 'x'" in said("diff", "x", "1", "--out", str(out), code=2)


def test_watching_a_finished_study_ends(out: Path) -> None:
    shown = said("show", "--out", str(out))
    assert said("watch", "--out", str(out)) == f"study 2, tiny: finished, 22 runs\n{shown}"


@pytest.mark.parametrize("command", ["studies", "show", "resume", "report", "export"])
def test_no_store_is_one_sentence(command: str, tmp_path: Path) -> None:
    assert "No study in" in said(command, "--out", str(tmp_path / "nothing"), code=2)
    assert not (tmp_path / "nothing").exists()


def test_delete(tmp_path: Path) -> None:
    asked = {"seeds": 1, "confirm_seeds": 0, "progress": False, "out": tmp_path}
    for _ in range(2):
        thalweg.compare(tiny(epochs=1), ["sgd"], [0.1], **asked)  # type: ignore[arg-type]
    lock = Lock(folder(tmp_path, 1), 1)
    assert "Study 1 is running already" in said("delete", "1", "--out", str(tmp_path), code=2)
    lock.close()
    assert said("delete", "1", "--out", str(tmp_path)) == "Deleted study 1 with its 1 run.\n"
    for unknown in ("1", str(2**63), str(10**30)):  # SQLite holds no whole number from 2^63 on
        assert f"has no study {unknown}; it has 2" in said("delete", unknown, "--out", str(tmp_path), code=2)
    assert said("studies", "--out", str(tmp_path)).startswith("2\t")


def begun(out: Path, *arguments: str) -> Program:
    return Program(*COMPARE, "--out", str(out), *arguments)


@conformance_only
def test_two_studies_at_once_in_one_store(tmp_path: Path) -> None:
    """Both finish, each with all of its own runs."""
    both = [begun(tmp_path / "out", "--epochs", "3", "--base-seed", seed) for seed in ("0", "7")]
    for program in both:
        status, _, errors = program.end()
        assert status == 0, errors
    found = [thalweg.stored(tmp_path / "out", number) for number in (1, 2)]
    assert sorted(result.study.tuning_seeds for result in found) == [(0,), (7,)]
    assert [len(result.runs) for result in found] == [12, 12]
    assert all(run.seed in (*r.study.tuning_seeds, *r.study.confirmation_seeds) for r in found for run in r.runs)


def test_ctrl_c_then_watch_then_resume(tmp_path: Path) -> None:
    """Stopped by SIGTERM as by Ctrl-C; the list says so, and it goes on."""
    program = begun(tmp_path, "--epochs", "200")
    until = time.monotonic() + 100
    while time.monotonic() < until and not (tmp_path / "study.sqlite").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    assert "running" in said("studies", "--out", str(tmp_path))
    program.send(signal.SIGTERM)
    status, _, errors = program.end(60)
    assert status == 130, errors
    assert "stopping after this step" in errors
    assert f"Resume with: thalweg resume 1 --out {tmp_path}" in errors
    assert "stopped" in said("studies", "--out", str(tmp_path))
    assert said("watch", "--out", str(tmp_path)).startswith("study 1, digits: stopped in tuning, coarse")
    assert list((tmp_path / "in-progress" / "1").glob("*.safetensors"))


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@conformance_only
def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    place = tmp_path / "small"
    with small_disk(place, "300k"):
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        status, _, errors = begun(place / "out", "--epochs", "1").end()
        assert status == 2, errors
        assert errors.strip().splitlines()[-1].startswith("thalweg: out cannot be created:")
        assert "Traceback" not in errors


def test_a_full_disk_keeps_what_finished(tmp_path: Path) -> None:
    """On a small file system of its own; once there is room, the study goes on to its end."""
    place = tmp_path / "small"
    with small_disk(place, "300k"):
        status, _, errors = begun(place / "out", "--epochs", "40", "--checkpoint-every", "0.05s").end()
        assert status == 2, errors
        assert "Traceback" not in errors
        assert "the disk is full" in errors
        assert "resume with thalweg resume 1" in errors
        kept = len(thalweg.stored(place / "out").runs)
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        said("resume", "--out", str(place / "out"), "--no-progress")
        assert len(thalweg.stored(place / "out").runs) == 12 > kept
        store = Store(place / "out")
        assert store.verdict(1)
        store.close()
