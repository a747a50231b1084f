"""Values that a user's functions reach by global names: a change of them is one of the problem."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from thalweg.workloads.content import code_content

FILE = """
import random
from torch import nn
import {helper}
from {helper} import SHARED as common

SCALE = {{"low": 0.8}}
SCALE["high"] = 1.2
LEVELS = [1, 2]
LEVELS.append(3)
LOSS = nn.SmoothL1Loss(beta=1.0)
unused = [1]


class Jitter:
    def __init__(self, by):
        self.by, self.calls = by, 0

    def __call__(self, x):
        self.calls += 1
        return x * self.by


JITTER, OTHER = Jitter(0.5), 0
if True:
    CHOICE = [n for n in LEVELS]


def augment(batch, generator):
    LEVELS.append(len(LEVELS))  # grows as it trains
    return JITTER(batch) * SCALE["low"] * CHOICE[0] * common["x"] + LOSS(batch, batch) + {helper}.shift(batch)
"""
HELPER = """
BY = {"x": 2}
SHARED = {"x": 1}


def shift(x):
    return x + BY["x"]
"""
CHANGES = {
    "a dict": ('"low": 0.8', '"low": 0.7'),
    "an item": ('["high"] = 1.2', '["high"] = 1.3'),
    "a call of a method": ("append(3)", "append(4)"),
    "a module of torch": ("beta=1.0", "beta=0.1"),
    "an object": ("Jitter(0.5)", "Jitter(0.6)"),
    "its class": ("x * self.by", "x + self.by"),
    "what another is made of": ("LEVELS = [1, 2]", "LEVELS = [5, 2]"),
}
IN_HELPER = {
    "a function of another file": ("x + BY", "x - BY"),
    "what it reads": ('BY = {"x": 2}', 'BY = {"x": 3}'),
    "what is imported from there": ('SHARED = {"x": 1}', 'SHARED = {"x": 7}'),
}
NONE = {
    "a comment": ("# grows as it trains", "# still does"),
    "layout": ('{"low": 0.8}', '{ "low":  0.8 }'),
    "what is not reached": ("unused = [1]", "unused = [2]"),
}


class Files:
    """Two files of a user's, read anew at each call."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch, self._count = folder, patch, 0

    def augment(self, text: str = FILE, helper: str = HELPER) -> Any:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        for name, of in (("reached_helper", helper), ("reached_file", text.format(helper="reached_helper"))):
            (folder / f"{name}.py").write_text(of)
            spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            self._patch.setitem(sys.modules, name, module)
            spec.loader.exec_module(module)
        return module.augment


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(tmp_path, monkeypatch)


def edited(text: str, change: tuple[str, str]) -> str:
    before, after = (part.replace("{", "{{").replace("}", "}}") if "{{" in text else part for part in change)
    assert text.count(before) == 1
    return text.replace(before, after)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told(files: Files, name: str) -> None:
    before = code_content([files.augment()])
    assert code_content([files.augment(edited(FILE, CHANGES[name]))]) != before


@pytest.mark.parametrize("name", IN_HELPER)
def test_a_change_in_another_file_is_told(files: Files, name: str) -> None:
    before = code_content([files.augment()])
    assert code_content([files.augment(helper=edited(HELPER, IN_HELPER[name]))]) != before


@pytest.mark.parametrize("name", NONE)
def test_what_changes_nothing_is_none(files: Files, name: str) -> None:
    before = code_content([files.augment()])
    assert code_content([files.augment(edited(FILE, NONE[name]))]) == before


def test_values_that_change_in_training_are_none(files: Files) -> None:
    """A list that grows, an object that counts: a study that stopped goes on all the same."""
    augment = files.augment()
    before = code_content([augment])
    augment.__globals__["LEVELS"].append(9)
    augment.__globals__["JITTER"].calls = 5
    assert code_content([augment]) == before
