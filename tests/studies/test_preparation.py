"""Before the first step: said at once, counted, and no more than a model's size allows."""

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import thalweg
from problems import points, tiny
from scope import conformance_only
from small_rules import recipe_of
from thalweg.population.planning import memory
from thalweg.population.planning.inspection import inspect
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.planning.trial import FEW
from thalweg.population.program import gradients
from thalweg.population.training import job
from thalweg.population.training.job import Job
from thalweg.records.events import Event, Noted, Planned
from thalweg.rules.hyperparameters import Rate
from thalweg.studies import preparation
from thalweg.studies.budget import Pace, measure
from thalweg.studies.contenders import contenders
from thalweg.studies.design import Design

CPU = torch.device("cpu")
QUICK: dict[str, Any] = {
    "optimizers": ["sgd", "adam"], "learning_rates": [0.1], "seeds": 1, "confirm_seeds": 2, "progress": False,
}  # fmt: skip


def heavy(g: Any, p: Any, t: Any, *, lr: Rate = 0.1) -> Any:
    return (lr * g,)


class Counter(nn.Linear):
    """It counts its calls in Python."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program may be traced."""

    def refused(*_: Any) -> None:
        raise AssertionError("traced")

    monkeypatch.setattr(gradients.GradientProgram, "_trace", refused)


def test_the_first_line_comes_before_anything_is_checked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "thalweg")

    def model() -> nn.Module:
        said.append([record.message for record in caplog.records])
        return nn.Linear(6, 3)

    said: list[list[str]] = []
    thalweg.compare(tiny(model=model, epochs=1), **QUICK)
    assert said[0] == ["checking the model"]


def test_it_is_said_where_the_model_is_refused_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "thalweg")
    with pytest.raises(thalweg.InputError):
        thalweg.compare(tiny(model=lambda: nn.Linear(5, 3)), **QUICK)
    assert caplog.messages == ["checking the model"]


def test_the_way_round_a_population_is_told_everywhere(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the plan line, the runs, the verdict, the facts, what `show` reads and the report."""
    caplog.set_level(logging.INFO, "thalweg")
    result = thalweg.compare(tiny(model=Counter, epochs=1), out=tmp_path, **QUICK)
    why = "its code keeps state between calls (calls changes), which a traced program would freeze"
    line = next(message for message in caplog.messages if message.startswith("plan:"))
    assert line.endswith(f"; by the plain loop: {why}")
    assert {run.execution for run in result.runs} == {f"loop: {why}"}
    sentence = f"Runs were trained one by one, by the plain loop: {why}."
    assert result.verdict.endswith(sentence)
    assert thalweg.stored(tmp_path).verdict.endswith(sentence)
    assert result.facts()["plan"]["fallback"] == why
    assert sentence in (tmp_path / "report.html").read_text()


def test_a_fallback_that_shows_late_is_told_in_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)

    def disagrees(*_: Any) -> str:
        return "the loss"

    monkeypatch.setattr("thalweg.population.training.live.difference", disagrees)
    result = thalweg.compare(tiny(torch.float64, epochs=1), **QUICK)
    assert "by the plain loop: traced, the loss differs from the live model's at step 1." in result.verdict
    assert {run.execution for run in result.runs} == {"loop: traced, the loss differs from the live model's at step 1"}


@pytest.mark.parametrize(("limit", "said"), [("LARGE", "operations leaves"), ("LARGE_BYTES", "a model of 0 MB leaves")])
def test_a_large_model_is_not_traced(limit: str, said: str, untraced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains by the loop, which is no fallback: runs have nothing to share."""
    monkeypatch.setattr(job, limit, 10)
    planned_job = plan_job(tiny(), 0, device=CPU, workers=2)
    assert said in planned_job.plan.reason
    assert planned_job.plan.width == 1
    assert "fallback" not in planned_job.plan.describe()


def test_operations_are_counted_and_not_timed() -> None:
    """Of a batch of 16: forward two products, backward the same for each weight, and once for what lies between."""
    found, _ = inspect(Job(tiny(), CPU, frozenset()), 0)
    first, second = 2 * 16 * 6 * 16, 2 * 16 * 16 * 3
    assert found.operations == 2 * first + 3 * second
    assert found.model_bytes == 4 * (6 * 16 + 16 + 16 * 3 + 3)
    assert found.activation_bytes >= 4 * 16 * 16


@pytest.mark.parametrize("operations", [0, 2e10])
def test_the_pace_of_a_large_model_by_a_few_steps(operations: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many steps and samples as are needed, whatever the data's size."""
    monkeypatch.setattr(job, "LARGE_BYTES", 10)
    steps: list[int] = []
    called = nn.Linear.forward

    def noted(self: nn.Linear, x: Tensor) -> Tensor:
        steps.append(len(x))
        return called(self, x)

    workload = tiny(train=points(3300, 1, torch.float32), validation=points(3300, 2, torch.float32))
    planned_job = plan_job(workload, 0, device=CPU, workers=1)
    planned_job = replace(planned_job, job=replace(planned_job.job, operations=operations))
    monkeypatch.setattr(nn.Linear, "forward", noted)
    design = Design(contenders(["sgd", "adam"]), None, seeds=1, confirm_seeds=1, base_seed=0)
    pace = measure(planned_job, design)
    assert sum(steps) <= 2 * (16 * (5 + 3 * 2 + 2) + FEW)
    assert pace.per_step > 0
    assert pace.per_measurement == pytest.approx(pace.per_step * 3300 / (3 * 16))


def test_memory_has_no_room_for_a_check(untraced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "held", lambda: 1_000_000)
    monkeypatch.setattr(memory, "coming", lambda: 0)
    monkeypatch.setattr(memory, "CHECKED", 10)
    planned_job = plan_job(tiny(), 0, device=CPU, workers=1, memory=1_000_000 + 30_000)
    assert planned_job.plan.reason.startswith("checking whether runs can train at once needs")
    assert planned_job.plan.memory(10) <= 30_000


def test_a_budget_that_is_too_short_says_which_would_do() -> None:
    with pytest.raises(
        thalweg.InputError, match=r"too short for these optimizers: give at least [\d.]+ (s|min) more, or "
    ):
        thalweg.compare(tiny(), optimizers=["sgd", "adam"], budget=0.2, progress=False)


def test_what_checking_took_is_part_of_what_is_foreseen() -> None:
    expected = thalweg.compare(tiny(epochs=1), **QUICK, budget=60.0).study.plan["expected"]
    assert 0 < expected["preparing"] <= expected["seconds"]


class OnTerminal:
    """Somebody watches."""

    on_terminal = True

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, event: Event) -> None:
        self.said += [event.told] if isinstance(event, Planned | Noted) else []

    def close(self) -> None:
        pass


@pytest.mark.parametrize("asked", [{"budget": 60.0}, {"memory": "8GB"}, {"progress": True}, {}])
def test_how_long_it_takes_is_measured_where_it_is_asked_for(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By a budget, a limit on memory, or somebody at a terminal: nobody else waits for it."""
    caplog.set_level(logging.INFO, "thalweg")
    show = OnTerminal()
    monkeypatch.setattr("thalweg.reports.progress.Live", lambda: show)
    plan = thalweg.compare(tiny(epochs=1), **{**QUICK, **asked}).study.plan
    assert ("pace" in plan) is ("seconds" in plan["expected"]) is bool(asked)
    said = " ".join([*caplog.messages, *show.said])
    assert (" of checks, up to " in said) is ("budget" not in asked)  # the plan, before its time is measured
    assert (" of them for checks" in said) is bool(asked)


@conformance_only
def test_the_advice_after_an_error_names_what_must_be_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command where names are enough; a call with the objects where they are not."""
    from thalweg.api import running

    def fails(*_: Any) -> None:
        raise thalweg.InputError("The disk is full.")

    monkeypatch.setattr(running.Study, "run", fails)
    with pytest.raises(thalweg.InputError, match=r"thalweg resume 1 --out .*one\.$"):
        thalweg.compare("digits", out=tmp_path / "one", **QUICK)
    with pytest.raises(thalweg.InputError, match=r"thalweg\.resume\('.*two', 1, workload=…\) in Python\.$"):
        thalweg.compare(tiny(), out=tmp_path / "two", **QUICK)
    own = thalweg.Contender(recipe_of(heavy).preset, {}, {})
    with pytest.raises(thalweg.InputError, match=r"two', 2, workload=…, optimizers=\[…\]\) in Python\.$"):
        thalweg.compare(tiny(), out=tmp_path / "two", **{**QUICK, "optimizers": ["sgd", own]})


@pytest.mark.parametrize(("samples", "size"), [(65, 16), (17, 8)])
def test_a_last_batch_of_one_under_batch_norm_says_what_to_do(samples: int, size: int) -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))

    workload = tiny(model=model, train=points(samples, 1, torch.float32), batch_size=size)
    with pytest.raises(thalweg.InputError, match=r"last batch of an epoch holds one sample: .* batch_size"):
        thalweg.compare(workload, **QUICK)


@conformance_only
def test_a_model_that_is_large_by_its_embedding(untraced: None) -> None:
    """Few operations and 20 million parameters: a leaderboard of two optimizers, without a look at a population."""
    words = torch.randint(0, 500_000, (64, 3), generator=torch.Generator().manual_seed(0))

    def model() -> nn.Module:
        return nn.Sequential(nn.EmbeddingBag(500_000, 40), nn.Linear(40, 2))

    data = (words, words[:, 0] % 2)
    workload = thalweg.Workload(
        name="words", model=model, train=data, validation=data, loss=F.cross_entropy, epochs=1, batch_size=32
    )
    result = thalweg.compare(workload, **{**QUICK, "confirm_seeds": 0})
    assert len(result.rows) == 2
    assert {run.execution for run in result.runs} == {"loop: a model of 80 MB leaves runs nothing to share"}


@pytest.mark.parametrize("earned", [1, 10**9])
def test_native_code_is_for_studies_that_earn_it(earned: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of steps of all runs, which a clock does not change."""
    monkeypatch.setattr(preparation, "EARNED", earned)
    result = thalweg.compare(tiny(epochs=1), **QUICK)
    assert result.study.plan.get("program", "") == ("native" if earned == 1 else "")
    assert ("products" in result.study.plan) is (earned == 1)
    assert "not_native" not in result.study.plan


def test_the_plan_says_why_a_study_that_earns_it_has_no_native_code(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preparation, "EARNED", 1)
    caplog.set_level(logging.INFO)
    result = thalweg.compare(tiny(epochs=1, model=lambda: nn.Sequential(nn.RReLU(), nn.Linear(6, 3))), **QUICK)
    reason = "aten.rrelu_with_noise_functional.default draws what has no native form"
    assert result.study.plan["not_native"] == reason
    assert f"; not in native code: {reason}" in caplog.text


@pytest.mark.parametrize("budget", [None, 600.0])
def test_the_plan_is_told_before_its_time_is_measured(budget: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a budget may still cut it; what is told in the end does not repeat it."""
    told: list[str] = []

    def measured(*_: Any, **__: Any) -> Pace:
        told.append("measured")
        return Pace(1e-5, 1e-4, 1e-3)

    monkeypatch.setattr(preparation, "measure_all", measured)
    design = Design(contenders(["sgd"]), (0.1,), seeds=1, confirm_seeds=2, base_seed=0)
    told_while = {"shown": True, "tell": told.append}
    prepared = preparation.prepare(design, tiny(epochs=1), torch.device("cpu"), budget=budget, **told_while)  # type: ignore[arg-type]
    assert told[1:] == ["measured"]
    assert prepared.foreseen.startswith("plan: about 5 runs in ")
    if budget is None:
        assert told[0].startswith("plan: about 5 runs after ")
        assert told[0].endswith("; measuring the time it takes")
        assert re.fullmatch(r"time: about [\d.]+ s, [\d.]+ s of them for checks", prepared.told)
    else:
        assert told[0] == "measuring the pace"
        assert prepared.told == prepared.foreseen
