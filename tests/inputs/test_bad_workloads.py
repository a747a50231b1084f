"""Data, models, losses and metrics that are wrong in one way each: one sentence says which."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from broken_workloads import (
    X,
    Y,
    compared,
    each,
    exits,
    net,
    raises_in_evaluation,
    raises_on,
    with_value,
)  # fmt: skip

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
    "labels that the loss does not pass over": (
        {"train": (X, with_value(Y, 0, -1))}, r"such as -1, .* as its ignore_index, as torch.nn.CrossEntropyLoss",
    ),
    "labels of a loss object": (
        {"loss": nn.CrossEntropyLoss(), "metric": lambda o, t: 0.0, "train": (X, Y + 1)}, "train: 8 of the 24 labels",
    ),
    "one class": ({"train": (X, Y * 0)}, "train holds one class only, 0"),
    "NaN": ({"train": (with_value(X, (3, 1), np.nan), Y)}, "train: X holds NaN or infinity in 1 of its 24 samples"),
    "infinity in one split": ({"validation": (X * np.inf, Y)}, "validation: X holds NaN or infinity in 24 of its 24"),
    "NaN of a second input": ({"train": ((X, X * np.nan), Y)}, r"train: X\[1\] holds NaN or infinity"),
    "NaN in y": ({**REGRESSION, "train": (X, with_value(ONE, 3, np.nan))}, "train: y holds NaN or infinity in 1"),
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
    "a target shape that broadcasts": (
        {**REGRESSION, "train": (X, ONE[:, 0])}, r"shapes \[8, 1\] and \[8\], which torch would broadcast",
    ),
}  # fmt: skip

CODE = {
    "a factory that raises": ({"model": lambda: 1 / 0}, r"ZeroDivisionError: .*\(raised at .*_workloads.py:\d+\)"),
    "a factory with arguments": ({"model": nn.Linear}, "missing 2 required positional arguments"),
    "a factory that returns one model": ({"model": lambda: SHARED}, "must return a new model at every call"),
    "a factory that shares a layer": (
        {"model": lambda: nn.Sequential(SHARED, nn.Linear(3, 3))}, "must return a new model at every call",
    ),
    "a factory that draws its values elsewhere": ({"model": drawn_elsewhere}, "two calls differ in 'bias'"),
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
    "fails in evaluation": ({"model": net(raises_in_evaluation)}, r"not in evaluation \(raised at .*broken_.*py"),
    "fails on an epoch's last batch": ({"model": net(raises_on(8)), "batch_size": 16}, "no batches of 8"),
    "exits": ({"model": net(exits)}, r"SystemExit: 3 \(raised at .*broken_.*py"),
    "a loss of each sample": ({"loss": each}, r"real number .* got a float32 tensor of shape \[8\]; end it"),
    "a number as loss": ({"loss": lambda o, t: 1.0}, "got 1.0; return a tensor that gradients flow through"),
    "no loss": ({"loss": lambda o, t: None}, "got None; return a tensor"),
    "a whole number as loss": ({"loss": lambda o, t: o.argmax()}, r"got a int64 tensor of shape \[\]"),
    "a constant as loss": ({"loss": lambda o, t: torch.tensor(1.0)}, "depends on no parameter"),
    "a loss of one argument": ({"loss": lambda o: o.mean()}, "takes 1 positional argument but 2 were given"),
    "a loss of each sample, in evaluation": (
        {"loss": lambda o, t: F.cross_entropy(o, t) if len(t) == 8 else each(o, t)}, r"a float32 tensor of shape \[9\]",
    ),
    "a text as metric's value": ({"metric": lambda o, t: "1.5"}, "must return a number, got '1.5'"),
    "a metric of each sample": ({"metric": lambda o, t: o.argmax(1) == t}, "must return a number, got tensor"),
    "a huge metric": ({"metric": lambda o, t: 10**400}, "must return a number, got 1000"),
    "a vectorized metric of each class": (
        {"metric": thalweg.Metric("m", lambda o, t: o.sum(0), vectorized=True)}, "'m' must return a number, got tensor",
    ),
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
