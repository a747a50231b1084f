"""`thalweg ensemble` and `thalweg distill`: tables, JSON, what is kept and shown again, what is said of bad options."""

import json
from pathlib import Path

import pytest

from cli_process import Ended, Program

WORKLOAD = """
import torch, thalweg
x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
def student():
    return torch.nn.Linear(4, 2)
workload = thalweg.Workload(
    name="signs", model=student, train=(x, (x[:, 0] > 0).long()), validation=0.3, steps=60
)
"""


def call(*arguments: str, cwd: Path) -> Ended:
    (cwd / "mine.py").write_text(WORKLOAD)
    return Program(*arguments, cwd=cwd).end()


def test_an_ensemble_is_kept_shown_and_read_again(tmp_path: Path) -> None:
    given = ("--members", "3", "--learning-rate", "1e-2", "--json", "out.json", "--save", "models", "--no-progress")
    done = call("ensemble", "mine.py", *given, cwd=tmp_path)
    assert done.status == 0, done.errors
    assert done.output.startswith("3 models of adam together: validation accuracy ")
    assert max(map(len, done.output.splitlines())) <= 80
    facts = json.loads((tmp_path / "out.json").read_text())
    assert (facts["kind"], len(facts["findings"]["members"]), len(facts["runs"])) == ("ensemble", 3, 3)
    assert sorted(p.name for p in (tmp_path / "models").iterdir())[1:] == [f"model-{i}.safetensors" for i in range(3)]
    for command in (("show",), ("resume", "--no-progress"), ("show", "--format", "json")):
        again = call(*command, cwd=tmp_path)
        assert again.status == 0, again.errors
        assert "3 models of adam together" in again.output
    listed = call("studies", cwd=tmp_path).output.split("\t")
    assert "signs" in listed
    assert call("report", "1", cwd=tmp_path).output == "Report: thalweg-out/report-1.html\n"
    assert call("delete", "1", cwd=tmp_path).status == 0
    assert not (tmp_path / "thalweg-out" / "models" / "1").exists()


def test_a_distillation_by_a_factory_of_a_file(tmp_path: Path) -> None:
    given = ("--student", "mine.py:student", "--teachers", "2", "--seeds", "2", "--labels", "20", "--no-progress")
    done = call("distill", "mine.py", *given, cwd=tmp_path)
    assert done.status == 0, done.errors
    lines = done.output.splitlines()
    assert any(line.startswith("teacher, 2 models") for line in lines)
    assert any(line.startswith("distilled student") for line in lines)
    assert call("resume", "--no-progress", cwd=tmp_path).output.splitlines()[0] == lines[0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("ensemble", "mine.py", "--members", "1"), "members must be a whole number from 2 to 1,000, got 1."),
        (("ensemble", "nothing"), "Unknown workload 'nothing'"),
        (("ensemble", "mine.py", "--optimizer", "adm"), "Did you mean adam"),
        (("distill", "mine.py", "--temperature", "0"), "temperature must be a positive finite number, got 0"),
        (("distill", "mine.py", "--student", "mine.py:nobody"), "mine.py has no 'nobody'"),
        (("distill", "mine.py", "--labels", "1000"), "labels must be at most the 140 samples of train, got 1,000"),
    ],
)
def test_bad_options(given: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    done = call(*given, "--quiet", cwd=tmp_path)
    assert done.status == 2
    assert sentence in done.errors
    assert "resume" not in done.errors, "nothing was begun"
    assert len(done.errors.strip().splitlines()) == 1
