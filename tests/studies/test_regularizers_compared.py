"""Regularizers as a dimension of a comparison: each run's penalties, limits and end are its own, however it trains."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from problems import points
from stopping import outcomes
from thalweg.errors import InputError
from thalweg.optim import grouped, regularized
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Trained
from thalweg.regularization.stopping import EarlyStopping
from thalweg.studies.contenders import Contender, contenders
from thalweg.studies.crossing import crossed
from thalweg.studies.regularized import read
from thalweg.studies.settings import design
from thalweg.workloads.workload import Workload

SAMPLES, SIZE, EPOCHS = 90, 30, 8
RATE = 0.1
LEVELS = ["none", "l2=1e-2", "max-norm=1", "early-stopping=2"]


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).double()


def workload_of(**given: Any) -> Workload:
    train, validation = points(SAMPLES, 1, torch.float64), points(60, 2, torch.float64)
    options = {"train": train, "validation": validation, "batch_size": SIZE, "epochs": EPOCHS, **given}
    return Workload(name="regularized", **{"model": model, **options})


def trained(chosen: list[Contender], execution: str, **given: Any) -> list[Trained]:
    workload, native = workload_of(**given), execution == "native"
    how: Any = "auto" if native else execution
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=how, native=native)
    assert (planned.plan.program == NATIVE) is native
    planned = replace(planned, job=replace(planned.job, keep_weights=True))
    members = [c.member({**c.fixed, c.recipe.rate: RATE}, 0, workload) for c in chosen]
    return outcomes(planned, members)


def by_hand(l1: float = 0.0, l2: float = 0.0, threshold: float = 0.0, largest: float = math.inf) -> nn.Module:
    """torch's SGD; the penalties of matrices alone are terms of the loss, and the rest is done after each step."""
    torch.manual_seed(0)
    net, generator = model(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9)
    x, y = points(SAMPLES, 1, torch.float64)
    for _ in range(EPOCHS):
        for batch in torch.randperm(SAMPLES, generator=generator).split(SIZE):
            optimizer.zero_grad()
            matrices = [p for p in net.parameters() if p.ndim == 2]
            loss = cross_entropy(net(x[batch]), y[batch])
            for p in matrices:
                loss = loss + l1 * p.abs().sum() + l2 / 2 * p.square().sum()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for p in matrices:
                    p.copy_(p.sign() * (p.abs() - RATE * threshold).clamp(min=0))
                    p *= (largest / p.norm(dim=1, keepdim=True)).clamp(max=1)
    return net


@pytest.mark.parametrize("execution", ["loop", "population", "native"])
def test_every_member_is_regularized_by_its_own(execution: str) -> None:
    texts = ["none", "l2=0.1", "l1=0.01+l2=0.05", "proximal-l1=0.05"]
    texts += ["max-norm=0.6"] if execution != "native" else []  # no program in native code has limits of norms
    runs = trained(crossed([Contender("momentum")], None, texts), execution)
    expected = [{}, {"l2": 0.1}, {"l1": 0.01, "l2": 0.05}, {"threshold": 0.05}, {"largest": 0.6}]
    for run, options in zip(runs, expected, strict=False):
        for name, p in by_hand(**options).named_parameters():
            torch.testing.assert_close(run.weights[name], p.detach(), rtol=1e-9, atol=1e-11)
    assert (runs[3].weights["0.weight"] == 0).any()
    assert not (runs[3].weights["0.bias"] == 0).any()


@pytest.mark.parametrize("execution", ["loop", "population"])
def test_the_regularization_loss_stands_apart(execution: str) -> None:
    chosen = crossed([Contender("momentum")], None, ["none", "l1=0.01+l2=0.05", "max-norm=0.6"])
    plain, run, limited = trained(chosen, execution)
    weights = [run.weights[name] for name in ("0.weight", "2.weight")]
    expected = sum(0.01 * p.abs().sum() + 0.05 / 2 * p.square().sum() for p in weights)
    assert run.curve[-1].details["regularization"] == pytest.approx(float(expected), rel=1e-9)
    assert "regularization" not in {**plain.curve[-1].details, **limited.curve[-1].details}
    x, y = points(60, 2, torch.float64)
    net = model()
    net.load_state_dict(dict(run.weights))
    with torch.no_grad():
        data = float(cross_entropy(net(x), y))
    assert run.curve[-1].validation_loss == pytest.approx(data, rel=1e-9)


def test_l2_is_twice_as_strong_by_keras() -> None:
    (run,) = trained(crossed([Contender("momentum", convention="keras")], None, ["l2=0.05"]), "population")
    torch.manual_seed(0)
    plain = trained(crossed([Contender("momentum")], None, ["l2=0.1"]), "population")[0]
    details = [r.curve[-1].details["regularization"] for r in (run, plain)]
    torch.testing.assert_close(run.weights["0.weight"], plain.weights["0.weight"], rtol=1e-6, atol=1e-6)
    assert details[0] == pytest.approx(details[1], rel=1e-4)


@pytest.mark.parametrize("execution", ["loop", "population", "native"])
def test_some_members_stop_early_and_others_do_not(execution: str) -> None:
    chosen = crossed([Contender("adam")], None, ["none", "early-stopping=2"])
    plain, stopped = trained(chosen, execution, epochs=40)
    assert (plain.stopped_at, plain.restored_from) == (None, None)
    alone = trained([Contender("adam")] * 2, execution, epochs=40)[0]
    for run in (plain, stopped):  # a member's place in a product may change its last digit
        expected = [m.validation_loss for m in alone.curve][: len(run.curve)]
        assert [m.validation_loss for m in run.curve] == pytest.approx(expected, rel=1e-9)
    assert stopped.stopped_at == stopped.curve[-1].step < plain.curve[-1].step
    best = max(stopped.curve, key=lambda m: (m.validation_metric, -m.step))
    assert stopped.restored_from == best.step
    assert len(plain.curve) == len(alone.curve)
    assert plain.train_metric == pytest.approx(alone.train_metric)


@pytest.mark.parametrize(
    ("given", "values", "stopping"),
    [
        ("l2=1e-4", {"l2": 1e-4}, None),
        (" max-norm = 1 ", {"max_norm": 1.0}, None),
        ("l1=1e-5+l2=1e+2", {"l1": 1e-5, "l2": 100.0}, None),
        ("unit-norm+non_negative", {"unit_norm": True, "non_negative": True}, None),
        ("early-stopping", {}, EarlyStopping(5)),
        ("early-stopping=3+l2=1e-4", {"l2": 1e-4}, EarlyStopping(3)),
        ("early-stopping(patience=3,least_improvement=0.01)", {}, EarlyStopping(3, 0.01)),
        ({"l1": 1e-5, "max-norm": 2}, {"l1": 1e-5, "max_norm": 2.0}, None),
        (EarlyStopping(4), {}, EarlyStopping(4)),
    ],
)
def test_texts(given: Any, values: dict[str, Any], stopping: EarlyStopping | None) -> None:
    found = read(given)
    assert found is not None
    assert (dict(found.values), found.early_stopping) == (values, stopping)
    again = read(found.text)
    assert again is not None
    assert (again.values, again.early_stopping) == (found.values, found.early_stopping)


@pytest.mark.parametrize(
    ("regularizers", "sentence"),
    [
        (["l3=1"], "No regularizer is called 'l3'"),
        (["l2"], "The regularizer l2 must be a number above 0 .*, got nothing"),
        (["l2=-1"], "The regularizer l2 must be .* got '-1'"),
        (["l2=0"], "The regularizer l2 must be .* got '0'"),
        (["unit-norm=3"], "The regularizer unit-norm has no value, got '3'"),
        (["early-stopping=0"], "The regularizer early-stopping must be .* got '0'"),
        (["l2=1e-4", "l2=1e-4"], "The regularizer 'l2=1e-4' stands twice"),
        (["l2=1e-4+l2=1e-3"], "has l2 twice"),
        ([7], "A regularizer must be a text such as 'l2=1e-4' or 'none'"),
        (["unit-norm+max-norm=1"], "unit_norm sets every norm to 1"),
    ],
)
def test_bad_regularizers_are_refused(regularizers: list[Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        crossed(contenders("sgd"), None, regularizers)


def test_what_contradicts_an_optimizer_is_refused() -> None:
    with pytest.raises(InputError, match=r"sgd\(l2=0.1\) has 'l2' of its own, and regularizers are given for all"):
        crossed(contenders("sgd(l2=0.1)"), None, ["l2=1e-4"])
    with pytest.raises(InputError, match=r"torch\.optim:SGD is another library's, and l2=1e-4 is composed around"):
        crossed(contenders("torch.optim:SGD"), None, ["l2=1e-4"])
    with pytest.raises(InputError, match=r"sgd \+ early-stopping stops early, and early_stopping is given for all"):
        thalweg.compare(workload_of(), "sgd", regularizers="early-stopping", early_stopping=3, progress=False)
    (contender,) = crossed(contenders("torch.optim:SGD"), None, ["early-stopping=3"])
    assert contender.early_stopping == EarlyStopping(3)


@pytest.mark.parametrize("out", [False, True])
def test_a_comparison_by_regularizers(out: bool, tmp_path: Path) -> None:
    given: dict[str, Any] = {"learning_rates": [0.03, 0.1], "seeds": 2, "confirm_seeds": 3, "progress": False}
    where = {"out": tmp_path} if out else {}
    result = thalweg.compare(workload_of(), "sgd,adam", regularizers=",".join(LEVELS), **given, **where)
    facts = json.loads(json.dumps(result.facts()["regularizers"]))
    assert len(facts["cells"]) == 8
    assert {cell["regularizer"] for cell in facts["cells"]} == {*LEVELS}
    assert {cell["optimizer"] for cell in facts["cells"]} == {"sgd", "adam"}
    assert all((cell["gain"] is None) == (cell["regularizer"] == "none") for cell in facts["cells"])
    tuned = {
        name: sum(r.role == "tuning" for r in result.runs if r.contender == name) for name in result.study.contenders
    }
    assert set(tuned.values()) == {4}  # each combination under the same cap
    defaults = next(r for r in result.runs if r.contender == "adam + l2=1e-2" and r.role == "defaults")
    assert defaults.hyperparameters == {"l2": 1e-2, "lr": 1e-3}
    assert any("adam + l2=1e-2" in note and "divides out" in note for note in result.study.notes)
    result.save_report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 'id="regularizers"' in page
    assert "A run of sgd + early-stopping=2 ended after" in page
    restored = design(result.study, None).contenders
    assert [(c.label, c.regularizer, c.fixed, c.recipe) for c in restored] == [
        (c.label, c.regularizer, c.fixed, c.recipe) for c in crossed(contenders("sgd,adam"), None, LEVELS)
    ]
    if out:
        again = thalweg.resume(tmp_path, workload=workload_of(), progress=False)
        assert again.facts()["regularizers"] == result.facts()["regularizers"]


def test_the_code_gives_the_penalty_to_weights_alone() -> None:
    given: dict[str, Any] = {"learning_rates": [0.1], "seeds": 1, "confirm_seeds": 2, "progress": False}
    result = thalweg.compare(workload_of(), "sgd", regularizers=["l2=1e-2"], **given)
    assert result.best is not None
    assert result.best.code() == (
        "thalweg.optim.SGD(thalweg.optim.grouped(model, thalweg.optim.undecayed(model, 'l2')), lr=0.1, l2=0.01)"
    )


@pytest.mark.parametrize("execution", ["loop", "population"])
def test_rules_of_a_workload_choose_parameters(execution: str) -> None:
    """One spelling: `regularized` for `grouped`, and for `Workload(parameters=…)`, limits of norms included."""
    given = {"parameters": lambda net: regularized(net, "0.*", l2=0.1, max_norm=0.5)}
    (run,) = trained([Contender("momentum")], execution, **given)
    torch.manual_seed(0)
    net, generator = model(), torch.Generator().manual_seed(0)
    optimizer = thalweg.optim.SGD(grouped(net, regularized(net, "0.*", l2=0.1, max_norm=0.5)), lr=RATE, momentum=0.9)
    x, y = points(SAMPLES, 1, torch.float64)
    for _ in range(EPOCHS):
        for batch in torch.randperm(SAMPLES, generator=generator).split(SIZE):
            optimizer.zero_grad()
            cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    for name, p in net.named_parameters():
        torch.testing.assert_close(run.weights[name], p.detach(), rtol=1e-9, atol=1e-11)
    assert run.weights["0.weight"].norm(dim=1).max() <= 0.5 + 1e-12
    assert run.weights["2.weight"].norm(dim=1).max() > 0.5


def test_transposed_convolutions_are_told() -> None:
    def deconvolving() -> nn.Module:
        return nn.Sequential(nn.Unflatten(1, (6, 1)), nn.ConvTranspose1d(6, 3, 1), nn.Flatten()).double()

    given: dict[str, Any] = {"learning_rates": [0.1], "seeds": 1, "confirm_seeds": 0, "progress": False}
    result = thalweg.compare(workload_of(model=deconvolving), "sgd", regularizers="none,max-norm=1", **given)
    assert "sgd + max-norm=1: the norms limited in 1, transposed, are of the weights of an input." in result.study.notes
