"""`thalweg find-lr`: the table, the picture, the JSON, and what it says of bad options."""

import json
from pathlib import Path

import pytest

from cli_process import Ended, Program

WORKLOAD = """
import torch, thalweg
x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
workload = thalweg.Workload(
    name="signs", model=lambda: torch.nn.Linear(4, 2), train=(x, (x[:, 0] > 0).long()), validation=0.3, steps=60
)
"""


def call(*arguments: str, cwd: Path) -> Ended:
    (cwd / "mine.py").write_text(WORKLOAD)
    return Program("find-lr", *arguments, cwd=cwd).end()


def test_a_table_a_picture_and_json(tmp_path: Path) -> None:
    given = ("--optimizers", "adam,sgd", "--seeds", "2", "--plot", "out.svg", "--json", "out.json", "--no-progress")
    done = call("mine.py", *given, cwd=tmp_path)
    assert done.status == 0, done.errors
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["optimizer", "adam", "sgd"]
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Picture: out.svg"
    facts = json.loads((tmp_path / "out.json").read_text())
    assert [of["optimizer"] for of in facts["optimizers"]] == ["adam", "sgd"]
    assert (tmp_path / "out.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("mine.py", "--seeds", "0"), "seeds must be a whole number from 1 to 1,000, got 0."),
        (("mine.py", "--optimizers", "adam(lr=0.1)"), "No optimizer given has a learning rate to find"),
        (("nothing",), "Unknown workload 'nothing'"),
    ],
)
def test_bad_options(given: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    done = call(*given, cwd=tmp_path)
    assert done.status == 2
    assert sentence in done.errors
    assert len(done.errors.strip().splitlines()) == 1
