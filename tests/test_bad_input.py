"""What was found wrong, each as one sentence in its place: bad data, models, losses, metrics, options, files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from hostile import (
    QUICK,
    X,
    Y,
    compared,
    each,
    exits,
    later,
    net,
    raises_in_evaluation,
    raises_on,
    with_value,
    workload,
)  # fmt: skip
from thalweg.cli.reading import checked
from thalweg.errors import shown
from thalweg.options import declared
from thalweg.records.store import Store
from thalweg.studies.notation import split

SHARED = nn.Linear(4, 3)
ONE = torch.ones(24, 1)
REGRESSION = {"model": lambda: nn.Linear(4, 1), "loss": F.mse_loss, "metric": "mse", "test": None}
ELSEWHERE = np.random.default_rng(3)


def drawn_elsewhere() -> nn.Module:
    model = nn.Linear(4, 3)
    nn.init.constant_(model.bias, ELSEWHERE.random())
    return model


DATA = {
    "labels above the classes": ({"train": (X, Y + 1)}, r"train: 8 of the 24 labels lie outside of 0 to 2, such as 3"),
    "labels below zero": ({"train": (X, Y - 1)}, r"train: 8 of the 24 labels lie outside of 0 to 2, such as -1"),
    "one label that no first batch holds": (
        {"train": (X, with_value(Y, 23, 7))}, "train: 1 of the 24 labels lie outside of 0 to 2, such as 7",
    ),
    "labels of validation": ({"validation": (X[:9], Y[:9] + 10**9)}, "validation: 9 of the 9 labels lie outside"),
    "labels of test, which would be read after all tuning": (
        {"test": (X[:9], Y[:9] + 1)}, "test: 3 of the 9 labels lie outside",
    ),
    "ignored labels, which accuracy counts wrong": ({"train": (X, with_value(Y, 0, -100))}, "such as -100"),
    "labels of a loss object": (
        {"loss": nn.CrossEntropyLoss(), "metric": lambda o, t: 0.0, "train": (X, Y + 1)}, "train: 8 of the 24 labels",
    ),
    "one class": ({"train": (X, Y * 0)}, "train holds one class only, 0"),
    "NaN": ({"train": (with_value(X, (3, 1), np.nan), Y)}, "train: X holds NaN or infinity in 1 of its 24 samples, fir"),
    "infinity in one split": ({"validation": (X * np.inf, Y)}, "validation: X holds NaN or infinity in 24 of its 24"),
    "NaN of a second input": ({"train": ((X, X * np.nan), Y)}, r"train: X\[1\] holds NaN or infinity"),
    "NaN in y": ({**REGRESSION, "train": (X, with_value(ONE, 3, np.nan))}, "train: y holds NaN or infinity in 1 of its"),
    "no features": ({"train": (X[:, :0], Y)}, r"train: X of shape \[24, 0\] holds no values"),
    "sparse": ({"train": (X.to_sparse(), Y)}, "train: X must be a dense tensor"),
    "no values at all": ({"train": (X.to("meta"), Y)}, "train: X must be a dense tensor that holds its values"),
    "texts": ({"train": (np.array(["a"] * 24), Y)}, "got ndarray .of dtype <U1: convert it to numbers"),
    "objects": ({"train": (np.array([object()] * 24), Y)}, "got ndarray .of dtype object: convert it to numbers"),
    "a table of texts": ({"train": (pd.DataFrame({"a": ["b"] * 24}), Y)}, "convert it to numbers"),
    "another number of inputs": ({"validation": ((X, X), Y)}, "validation has 2 inputs and train has 1"),
    "another width": ({"test": (torch.randn(9, 5), Y[:9])}, r"\(in test, X is float32 \[8, 5\]"),
    "float64 arrays for a float32 model": (
        {"train": (X.double().numpy(), Y)}, "X is float64 .* the parameters float32: convert X to float32",
    ),
    "classes in floating point": ({"train": (X, Y.float())}, r"in train, X is .*, y float32 \[8\]"),
    "a target shape that broadcasts": ({**REGRESSION, "train": (X, ONE[:, 0])}, "Using a target size"),
}  # fmt: skip

CODE = {
    "a factory that raises": ({"model": lambda: 1 / 0}, r"ZeroDivisionError: .*\(raised at .*test_bad_input.py:\d+\)"),
    "a factory with arguments": ({"model": nn.Linear}, "missing 2 required positional arguments"),
    "a factory that returns one model": ({"model": lambda: SHARED}, "must return a new model at every call"),
    "a factory that shares a layer": (
        {"model": lambda: nn.Sequential(SHARED, nn.Linear(3, 3))}, "must return a new model at every call",
    ),
    "a factory that draws its values elsewhere": ({"model": drawn_elsewhere}, "of one seed, two calls differ in 'bias'"),
    "a factory that draws its sizes elsewhere": (
        {"model": lambda: nn.Linear(4, int(ELSEWHERE.integers(5, 10**6)))}, "must return the same architecture",
    ),
    "a lazy layer": ({"model": lambda: nn.LazyLinear(3)}, "lazy layers know their sizes"),
    "no memory for the model": ({"model": lambda: nn.Linear(10**8, 10**8)}, "There is not enough memory for one run"),
    "a model that holds no values": ({"model": lambda: nn.Linear(4, 3, device="meta")}, "cannot be trained"),
    "no parameters": ({"model": nn.Identity}, "has no parameters that require a gradient"),
    "frozen parameters": ({"model": lambda: nn.Linear(4, 3).requires_grad_(False)}, "has no parameters that require"),
    "complex parameters": (
        {"model": lambda: nn.Linear(4, 3, dtype=torch.complex64)}, "'weight' .* must be of a real floating-point dtype",
    ),
    "detached outputs": ({"model": net(lambda m, x: m.layer(x).detach())}, "depends on no parameter"),
    "no outputs": ({"model": net(lambda m, x: None)}, "must return a tensor, or several, got NoneType"),
    "fails in evaluation": ({"model": net(raises_in_evaluation)}, r"not in evaluation \(raised at .*hostile.py"),
    "fails on an epoch's last batch": ({"model": net(raises_on(8)), "batch_size": 16}, "no batches of 8"),
    "exits": ({"model": net(exits)}, r"SystemExit: 3 \(raised at .*hostile.py"),
    "a loss of each sample": ({"loss": each}, r"real number as a tensor, .* got a float32 tensor of shape \[8\]; end it"),
    "a number as loss": ({"loss": lambda o, t: 1.0}, "got 1.0; return a tensor that gradients flow through"),
    "no loss": ({"loss": lambda o, t: None}, "got None; return a tensor"),
    "a whole number as loss": ({"loss": lambda o, t: o.argmax()}, r"got a int64 tensor of shape \[\]"),
    "a constant as loss": ({"loss": lambda o, t: torch.tensor(1.0)}, "depends on no parameter"),
    "a loss of one argument": ({"loss": lambda o: o.mean()}, "takes 1 positional argument but 2 were given"),
    "a loss of each sample, in evaluation": (
        {"loss": lambda o, t: F.cross_entropy(o, t) if len(t) == 8 else each(o, t)}, r"got a float32 tensor of shape \[9\]",
    ),
    "a text as metric's value": ({"metric": lambda o, t: "1.5"}, "must return a number, got '1.5'"),
    "a metric of each sample": ({"metric": lambda o, t: o.argmax(1) == t}, "must return a number, got tensor"),
    "a huge metric": ({"metric": lambda o, t: 10**400}, "must return a number, got 1000"),
    "a vectorized metric of each class": (
        {"metric": thalweg.Metric("m", lambda o, t: o.sum(0), vectorized=True)}, "'m' must return a number, got tensor",
    ),
    "a metric that writes into y": ({"metric": lambda o, t: t.zero_().sum()}, "changes y in place"),
    "a name of two lines": ({"name": "a\nb"}, "name must be a text of one line"),
    "a name that cannot be encoded": ({"name": "a\ud800"}, "name must be a text of one line"),
    "endless steps": ({"steps": 10**12}, "steps must be a whole number from 1 to 1,000,000,000, got 1000000000000"),
    "endless epochs": ({"epochs": 10**30}, "epochs must be a whole number from 1 to 1,000,000, got 1000"),
    "endless measurements": ({"steps": 10**9, "evaluate_every": 1}, "be measured 1,000,000 times, and this one"),
    "a huge batch": ({"batch_size": 10**30}, "batch_size must be a whole number from 1 to"),
    "a huge target": ({"target": 10**400}, "target must be a finite number, got 1000"),
    "a flag as target": ({"target": True}, "target must be a finite number, got True"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), [*DATA.values(), *CODE.values()], ids=[*DATA, *CODE])
def test_a_workload_that_is_wrong(changes: dict[str, Any], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(changes)
    assert "Traceback" not in capfd.readouterr().err


OPTIONS = {
    "a rate that is a text": (
        {"optimizers": ["adam(lr='a')"]},
        "A learning rate must be a positive finite number, got",
    ),
    "a rate that is None": ({"optimizers": ["adam(lr=None)"]}, "A learning rate must be a positive finite number"),
    "a rate of zero": ({"optimizers": ["sgd(lr=0)"]}, "A learning rate must be a positive finite number, got 0"),
    "a whole number beyond floats": ({"optimizers": [f"adam(eps={'9' * 400})"]}, "'eps' must be a finite number"),
    "deep nesting": ({"optimizers": ["adam(lr=" + "-" * 50_000 + "1)"]}, "Cannot read"),
    "a value twice": ({"optimizers": ["adam(lr=1,lr=2)"]}, "Cannot read"),
    "called twice, the first call unread": ({"optimizers": ["adam(lr=1)(beta1=0.5)"]}, "Cannot read"),
    "a set as value": ({"optimizers": ["torch.optim:SGD(foreach={1,2})"]}, "'foreach' must be a finite number, a text"),
    "a complex value": ({"optimizers": ["torch.optim:SGD(maximize=1j)"]}, "'maximize' must be a finite number"),
    "an infinite value": ({"optimizers": ["torch.optim:SGD(momentum=1e999)"]}, "'momentum' must be a finite number"),
    "a title of two lines": ({"optimizers": ["a\nb=adam"]}, "name or title must be a text of one line"),
    "a title that cannot be encoded": ({"optimizers": ["a\ud800=adam"]}, "name or title must be a text of one line"),
    "a set of optimizers": ({"optimizers": {"sgd"}}, "optimizers must be a list of names or Contenders"),
    "a huge rate": ({"learning_rates": [10**400]}, "learning_rates must be a list of positive finite numbers"),
    "a number that Python does not print": ({"seeds": 10**5000}, "seeds must be .* got a value of type int"),
    "one hyperparameter to tune": ({"tune": 3, "learning_rates": None}, "tune must be a list"),
    "seeds that reach the confirmation seeds": ({"seeds": 1001}, "seeds must be a whole number from 1 to 1,000"),
    "a seed beyond the sampler's": ({"base_seed": 2**32}, "base_seed must be a whole number from 0 to 2,147,483,647"),
    "endless trials": ({"trials": 10**12}, "trials must be a whole number from 1 to 10,000"),
    "a huge norm": ({"clip_norm": 10**400}, "clip_norm must be a positive finite number"),
    "a budget without unit": (
        {"budget": "90"},
        'budget must be a time such as "90s", "10min" or "1.5h", or a positive',
    ),
    "more runs than can be kept": (
        {"seeds": 1000, "learning_rates": [0.001 * k for k in range(1, 1001)], "optimizers": ["sgd", "adam"]},
        "would train 2,000,004 models, and at most 1,000,000",
    ),
    "no path": ({"out": 3}, "out must be the path of a directory"),
    "a path with a NUL": ({"out": "a\0b"}, "out must be the path of a directory"),
    "a path that is too long": ({"out": "/tmp/" + "a" * 5000}, "out must be the path of a directory"),
    "a file as directory": ({"out": __file__}, "out must be the path of a directory"),
    "a device that holds nothing": ({"device": "meta"}, "device 'meta' cannot be used"),
    "a device of no module": ({"device": "hpu"}, "device 'hpu' cannot be used"),
    "no device": ({"device": None}, "device must be a text"),
    "progress as text": ({"progress": "no"}, "progress must be True or False, got 'no'"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_an_option_that_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        compared(**options)


@pytest.mark.parametrize("given", [3, None, ["digits"], nn.Linear(4, 3)])
def test_what_is_no_workload(given: Any) -> None:
    with pytest.raises(thalweg.InputError, match=r"workload must be a thalweg\.Workload or a built-in one's name"):
        thalweg.compare(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fixed": 3}, "fixed must be a dict"),
        ({"fixed": {3: 4}}, "fixed must be a dict"),
        ({"space": 3}, "space must be a dict"),
        ({"space": {"beta1": range(10**12)}}, "at most 10,000 combinations"),
        ({"space": {"lr": ["a"]}}, "A learning rate must be"),
        ({"title": ""}, "name or title must be a text"),
    ],
)
def test_a_contender_that_is_wrong(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(thalweg.InputError, match=message):
        thalweg.Contender("adam", **arguments)


ACCEPTED = {
    "a batch larger than the data": {"batch_size": 10**9},
    "an array that runs backwards": {"train": (X.numpy()[::-1], Y)},
    "an array in the other byte order": {"train": (X.numpy().astype(">f4"), Y)},
    "a table and a column whose index has gaps": {
        "train": (pd.DataFrame(X.numpy()), pd.Series(Y.numpy(), index=range(100, 124)))
    },
    "a loss of shape [1]": {"loss": lambda o, t: F.cross_entropy(o, t)[None]},
    "float64": {"model": lambda: nn.Linear(4, 3, dtype=torch.float64), "train": (X.double(), Y), "test": None,
                "validation": (X.double(), Y)},
    "float16": {"model": lambda: nn.Linear(4, 3, dtype=torch.float16), "train": (X.half(), Y), "test": None,
                "validation": (X.half(), Y)},
    "uint8 classes": {"train": (X, Y.byte()), "validation": (X, Y.byte()), "test": None},
    "ignored labels under another metric": {
        "train": (X, with_value(Y, 0, -100)), "metric": lambda o, t: float((o.argmax(1) == t).float().mean())
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_unusual_and_right(changes: dict[str, Any]) -> None:
    assert all(run.diverged_at is None for run in compared(changes).runs)


def test_an_array_that_may_not_be_written() -> None:
    array = X.numpy().copy()
    array.setflags(write=False)
    assert torch.equal(workload(train=(array, Y)).train.inputs[0], X)


def test_a_model_that_writes_into_its_inputs_leaves_the_data_alone() -> None:
    """In evaluation it wrote into the validation split itself, which drifted from measurement to measurement."""
    problem = workload(model=net(lambda m, x: m.layer(x.add_(1))), epochs=2)
    before = problem.validation.inputs[0].clone()
    thalweg.compare(problem, **QUICK)
    assert torch.equal(problem.validation.inputs[0], before)


def test_a_validation_split_of_one_class_is_noted() -> None:
    result = compared({"validation": (X[:9], Y[:9] * 0)})
    assert any("validation split holds one class only" in note for note in result.study.notes)


def test_exit_in_a_worker_does_not_leave_the_study_waiting() -> None:
    with pytest.raises(thalweg.InputError, match="SystemExit: 3"):
        compared({"model": net(later(SystemExit(3), 60)), "epochs": 200})


def test_an_error_at_a_late_step_keeps_the_runs_that_finished(tmp_path: Path) -> None:
    steps = {"count": 0}

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        steps["count"] += 1
        if steps["count"] > 4000:
            raise ValueError("the 4,001st loss")
        return F.cross_entropy(outputs, targets) + 0 * float(outputs.sum())  # float(): the plain loop

    with pytest.raises(thalweg.InputError, match="the 4,001st loss"):
        compared({"loss": loss, "epochs": 20}, seeds=200, confirm_seeds=0, out=tmp_path)
    store = Store(tmp_path / "study.sqlite")
    assert 0 < len(store.runs(1)) < 200
    store.close()


@pytest.mark.parametrize("rate", [5e-324, 1e-30, 1e38, 1e308])
def test_rates_beyond_float32_are_no_fault_of_the_workload(rate: float) -> None:
    assert len(compared(learning_rates=[rate], confirm_seeds=0).runs) == 1


def test_lists_among_hyperparameters_are_kept_as_tuples() -> None:
    result = compared(optimizers=["torch.optim:Adam(betas=[0.9, 0.99])"], confirm_seeds=0)
    assert result.runs[0].hyperparameters["betas"] == (0.9, 0.99)


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    result = compared(seeds=np.int64(1), learning_rates=np.array([0.1]), clip_norm=torch.tensor(1.0))
    json.dumps(result.facts(), allow_nan=False)


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(thalweg.InputError, match=r"report\.html cannot be written: Is a directory"):
        compared(out=tmp_path)
    store = Store(tmp_path / "study.sqlite")
    assert len(store.runs(1)) == 3
    store.close()


def test_commas_inside_parentheses_do_not_split() -> None:
    assert split("a, adam(lr=1, betas=(0.9, 0.99)),b") == ["a", "adam(lr=1, betas=(0.9, 0.99))", "b"]


def test_a_long_list_of_commas_takes_no_time() -> None:
    with pytest.raises(thalweg.InputError, match="--optimizers must be names with commas between them"):
        checked(declared.OPTIMIZERS, "," * 1_000_000)


def test_messages_stay_on_one_line() -> None:
    assert shown(torch.zeros(100, 100)).endswith("…")
    assert "\n" not in shown(torch.zeros(3, 3))
