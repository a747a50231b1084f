"""The textbooks' comparisons: what they train, and that they run."""

import pytest
from typer.testing import CliRunner

from thalweg import InputError
from thalweg.cli.main import app
from thalweg.studies.contenders import contenders
from thalweg.studies.examples import EXAMPLES, example
from thalweg.workloads.catalogue import workload_names


def settings(name):
    compared = contenders(example(name).optimizers, example(name).convention)
    return {c.recipe.name: c.recipe.resolve(dict(c.fixed)) for c in compared}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_optimizer_stands_at_one_setting(name):
    chosen = example(name)
    assert chosen.workload in workload_names()
    compared = contenders(chosen.optimizers, chosen.convention)
    assert all(c.recipe.convention == "keras" and len(c.configurations(None)) == 1 for c in compared)


@pytest.mark.parametrize(
    ("name", "optimizer", "expected"),
    [
        ("nine-on-fashion-mnist", "sgd", {"lr": 1e-3, "momentum": 0.0}),
        ("nine-on-fashion-mnist", "nesterov", {"lr": 1e-3, "momentum": 0.9, "nesterov": True}),
        ("nine-on-fashion-mnist", "adagrad", {"lr": 1e-3, "initial_accumulator_value": 0.1, "eps": 1e-7}),
        ("nine-on-fashion-mnist", "rmsprop", {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7}),
        ("nine-on-fashion-mnist", "nadam", {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "momentum_decay": 1.0}),
        ("nine-on-fashion-mnist", "adamw", {"lr": 1e-3, "weight_decay": 1e-5, "decoupled_weight_decay": True}),
        ("four-on-mnist-cnn", "adam", {"lr": 0.01, "eps": 1e-7}),
        ("four-on-mnist-cnn", "adadelta", {"lr": 1e-3, "rho": 0.95, "eps": 1e-7}),
        ("four-on-mnist-cnn", "adabound", {"lr": 1e-3, "final_lr": 0.1}),
    ],
)
def test_the_settings_of_the_textbooks(name, optimizer, expected):
    found = settings(name)[optimizer]
    assert {key: found[key] for key in expected} == expected


def test_unknown():
    with pytest.raises(InputError, match=r"Unknown example 'nine-on-fashion'\. Did you mean nine-on-fashion-mnist"):
        example("nine-on-fashion")


def test_the_list_and_a_run(data_dir, tmp_path):
    runner = CliRunner()
    assert "nine-on-fashion-mnist" in runner.invoke(app, ["example"]).stdout
    arguments = ["--data-dir", str(data_dir), "--steps", "1", "--seeds", "1", "--confirm-seeds", "0", "--no-progress"]
    done = runner.invoke(app, ["example", "nine-on-fashion-mnist", *arguments, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "adamw" in done.stdout
    assert "follow Keras's formulas and defaults" in done.stdout
