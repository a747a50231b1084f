"""The recipe of docs/your-own-model.md by which a run is reproduced in plain PyTorch, word for word."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from problems import points

PAGE = Path(__file__).parents[1] / "docs" / "your-own-model.md"


def recipe_text() -> str:
    """The code that follows the words "by hand" on the page."""
    (found,) = re.findall(r"reproduced by hand, .*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(found)


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def test_the_recipe_gives_the_run() -> None:
    train, validation = points(330, 1, torch.float32), points(100, 2, torch.float32)
    workload = thalweg.Workload(
        name="by hand", model=make_model, train=train, validation=validation, batch_size=32, epochs=3
    )
    result = thalweg.compare(workload, "adam", [1e-2], seeds=2, confirm_seeds=0, progress=False)
    for run in result.runs:
        names: dict[str, Any] = {
            "run": run, "make_model": make_model, "X": train[0], "y": train[1], "batch_size": 32, "epochs": 3,
            "loss": cross_entropy,
        }  # fmt: skip
        exec(recipe_text(), names)
        model = names["model"].eval()
        with torch.no_grad():
            value = float(cross_entropy(model(validation[0]), validation[1]))
        assert run.curve[-1].validation_loss == pytest.approx(value, rel=1e-4)
