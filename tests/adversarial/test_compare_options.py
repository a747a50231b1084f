"""Contenders and options at their limits: what trains is as by hand, what cannot is refused or ends alone."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from by_hand import compared, held, problem
from torch import Tensor, nn

import thalweg
from thalweg.cli.main import run as command


def linear() -> nn.Module:
    return nn.Linear(4, 1)


class Quiet(torch.optim.Optimizer):
    """It keeps what it knows outside of its state, and skips every other step."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})
        self.calls = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.calls += 1
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and self.calls % 2:
                    p.add_(p.grad, alpha=-group["lr"])


class Replaces(torch.optim.SGD):
    """It puts other memory under the parameters."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p.data = p.data - group["lr"] * p.grad


@pytest.mark.parametrize("kind", ["Quiet", "Replaces"])
def test_an_optimizer_of_the_users_that(kind: str) -> None:
    result = compared(problem(linear), [f"test_compare_options:{kind}"], learning_rates=[0.02])
    made = {"Quiet": Quiet, "Replaces": Replaces}[kind]
    workload = problem(linear)
    torch.manual_seed(0)
    model, order = workload.model(), torch.Generator().manual_seed(0)
    optimizer, losses = made(model.parameters(), lr=0.02), []
    for _ in range(3):
        for index in torch.randperm(40, generator=order).split(8):
            optimizer.zero_grad()
            workload.loss(model(workload.train.inputs[0][index]), workload.train.targets[index]).backward()
            optimizer.step()
        with torch.no_grad():
            losses.append(float(workload.loss(model(workload.validation.inputs[0]), workload.validation.targets)))
    assert [m.validation_loss for m in result.runs[0].curve] == pytest.approx(losses, rel=1e-9)


def test_contenders_that_are_the_same_under_two_labels() -> None:
    result = held(linear, optimizers=["sgd"], options={"seeds": 2, "confirm_seeds": 2})
    twice = compared(problem(linear), ["a=sgd", "b=sgd"], seeds=2, confirm_seeds=2)
    assert len(twice.rows) == 2
    by_label = {
        label: [run.curve for run in twice.runs if run.contender == label and run.role == "tuning"] for label in "ab"
    }
    assert by_label["a"] == by_label["b"]
    assert [c[-1].validation_loss for c in by_label["a"]] == pytest.approx(
        [run.curve[-1].validation_loss for run in result.runs if run.role == "tuning"], rel=1e-9
    )


@pytest.mark.parametrize("rates", [[1e30], [1e-300, 1e300], [0.02, 1e12]], ids=["huge", "both", "one huge"])
def test_rates_that_no_one_would_take(rates: list[float]) -> None:
    result = compared(problem(linear), learning_rates=rates, seeds=2, confirm_seeds=2)
    assert result.verdict
    assert result.leaderboard() is not None
    assert result.facts()


@pytest.mark.parametrize("name", ["SparseAdam", "LBFGS", "Rprop", "ASGD", "Adafactor"])
def test_a_class_of_torch_beside_sgd(name: str) -> None:
    try:
        result = compared(problem(linear), [f"torch.optim:{name}", "sgd"], learning_rates=[0.01])
    except thalweg.InputError as error:
        assert name in str(error)  # noqa: PT017
        return
    failed = [run for run in result.runs if run.failure]
    assert not failed or name in result.verdict


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 1e-3}, {"steps": 7}, {"epochs": 1}, {"seeds": 3}, {"base_seed": 2_147_483_647 - 1},
    ],
    ids=["a tiny norm", "steps in the middle of an epoch", "one epoch", "three seeds", "the last seed"],
)  # fmt: skip
def test_with(options: dict[str, Any]) -> None:
    if "steps" in options:
        result = compared(problem(linear), **options)
        assert {run.curve[-1].step for run in result.runs} == {7}
        return
    try:
        held(linear, options=options, **({"epochs": 1} if "epochs" in options else {}))
    except thalweg.InputError as error:
        assert "seed" in str(error)  # noqa: PT017


@pytest.mark.parametrize("every", [1, 3, 7, 100])
def test_it_is_measured_every_so_many_steps(every: int) -> None:
    result = compared(problem(linear, evaluate_every=every))
    plain = compared(problem(linear))
    for run, other in zip(result.runs, plain.runs, strict=True):
        assert run.curve[-1].validation_loss == pytest.approx(other.curve[-1].validation_loss, rel=1e-12)


@pytest.mark.parametrize("device", ["meta", "cuda:99", "fpga", "cpu:7", ""])
def test_a_device_that_is_none(device: str) -> None:
    if device == "cpu:7":
        compared(problem(linear), device=device)
        return
    with pytest.raises(thalweg.InputError):
        compared(problem(linear), device=device)


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "digits", "--device", "meta"],
        ["compare", "digits", "--memory", "1B"],
        ["compare", "digits", "--optimizers", "sgd(lr=nan)"],
        ["compare", "digits", "--learning-rates", "0"],
        ["compare", "digits", "--budget", "1ms", "--optimizers", "sgd"],
        ["compare", "digits", "--optimizers", "torch.nn:Linear"],
        ["compare", "digits", "--optimizers", "os:getcwd"],
        ["resume", "--out", "/nowhere"],
        ["show", "1", "--out", "/dev/null"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_command_that_cannot_be_done_says_so(
    arguments: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["thalweg", *arguments])
    with pytest.raises(SystemExit) as stop:
        command()
    said = capfd.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in said
    assert said.strip()


def test_a_model_that_fails_at_its_last_measurement_only(tmp_path: Path) -> None:
    """Each run ends with its reason; the study is kept."""

    class Breaks(nn.Linear):
        calls: Callable[[], int]

        def __init__(self) -> None:
            super().__init__(4, 1)
            self.n = 0

        def forward(self, x: Tensor) -> Tensor:
            self.n += self.training
            if self.n == 15 and not self.training:
                raise RuntimeError("worn out")
            return super().forward(x)

    with pytest.raises(thalweg.InputError, match="worn out"):
        compared(problem(Breaks), out=tmp_path)
    assert all("worn out" in run.failure for run in thalweg.stored(tmp_path).runs)
