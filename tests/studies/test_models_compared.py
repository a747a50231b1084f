"""Arguments of the model as a dimension: every contender trains its own model, as that model alone would train."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import thalweg
from problems import points
from thalweg.errors import InputError
from thalweg.records.store import Store
from thalweg.reports.command import command
from thalweg.reports.factor_matrices import BY_MODEL
from thalweg.studies.contenders import Contender, contenders
from thalweg.studies.crossing import crossed
from thalweg.studies.jobs import Jobs, with_arguments
from thalweg.studies.settings import design
from thalweg.studies.training import Trainer
from thalweg.studies.varied import varied
from thalweg.workloads.mlp import MLP
from thalweg.workloads.workload import Workload

RATES = [0.03, 0.1]
ASKED: dict[str, Any] = {"learning_rates": RATES, "seeds": 2, "confirm_seeds": 2, "progress": False}
LEVELS = [{"init": "he-normal"}, {"init": "glorot-uniform"}]


def model(init: str = "he-normal", dropout: float = 0.0, width: int = 8) -> nn.Module:
    return MLP((6, width, 3), init, dropout=dropout).double()


def workload_of(**given: Any) -> Workload:
    train, validation = points(90, 1, torch.float64), points(60, 2, torch.float64)
    options = {"model": model, "train": train, "validation": validation, "batch_size": 30, "epochs": 4, **given}
    return Workload(name="varied", **options)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("init=he-normal,glorot-uniform", LEVELS),
        (["init=he-normal", "glorot-uniform"], LEVELS),
        ({"init": ["he-normal", "glorot-uniform"]}, LEVELS),
        ({"init": "he-normal"}, LEVELS[:1]),
        (
            "dropout=0,0.2,batch-norm=true,False",
            [
                {"dropout": 0, "batch_norm": True}, {"dropout": 0, "batch_norm": False},
                {"dropout": 0.2, "batch_norm": True}, {"dropout": 0.2, "batch_norm": False},
            ],
        ),
        ("hidden=(50,50),(100,)", [{"hidden": (50, 50)}, {"hidden": (100,)}]),
    ],
)  # fmt: skip
def test_values_as_written(given: Any, found: list[dict[str, Any]]) -> None:
    assert varied(given) == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("he-normal", "vary must be as in init=he-normal,glorot-uniform"),
        ("init=", "vary must be as in"),
        ("init=a,,b", "vary must be as in"),
        ("1x=2", "vary names arguments of the model"),
        ("init=a,dropout=0,init=b", "vary has init twice"),
        ("init=a,a", "vary has init=a twice; name each value once"),
        ("dropout=0.1,0.10", "vary has dropout=0.1 twice"),
        (f"width={','.join(map(str, range(51)))}", "at most 50 combinations, got 51"),
        ({"init": []}, "The space of 'init' must be a list of values"),
        ([3], "vary must be as in"),
    ],
)
def test_what_is_malformed_is_refused(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        varied(given)


def test_contenders_are_crossed_with_models() -> None:
    found = crossed(contenders("sgd,adam"), None, ["none", "dropout=0.5"], vary="init=he-normal,glorot-uniform")
    assert [c.label for c in found][:4] == [
        "sgd + init=he-normal", "sgd + init=glorot-uniform",
        "sgd + dropout=0.5 + init=he-normal", "sgd + dropout=0.5 + init=glorot-uniform",
    ]  # fmt: skip
    assert found[2].arguments == (("dropout", 0.5), ("init", "he-normal"))
    assert found[2].factors == {"optimizer": "sgd", "regularizer": "dropout=0.5", "model": "init=he-normal"}


def test_an_argument_is_set_once() -> None:
    with pytest.raises(InputError, match=r"sgd \+ dropout=0\.5 sets the model's dropout, and vary does for all"):
        crossed(contenders("sgd"), None, ["dropout=0.5"], vary="dropout=0,0.2")
    with pytest.raises(InputError, match=r"The model's dropout is set by the regularizer dropout=0\.5 and apart"):
        Contender("sgd", regularizer="dropout=0.5", model={"dropout": 0.1})


@pytest.mark.parametrize("text", ["dropout", "dropout=0", "dropout=1", "dropout=-0.1", "dropout=nan", "dropout=x"])
def test_a_regularizing_dropout_is_above_0(text: str) -> None:
    with pytest.raises(InputError, match=r"The regularizer dropout must be a number in \(0, 1\)"):
        Contender("sgd", regularizer=text)


def no_arguments() -> nn.Module:
    return model()


def any_arguments(**_: Any) -> nn.Module:
    return model()


@pytest.mark.parametrize(
    ("workload", "vary", "said"),
    [
        (
            {"model": no_arguments},
            "init=he-normal",
            r"'varied' takes no arguments, and init is one: write its factory as",
        ),
        ({}, "activation=relu", "'varied' takes dropout, init and width, and not 'activation'"),
        ({}, "widht=3", r"Did you mean width\?"),
        ({}, "init=he", "No initialization is called 'he'"),
        (
            {"model": any_arguments},
            "width=3,4",
            r"width=3 and width=4 make the same model: its factory leaves them unused",
        ),
        ({"initial": model().state_dict()}, "init=he-normal,he-uniform", "or weights to start from take their place"),
    ],
)
def test_models_that_do_not_vary_are_refused(workload: dict[str, Any], vary: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        thalweg.compare(workload_of(**workload), "sgd", vary=vary, **ASKED)


def test_a_regularizing_dropout_needs_the_argument() -> None:
    with pytest.raises(InputError, match="takes no arguments, and dropout is one"):
        thalweg.compare(workload_of(model=no_arguments), "sgd", regularizers="none,dropout=0.5", **ASKED)


def scores(result: Any, contender: str) -> list[Any]:
    return [(r.seed, r.role, r.hyperparameters, r.validation_metric, r.curve[-1].validation_loss)
            for r in result.runs if r.contender == contender]  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("models")
    result = thalweg.compare(
        workload_of(), "sgd,adam", regularizers="none,dropout=0.5", vary="width=4,8", out=out, **ASKED
    )
    return result, out


@pytest.mark.parametrize(("width", "dropout"), [(4, 0.0), (8, 0.5)])
def test_each_model_trains_as_in_a_study_of_its_own(compared: Any, width: int, dropout: float) -> None:
    own = workload_of(model=partial(model, width=width, dropout=dropout))
    alone = thalweg.compare(own, "sgd,adam", **ASKED)
    for name in ("sgd", "adam"):
        label = f"{name}{' + dropout=0.5' if dropout else ''} + width={width}"
        ours, theirs = scores(compared[0], label), scores(alone, name)
        assert [a[:3] for a in ours] == [b[:3] for b in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert a[3:] == pytest.approx(b[3:], rel=1e-9)


def test_gains_are_over_the_first_model(compared: Any) -> None:
    result, _ = compared
    facts = json.loads(json.dumps(result.facts()["models"]))
    assert {cell["model"] for cell in facts["cells"]} == {"width=4", "width=8"}
    assert all((cell["gain"] is None) == (cell["model"] == "width=4") for cell in facts["cells"])
    lines = BY_MODEL.lines(result.study, result.rows, result.runs)
    assert "gain over width=4" in lines[1]
    assert any("sgd + dropout=0.5" in line for line in lines)
    assert 'id="models"' in str(BY_MODEL.section(result.study, result.rows, result.runs))
    notes = " ".join(result.study.notes)
    assert "The models differ in their number of parameters: 43 with width=4, 83 with width=8" in notes


def test_the_best_model_is_built_with_its_arguments(compared: Any) -> None:
    result, out = compared
    best = result.best
    width = 4 if "width=4" in best.contender else 8
    assert best.model["width"] == width
    assert f"width={width}" in best.code().splitlines()[-1]
    trained = best.train()
    assert trained.hidden[0].out_features == width
    with pytest.warns(UserWarning, match="without the model's arguments"):
        best.build(trained.parameters())
    again = thalweg.stored(out).best.train(workload=workload_of())
    for ours, theirs in zip(again.parameters(), trained.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_design_is_restored(compared: Any) -> None:
    result, out = compared
    restored = design(result.study, None).contenders
    asked = crossed(contenders("sgd,adam"), None, ["none", "dropout=0.5"], vary="width=4,8")
    assert [(c.label, c.model, c.arguments) for c in restored] == [(c.label, c.model, c.arguments) for c in asked]
    assert thalweg.resume(out, workload=workload_of(), progress=False).rows == result.rows


@pytest.mark.parametrize("after", [3, 9])
def test_an_interrupted_study_goes_on_bitwise(compared: Any, after: int, tmp_path: Path) -> None:
    result, _ = compared
    given = {"regularizers": "none,dropout=0.5", "vary": "width=4,8", **ASKED}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "add", interrupting(Store.add, after))
        with pytest.raises(KeyboardInterrupt):
            thalweg.compare(workload_of(), "sgd,adam", out=tmp_path, **given)
    again = thalweg.resume(tmp_path, workload=workload_of(), progress=False)
    assert again.study.plan["models"] == result.study.plan["models"]
    for label in result.study.contenders:
        assert scores(again, label) == scores(result, label)


def interrupting(add: Any, after: int) -> Any:
    calls = []

    def added(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) > after:
            raise KeyboardInterrupt
        return add(*given, **named)

    return added


def test_a_changed_model_is_refused(compared: Any, tmp_path: Path) -> None:
    del compared
    asked = {**ASKED, "confirm_seeds": 0, "vary": "width=4,8"}
    thalweg.compare(workload_of(), "sgd", out=tmp_path, **asked)
    changed = workload_of(model=partial(model, init="glorot-uniform"))
    with pytest.raises(InputError, match="The model of the workload 'varied' changed"):
        thalweg.stored(tmp_path).best.train(workload=changed)


def test_a_contender_of_another_library_has_models_too() -> None:
    result = thalweg.compare(workload_of(), [torch.optim.SGD], regularizers="none,dropout=0.5", **ASKED)
    assert [row.factors.get("regularizer") for row in result.rows].count("dropout=0.5") == 1


def test_rates_are_found_for_each_model() -> None:
    of = [Contender("sgd", title=str(width), model={"width": width}) for width in (4, 8)]
    found = thalweg.find_lr(workload_of(epochs=60), of, seeds=2, progress=False)
    alone = thalweg.find_lr(workload_of(epochs=60, model=partial(model, width=8)), "sgd", seeds=2, progress=False)
    ours, theirs = found.findings[1], alone.findings[0]
    assert ours.optimizer == "8"
    assert ours.interval == pytest.approx(theirs.interval, rel=1e-6)


def test_commands_of_one_optimizer() -> None:
    contender = Contender("sgd", fixed={"lr": 0.1}, model={"width": 4})
    ensemble = thalweg.ensemble(workload_of(), 2, optimizer=contender, progress=False)
    assert ensemble.models[0].hidden[0].out_features == 4
    sparse = thalweg.sparsify(
        workload_of(), method="threshold", sparsity=0.5, optimizer=contender, seeds=2, progress=False
    )
    own = workload_of(model=partial(model, width=4))
    plain = thalweg.sparsify(own, method="threshold", sparsity=0.5, optimizer="sgd(lr=0.1)", seeds=2, progress=False)
    assert [run.test_metric for run in sparse.runs] == [run.test_metric for run in plain.runs]
    with pytest.raises(InputError, match="a distillation has two models: set them in factories"):
        thalweg.distill(workload_of(), optimizer=contender, progress=False)


def test_jobs_of_one_model_are_planned_once() -> None:
    seen: list[str] = []

    def plan(workload: Workload, of: Any, text: str) -> Any:
        seen.append(text)
        from thalweg.population.planning.planned_job import plan_job

        return plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution="loop")

    of = crossed(contenders("sgd,adam"), None, vary="width=4,8")
    jobs = Jobs.planned(of, workload_of(), plan)
    assert seen == ["width=4", "width=8"]
    assert [jobs.of(c).job.parameters for c in of] == [43, 83, 43, 83]
    assert Trainer({}, lambda event: None).earlier == {}
    assert with_arguments(workload_of(), {}).model is model
    assert replace(workload_of()).model is model


def test_the_command_that_makes_the_study_again() -> None:
    asked: dict[str, Any] = {"learning_rates": [0.1], "seeds": 1, "confirm_seeds": 0, "steps": 2, "progress": False}
    crossing = {"regularizers": "none,l2=1e-3", "vary": "init=he-normal,he-uniform", "convention": "keras"}
    study = thalweg.compare("digits", "sgd,adam(beta2=0.9)", **crossing, **asked).study
    assert command(study) == (
        "thalweg compare digits --optimizers 'sgd,adam(beta2=0.9)' --regularizers none,l2=1e-3 --vary"
        " init=he-normal,he-uniform --convention keras --learning-rates 0.1 --seeds 1 --confirm-seeds 0 --steps 2"
    )
    assert command(thalweg.compare("digits", "sgd", vary={"init": ["he-normal"]}, **asked).study) is None
