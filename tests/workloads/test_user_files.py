"""Workloads of a user's file or module are found, and what is wrong with them is one sentence with the user's line."""

import sys
from pathlib import Path

import pytest

import thalweg
from thalweg.workloads.catalogue import load
from thalweg.workloads.content import content, model_content
from thalweg.workloads.user_files import absolute, is_place
from thalweg.workloads.workload import Workload

FILE = """
import torch
from torch import nn
import thalweg

FACTOR = 2.0


def points(n, seed):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long()


def scaled(x):
    return FACTOR * x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        return self.out(scaled(x))


def loss(outputs, targets):
    return smoothed(outputs, targets)


def smoothed(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)


def made(name="made"):
    return thalweg.Workload(
        name=name, model=Net, loss=loss, train=points(64, 0), validation=points(32, 1), epochs=1,
        metric=thalweg.Metric(loss, higher_is_better=False),
    )


workload = made("mine")


def broken():
    there = {}
    return there["nothing"]


def wrong():
    return 3


def refused():
    return thalweg.Workload(name="", model=Net, train=points(4, 0), validation=points(4, 1))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_a_file_has_its_workload(file: Path) -> None:
    assert load(str(file)).name == "mine"
    assert load(f"{file}:workload").name == "mine"
    assert load(f"{file}:made").name == "made"


def test_the_only_workload_needs_no_name(file: Path) -> None:
    file.write_text(FILE.replace("workload = made", "problem = made"))
    assert load(str(file)).name == "mine"
    file.write_text(FILE.replace("workload = made", "problem = made") + "\nother = made()\n")
    with pytest.raises(thalweg.InputError, match=r"it has problem, other: say which, as .*mine\.py:problem"):
        load(str(file))


def test_a_module_has_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = file.parent / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "problems.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(file.parent))
    assert load("package_of_mine.problems:workload").name == "mine"
    assert load("package_of_mine.problems:made").name == "made"
    with pytest.raises(thalweg.InputError, match=r"problems, line \d+: KeyError: 'nothing'"):
        load("package_of_mine.problems:broken")


def test_what_lies_beside_is_imported_and_hides_nothing(file: Path) -> None:
    (file.parent / "beside_mine.py").write_text("NAME = 'from beside'\n")
    (file.parent / "json.py").write_text("raise SystemError\n")
    file.write_text("import json\nimport beside_mine\n" + FILE.replace('"mine"', "beside_mine.NAME"))
    assert load(str(file)).name == "from beside"
    assert sys.path[0] != str(file.parent)


LOOKS_UP = FILE.splitlines().index('    return there["nothing"]') + 1


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("mine.py:workloda", r"mine\.py has no 'workloda'. Did you mean workload\?"),
        ("mine.py:broken", rf"mine\.py, line {LOOKS_UP}: KeyError: 'nothing'"),
        ("mine.py:wrong", r"must be a thalweg\.Workload or a function without arguments that returns one, got 3"),
        ("mine.py:scaled", r"mine\.py: TypeError: scaled\(\) missing 1 required positional argument"),
        ("mine.py:refused", r"mine\.py, line \d+: name must be"),
        ("nothing.py", r"The file '.*nothing\.py' does not exist; `thalweg new nothing\.py` writes one"),
        (".", r"There is no module"),
        ("no_such_module:name", r"There is no module 'no_such_module'"),
        ("a b:name", r"There is no module 'a b'"),
    ],
)
def test_one_sentence(place: str, sentence: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    place = f"{place}/" if place == "." else place
    with pytest.raises(thalweg.InputError, match=sentence):
        load(place)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def broken(:\n", r"bad\.py, line 1: SyntaxError"),
        ("\n\nimport no_such_thing\n", r"bad\.py, line 3: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("raise SystemExit('enough')\n", r"bad\.py, line 1: SystemExit: enough"),
        ("x = 1\n", r"must have a workload, an object called workload or a function of that name.*it has none"),
        ("workload = 1\n", r"must be a thalweg\.Workload"),
        ("raise ValueError\n", r"bad\.py, line 1: ValueError$"),
        ("from . import other\n", r"bad\.py, line 1: ImportError: .*; name the file as a part of its package"),
        (
            "import thalweg\n\nthalweg.compare(__file__)\n",
            r"^\S*bad\.py, line 3: the file compares itself while it is read: put thalweg\.compare into a main\(\)",
        ),
    ],
)
def test_a_file_that_is_wrong(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(thalweg.InputError, match=sentence):
        load(str(tmp_path / "bad.py"))


def test_places_are_told_from_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [is_place(t) for t in ("digits", "mnist-cnn", "a.py", "a.py:b", "a.b:c", "dir/a.py")] == [False] * 2 + [
        True
    ] * 4
    assert absolute("a.py:b") == f"{tmp_path / 'a.py'}:b"
    assert absolute("a.py") == str(tmp_path / "a.py")
    assert absolute("a.b:c") == "a.b:c"
    assert absolute("digits") == "digits"


def contents(path: Path, text: str) -> dict[str, str]:
    path.write_text(text)
    workload: Workload = load(str(path))
    import torch

    torch.manual_seed(0)
    return dict(content(workload, model_content(workload.model())))


def test_a_comment_is_no_change(file: Path) -> None:
    before = contents(file, FILE)
    layout = FILE.replace("    return self.out", "    # why\n\n        return self.out").replace(
        "FACTOR * x", "FACTOR *  x"
    )
    assert contents(file, layout + "# the end") == before


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("FACTOR = 2.0", "FACTOR = 3.0", "model"),
        ("return FACTOR * x", "return FACTOR + x", "model"),
        ("nn.Linear(6, 2)", "nn.Linear(6, 2, bias=False)", "model"),
        ("label_smoothing=0.1", "label_smoothing=0.2", "loss"),
        ("points(64, 0)", "points(64, 2)", "data"),
    ],
)
def test_a_change_is_one(old: str, new: str, part: str, file: Path) -> None:
    """Also of what the user's functions call and read."""
    before, after = contents(file, FILE), contents(file, FILE.replace(old, new))
    assert {name for name in before if before[name] != after[name]} == {part}
