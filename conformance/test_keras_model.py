"""A Keras model on the torch backend, in processes of its own: this one has Keras on another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from test_by_hand import recipe_text
from test_examples_of_files import FEW, WHY

EXAMPLE = Path(__file__).parents[1] / "examples" / "keras_model.py"


def run(*arguments, cwd):
    """A Python with Keras on torch, and float32, as a user has it."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("KERAS_", "JAX_"))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, check=False, timeout=280)


def test_the_command(tmp_path):
    done = run("-m", "thalweg", "compare", EXAMPLE, *FEW, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Use adam at learning rate 1e-2: " in done.stdout
    (plan,) = [line for line in done.stderr.splitlines() if line.startswith("plan: ")]
    assert WHY["keras_model"] in plan


BY_HAND = '''
import json, random, runpy, sys
import thalweg

example, recipe = runpy.run_path(sys.argv[1], run_name="imported"), sys.argv[2]

import keras
import torch
from torch import nn
from torch.nn.functional import cross_entropy


class Regularized(nn.Module):
    """Dropout by Keras's own seeds, and running averages."""

    def __init__(self):
        super().__init__()
        of = keras.layers
        inner = [of.Dense(16, activation="relu"), of.BatchNormalization(), of.Dropout(0.3)]
        self.model = keras.Sequential([of.Input((64,)), *inner, of.Dense(10)])

    def forward(self, x):
        return self.model(x, training=self.training)


found = []
for make_model in (example["model"], Regularized):
    whole = example["workload"]
    train, validation = whole.train.head(300), whole.validation
    workload = thalweg.Workload(
        name="by hand", model=make_model, train=train, validation=validation, batch_size=32, epochs=2
    )
    result = thalweg.compare(workload, "adam", [1e-2], seeds=1, confirm_seeds=0, progress=False)
    names = {"run": result.runs[0], "make_model": make_model, "X": train.inputs[0], "y": train.targets,
             "batch_size": 32, "epochs": 2, "loss": cross_entropy}
    random.seed(names["run"].seed)  # from which Keras draws its seeds
    exec(recipe, names)
    model = names["model"].eval()
    with torch.no_grad():
        by_hand = float(cross_entropy(model(validation.inputs[0]), validation.targets))
    found.append((result.verdict, result.runs[0].curve[-1].validation_loss, by_hand))
print(json.dumps(found))
'''


def test_its_runs_are_those_of_the_plain_loop(tmp_path):
    done = run("-c", BY_HAND, EXAMPLE, recipe_text(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plain, regularized = json.loads(done.stdout.splitlines()[-1])
    for verdict, ours, by_hand in (plain, regularized):
        assert verdict.startswith("Use adam at learning rate 1e-2"), verdict
        assert ours == pytest.approx(by_hand, rel=1e-4)


REFUSED = {
    "dropout that does nothing": (
        "torch",
        "keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])",
        "The layer 'dropout' of the Keras model, a Dropout, acts in training alone",
    ),
    "an RNN's dropout": (
        "torch",
        "keras.Sequential([keras.Input((4,)), keras.layers.Reshape((2, 2)), keras.layers.GRU(3, dropout=0.1)])",
        "The layer 'gru_cell' of the Keras model, a GRUCell, acts in training alone",
    ),
    "no weights yet": (
        "torch", "keras.Sequential([keras.layers.Dense(3)])", "model() must return a Keras model that has its weights",
    ),
    "no weights yet, within a module": (
        "torch", "torch.nn.Sequential(keras.Sequential([keras.layers.Dense(4)]), torch.nn.Linear(4, 3))",
        "model() must return a Keras model that has its weights",
    ),
    "another backend": (
        "jax", "keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])",
        "model() returns a Keras model of another backend than torch: set os.environ['KERAS_BACKEND'] = 'torch'",
    ),
}  # fmt: skip

TAKEN = (
    "keras.Sequential([keras.Input((4,)), keras.layers.Reshape((2, 2)), keras.layers.GRU(3)])",
    "keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.0)])",
)

CHECKED = """
import os, sys
os.environ["KERAS_BACKEND"] = sys.argv[1]
import keras, torch, thalweg
x, y = torch.randn(24, 4), torch.arange(24) % 3
workload = thalweg.Workload(name="w", model=lambda: eval(sys.argv[2]), train=(x, y), validation=(x, y), epochs=1)
print([line.text for line in thalweg.check(workload) if line.label == "trains"])
"""


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name, tmp_path):
    backend, model, sentence = REFUSED[name]
    done = run("-c", CHECKED, backend, model, cwd=tmp_path)
    assert done.returncode == 1
    assert f"InputError: {sentence}" in done.stderr


@pytest.mark.parametrize("model", TAKEN)
def test_layers_that_do_the_same_in_training(model, tmp_path):
    done = run("-c", CHECKED, "torch", model, cwd=tmp_path)
    assert "its layers are of Keras" in done.stdout, done.stderr
