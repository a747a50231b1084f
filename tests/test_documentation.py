"""The README and the pages of docs/: their code runs, their commands are read, their links lead somewhere."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import nn

import thalweg
from scope import THOROUGH, conformance_only
from thalweg.cli.main import app

ROOT = Path(__file__).parents[1]
GENERATED = {"capabilities.md", "optimizers.md"}  # by `make docs`
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").glob("*.md") if p.name not in GENERATED)]
LONGEST = 200  # lines
DEMO = re.compile(r"thalweg (compare digits .*)")

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The arguments of each command `thalweg …` that stands at the begin of a line of a block."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    found = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("thalweg ")]
    return [[re.sub("^DIR$", ".", word) for word in words] for words in found]


def test_the_pages_are_found() -> None:
    assert {"README", "comparisons", "your-own-model", "library", "schedules"} <= {page.stem for page in PAGES}
    assert sum(len(commands(page)) for page in PAGES) > 20
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 10


@by_page
def test_no_page_is_long(page: Path) -> None:
    assert len(page.read_text("utf-8").splitlines()) <= LONGEST


def anchors(page: Path) -> set[str]:
    """What GitHub makes of headings: lower case, without punctuation, spaces as hyphens."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    for link in (link for link in links if "://" not in link and not link.startswith("../../commit/")):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_every_page_is_named_in_the_readme() -> None:
    links = set(re.findall(r"\(docs/([^)#]+\.md)\)", PAGES[0].read_text("utf-8")))
    assert links == {page.name for page in PAGES[1:]}


@by_page
def test_commands_are_read(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names of commands and options, and the kinds of their values; nothing is run."""
    monkeypatch.chdir(tmp_path)
    group: Any = typer.main.get_command(app)
    for name, *arguments in commands(page):
        group.commands[name].make_context(name, arguments)  # raises `UsageError`


def test_a_wrong_option_is_found() -> None:
    group: Any = typer.main.get_command(app)
    with pytest.raises(Exception, match="No such option"):
        group.commands["compare"].make_context("compare", ["digits", "--optimisers", "sgd"])


def test_the_demo_is_what_the_readme_says() -> None:
    (target,) = re.findall(r"^demo:.*\n\t(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    told = re.findall(r"`make demo` runs `(.*)`", PAGES[0].read_text("utf-8"))
    assert DEMO.findall(target) == DEMO.findall(told[0])


def make_model() -> nn.Module:
    return nn.Linear(4, 1)


SHORT = {"learning_rates": [1e-2], "steps": 3, "seeds": 1, "confirm_seeds": 2, "progress": False}
"""Of a comparison, so that a page's code takes seconds."""


def taken_for_granted() -> dict[str, Any]:
    """The names that the pages' blocks use without defining them."""
    X, y = torch.randn(40, 4), torch.randn(40, 1)  # noqa: N806
    workload = thalweg.Workload(
        name="lines", model=make_model, train=(X, y), validation=(X, y), loss=nn.functional.mse_loss, epochs=2
    )
    return {
        "thalweg": thalweg, "torch": torch, "nn": nn, "X": X, "y": y, "workload": workload, "model": make_model(),
        "optimizer": torch.optim.Adam(make_model().parameters()), "__name__": "pages",
    }  # fmt: skip


SOON = ("README", "your-own-model", "library", "sparse")
"""Pages whose code runs in the suite; that of all in `make conformance`."""


@pytest.mark.parametrize("page", [page for page in PAGES if THOROUGH or page.stem in SOON], ids=lambda page: page.stem)
def test_code_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All blocks of a page, one after the other; `test_by_hand.py` runs the one that needs a study's run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(thalweg, "compare", functools.partial(thalweg.compare, **SHORT))
    sweep = {"optimizers": "adam", "seeds": 1, "verify": False, "progress": False}
    monkeypatch.setattr(thalweg, "find_lr", functools.partial(thalweg.find_lr, **sweep))
    monkeypatch.setattr(thalweg, "sparsify", functools.partial(thalweg.sparsify, progress=False))
    names = taken_for_granted()
    if page.stem == "your-own-model":
        names["model"] = make_model
    for block in blocks(page, "python"):
        if "run.seed" in block:
            continue
        file = tmp_path / "block.py"
        file.write_text(block, encoding="utf-8")
        exec(compile(block, str(file), "exec"), names)


@conformance_only
def test_the_rule_of_the_readme_descends(tmp_path: Path) -> None:
    """In a process of its own, as a user's script: the rule of the README and its drop-in class."""
    rule = next(block for block in blocks(PAGES[0], "python") if "@thalweg.rule" in block)
    script = (
        "import thalweg, torch\n"
        + rule.partition("\noptimizer")[0]
        + (
            "\nw = torch.nn.Parameter(torch.ones(3))\noptimizer = thalweg.optim.drop_in(averaged)([w], lr=0.1)\n"
            "for _ in range(100):\n    optimizer.zero_grad(); w.square().sum().backward(); optimizer.step()\n"
            "print(float(w.detach().norm()) < 0.1)\n"
        )
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout == "True\n", done.stderr
